with

source as (

    select * from {{ ref('base_binance__liquidations') }}

),

renamed as (

    select
        -- ids
        'binance' as exchange,
        market,
        symbol,
        -- the order that closes a long is a sale
        case side when 'SELL' then 'long' when 'BUY' then 'short' end as side,
        order_type,
        time_in_force,
        order_status,

        -- numbers
        original_quantity,
        price,
        average_price,
        last_fill_quantity,
        accumulated_fill_quantity,

        -- times
        time as liquidated_at,

        -- origin
        file_id
    from source

)

select * from renamed
