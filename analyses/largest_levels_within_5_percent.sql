-- Where are the liquidations now? The five largest bins on each side within 5 % of the last price, and what the price
-- would meet on its way there (cumulative_volume_usd).
with

bins as (

    select
        symbol,
        side,
        price_bin,
        sum(volume_usd) as volume_usd,
        max(cumulative_volume_usd) as cumulative_volume_usd,
        max(last_price) as last_price,
        max(as_of) as as_of
    from marts.liquidation_map
    group by symbol, side, price_bin

),

near as (

    select
        *,
        row_number() over (partition by symbol, side order by volume_usd desc, price_bin asc) as place
    from bins
    where price_bin between last_price * 0.95 and last_price * 1.05

)

select
    symbol,
    side,
    price_bin,
    round(100.0 * (price_bin - last_price) / last_price, 2) as distance_percent,
    round(volume_usd) as volume_usd,
    round(cumulative_volume_usd) as cumulative_volume_usd,
    as_of
from near
where place <= 5
order by symbol, side, place
