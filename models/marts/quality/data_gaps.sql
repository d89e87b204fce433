with

gaps as (

    select * from {{ ref('int_series_gaps') }}
    where place = 'inside'

),

suggested as (

    select
        dataset,
        market,
        symbol,
        interval,
        gap_start,
        gap_end,
        missing,
        {{ archive_file('dataset', 'market', 'symbol', 'interval', 'missing_at') }} as suggested_file
    from gaps

)

select * from suggested
