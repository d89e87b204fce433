with

source as (

    select * from {{ ref('base_binance__agg_trades') }}

),

renamed as (

    select
        -- ids
        'binance' as exchange,
        market,
        symbol,
        agg_trade_id,
        first_trade_id,
        last_trade_id,

        -- numbers
        price,
        quantity,

        -- flags
        is_buyer_maker,
        is_best_match,

        -- times
        transact_time as traded_at,

        -- origin
        file_id
    from source

)

select * from renamed
