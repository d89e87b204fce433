-- Every five minutes of a perpetual whose five candles of a minute are there have a candle here.
with whole as (
    select
        symbol,
        time_bucket(interval '5 minutes', open_time) as open_time
    from ${candles}
    where
        exchange = 'binance'
        and market = 'um'
        and kline_type = 'last'
        and interval = '1m'
        and strpos(symbol, '_') = 0
    group by all
    having count(*) = 5
)

select whole.*
from whole
left join marts.klines_5m as found
    on whole.symbol = found.symbol and whole.open_time = found.open_time
where found.symbol is null
