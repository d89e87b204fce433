-- Every five-minute candle of a perpetual that marts.candles has is here.
select
    candles.symbol,
    candles.open_time
from ${candles} as candles
left join marts.klines_5m as found
    on
        candles.symbol = found.symbol
        and candles.open_time = found.open_time
where
    candles.exchange = 'binance'
    and candles.market = 'um'
    and candles.kline_type = 'last'
    and candles.interval = '5m'
    and strpos(candles.symbol, '_') = 0
    and found.symbol is null
