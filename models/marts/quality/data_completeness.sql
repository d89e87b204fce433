with

days_present as (

    select * from {{ ref('int_days_present') }}

),

days_missing as (

    select
        *,
        true as lacks_rows
    from {{ ref('int_days_missing') }}

),

days as (

    select
        {{ series_columns() }},
        cast(day as date) as day,
        coalesce(days_present.present, 0) as present,
        case when days_missing.lacks_rows then days_missing.missing else 0 end as missing,
        coalesce(days_present.source, 'none') as source
    from days_present
    -- With `using`, a key is that of whichever side has the row.
    full outer join days_missing
        using ({{ series_columns() }}, day)  -- noqa: ST07

),

completeness as (

    select
        {{ series_columns() }},
        day,
        present + missing as expected,
        present,
        missing,
        source
    from days

)

select * from completeness
