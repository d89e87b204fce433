with

source as (

    select * from {{ source('raw_binance', 'binance_liquidations') }}

),

-- Not `one_row_per_key`: two recordings of one order differ in what their recorders kept, and the same file can bring
-- an order with each of its fills. The one with the most filled counts, then the one that knows more.
chosen as (

    select *
    from source
    qualify
        row_number() over (
            partition by market, symbol, time, side, original_quantity, price
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
