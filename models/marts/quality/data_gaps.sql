with

gaps as (

    select * from {{ ref('int_series_gaps') }}
    where place = 'inside'

),

suggested as (

    select
        {{ series_columns() }},
        gap_start,
        gap_end,
        missing,
        {{ archive_file('missing_at') }} as suggested_file
    from gaps

)

select * from suggested
