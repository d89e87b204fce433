with

-- The key ends with the time: of a map snapshot that two files have, all rows come from the better file.
source as (

    {{ one_row_per_key(
        'raw_external', 'external_levels',
        ['market', 'provider', 'symbol', 'time']
    ) }}

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
