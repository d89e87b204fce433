with

-- The key ends with the time: of a map snapshot that two files have, all rows come from the better file.
chosen as (

    {{ one_row_per_key(
        'raw_external', 'external_levels',
        ['market', 'provider', 'symbol', 'time']
    ) }}

)

select * from chosen
