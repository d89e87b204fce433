-- BTC and ETH side by side: what stands on each side in steps of 1 % away from the price, in millions of USD.
with

map_bins as (

    select
        symbol,
        side,
        cast(floor(100 * abs(price_bin - last_price) / last_price) as integer) as percent_away,
        volume_usd
    from marts.liquidation_map
    where symbol in ('BTCUSDT', 'ETHUSDT')

)

select
    side,
    percent_away,
    round(sum(case when symbol = 'BTCUSDT' then volume_usd else 0 end) / 1000000, 1) as btc_millions_usd,
    round(sum(case when symbol = 'ETHUSDT' then volume_usd else 0 end) / 1000000, 1) as eth_millions_usd
from map_bins
where percent_away <= 20
group by side, percent_away
order by side, percent_away
