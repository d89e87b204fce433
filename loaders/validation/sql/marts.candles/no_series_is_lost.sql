-- Every series of candles that was landed is here.
select distinct
    market,
    kline_type,
    symbol,
    interval
from ${ingestion_files}
where status = 'loaded' and dataset = 'klines' and rows_loaded > 0

except

-- distinct: else the engine holds a row of each candle
select distinct
    market,
    kline_type,
    symbol,
    interval
from ${rows}
