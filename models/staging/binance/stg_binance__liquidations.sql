with

source as (

    select * from {{ source('raw_binance', 'binance_liquidations') }}

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

),

-- Not `one_row_per_key`: two recordings of one order differ in what their recorders kept, and the same file can bring
-- an order with each of its fills. The one with the most filled counts, then the one that knows more.
chosen as (

    select *
    from renamed
    qualify
        row_number() over (
            partition by market, symbol, liquidated_at, side, original_quantity, price
            order by
                accumulated_fill_quantity desc nulls last,
                average_price asc nulls last,
                last_fill_quantity asc nulls last,
                order_status asc nulls last,
                order_type asc nulls last,
                time_in_force asc nulls last,
                file_id asc
        ) = 1

)

select * from chosen
