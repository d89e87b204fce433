-- as_of and last_price are those of the symbol's last candle.
with

last_candles as (

    select
        symbol,
        max(open_time) + interval '5 minutes' as as_of,
        arg_max(close, open_time) as last_price
    from marts.klines_5m
    group by symbol

)

select distinct
    found.symbol,
    found.as_of,
    found.last_price
from marts.liquidation_map as found
left join last_candles
    on found.symbol = last_candles.symbol
where
    found.as_of is distinct from last_candles.as_of
    or found.last_price is distinct from last_candles.last_price
