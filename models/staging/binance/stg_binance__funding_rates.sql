with

source as (

    select * from {{ ref('base_binance__funding_rates') }}

),

renamed as (

    select
        -- ids
        'binance' as exchange,
        market,
        symbol,

        -- numbers
        last_funding_rate as funding_rate,
        funding_interval_hours,

        -- times
        calc_time as funded_at,

        -- origin
        file_id
    from source

)

select * from renamed
