-- Whose levels foretold recorded liquidations best? A lift of 1 is no better than the provider's own map of other days.
-- Compare rows of a symbol, side and tolerance only where all judged about as many events: who has maps of the quiet
-- days alone is asked other questions.
with

scores as (

    select
        'ours' as provider,
        *
    from marts.liquidation_backtest

    union all

    select * from marts.liquidation_backtest_external

)

select
    symbol,
    side,
    tolerance,
    provider,
    events,
    round(100 * hit_rate, 1) as hits_percent,
    round(100 * coverage_share, 1) as covered_percent,
    round(100 * null_hit_rate, 1) as hits_of_other_days_percent,
    round(lift, 2) as lift
from scores
where horizon = 0
order by symbol asc, side asc, tolerance asc, lift desc nulls last
