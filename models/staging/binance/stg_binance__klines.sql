with

source as (

    {{ one_row_per_key('raw_binance', 'binance_klines') }}

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
