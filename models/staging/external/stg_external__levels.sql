with

source as (

    select * from {{ ref('base_external__levels') }}

),

renamed as (

    select
        -- ids
        market,
        provider,
        symbol,
        side,

        -- numbers
        price,
        volume,

        -- times
        time as as_of,

        -- origin
        file_id
    from source

)

select * from renamed
