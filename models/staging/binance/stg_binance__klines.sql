with

source as (

    select * from {{ ref('base_binance__klines') }}

),

renamed as (

    select
        -- ids
        'binance' as exchange,
        market,
        kline_type,
        symbol,
        interval,

        -- numbers
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        count as trade_count,
        taker_buy_volume,
        taker_buy_quote_volume,

        -- times
        open_time,
        close_time,

        -- origin
        file_id
    from source

)

select * from renamed
