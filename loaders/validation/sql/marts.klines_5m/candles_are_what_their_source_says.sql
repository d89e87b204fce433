-- Every candle has the figures of its five-minute file, of its five minutes or of its trades, as `source` says: none
-- comes from nothing, from the spot market or from mark prices.
with

parts as (

    select
        'klines_5m' as source,
        symbol,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume
    from ${stg_binance__klines}
    where market = 'um' and kline_type = 'last' and interval = '5m'

    union all

    select
        'klines_1m' as source,
        symbol,
        time_bucket(interval '5 minutes', open_time) as open_time,
        arg_min(open, open_time) as open,
        max(high) as high,
        min(low) as low,
        arg_max(close, open_time) as close,
        sum(volume) as volume,
        sum(quote_volume) as quote_volume,
        sum(trade_count) as trade_count,
        sum(taker_buy_volume) as taker_buy_volume,
        sum(taker_buy_quote_volume) as taker_buy_quote_volume
    from ${stg_binance__klines}
    where market = 'um' and kline_type = 'last' and interval = '1m'
    group by symbol, time_bucket(interval '5 minutes', open_time)

    union all

    select
        'agg_trades' as source,
        symbol,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume
    from ${int_agg_trade_candles_5m}
    where market = 'um'

)

select
    found.*,
    parts.symbol is not null as source_has_it
from ${rows} as found
left join parts
    on
        found.symbol = parts.symbol
        and found.open_time = parts.open_time
        and found.source = parts.source
where
    found.source != 'rest'
    and (
        found.open is distinct from parts.open
        or found.high is distinct from parts.high
        or found.low is distinct from parts.low
        or found.close is distinct from parts.close
        or found.volume is distinct from parts.volume
        or found.quote_volume is distinct from parts.quote_volume
        or found.trade_count is distinct from parts.trade_count
        or found.taker_buy_volume is distinct from parts.taker_buy_volume
        or found.taker_buy_quote_volume is distinct from parts.taker_buy_quote_volume
    )
