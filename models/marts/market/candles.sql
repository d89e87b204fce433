with

landed as (

    select * from {{ ref('int_candles') }}

),

candles as (

    select
        exchange,
        market,
        kline_type,
        symbol,
        interval,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        trade_count
    from landed

)

select * from candles
