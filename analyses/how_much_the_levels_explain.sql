-- How much of open interest do the levels explain, how fast do levels fade, and how many candles tell nothing?
-- The half-life depends on the step: falls and rises within five minutes cancel out (twelve times as long a step gave
-- less than half of the e-folds).
with

standing as (

    select
        symbol,
        max(as_of) as as_of,
        sum(case when side = 'long' then quantity else 0 end) as long_quantity,
        sum(case when side = 'short' then quantity else 0 end) as short_quantity
    from marts.liquidation_map
    group by symbol

),

fading as (

    select
        symbol,
        max_by(last_open_interest, step_at) as open_interest,
        min(log_share_total) as log_share_total,
        count(*) / 12.0 as hours
    from intermediate.int_liquidation_timeline
    group by symbol

),

candles as (

    select
        symbol,
        count(*) as candles,
        sum(case when position_event in ('long_open', 'short_open') then 1 else 0 end) as openings,
        sum(case when position_event is null then 1 else 0 end) as unknown
    from marts.candles_with_side
    group by symbol

)

select
    candles.symbol,
    standing.as_of,
    round(100 * standing.long_quantity / fading.open_interest, 1) as explained_long_percent,
    round(100 * standing.short_quantity / fading.open_interest, 1) as explained_short_percent,
    round(fading.hours * ln(2) / nullif(-cast(fading.log_share_total as double), 0), 1) as half_life_hours,
    round(100.0 * (candles.candles - candles.openings) / candles.candles, 1) as candles_without_opening_percent,
    round(100.0 * candles.unknown / candles.candles, 1) as candles_unknown_percent
from candles
left join standing
    on candles.symbol = standing.symbol
left join fading
    on candles.symbol = fading.symbol
order by candles.symbol
