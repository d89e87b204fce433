-- What was liquidated on the last whole day of each symbol, by side and leverage: levels that the price crossed, with
-- what was left of them then. "Yesterday" is told by the data, not by the clock.
with

last_days as (

    select
        symbol,
        date_trunc('day', max(as_of)) as today
    from marts.liquidation_map
    group by symbol

)

select
    levels.symbol,
    levels.side,
    levels.leverage,
    count(*) as level_count,
    round(sum(levels.liquidated_volume_usd)) as liquidated_volume_usd,
    min(levels.liquidation_price) as lowest_price,
    max(levels.liquidation_price) as highest_price
from marts.liquidation_levels as levels
inner join last_days
    on
        levels.symbol = last_days.symbol
        and levels.liquidated_at > last_days.today - interval '1 day'
        and levels.liquidated_at <= last_days.today
group by levels.symbol, levels.side, levels.leverage
order by levels.symbol, levels.side, levels.leverage
