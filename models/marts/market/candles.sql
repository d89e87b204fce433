with

binance as (

    select * from {{ ref('stg_binance__klines') }}

),

kraken as (

    select * from {{ ref('stg_kraken__ohlcvt') }}

),

candles as (

    select
        exchange,
        market,
        kline_type,
        symbol,
        interval,
        open_time,
        cast(open as decimal(38, 15)) as open,
        cast(high as decimal(38, 15)) as high,
        cast(low as decimal(38, 15)) as low,
        cast(close as decimal(38, 15)) as close,
        cast(volume as decimal(38, 15)) as volume,
        cast(quote_volume as decimal(38, 15)) as quote_volume,
        cast(trade_count as bigint) as trade_count
    from binance

    union all

    select
        exchange,
        market,
        'last' as kline_type,
        symbol,
        interval,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        cast(null as decimal(38, 15)) as quote_volume,
        trade_count
    from kraken

)

select * from candles
