with

labels as (

    select * from {{ ref('int_metrics_snapshot_labels') }}

),

-- Two landed files of one day and origin differ by their content alone, so their hash tells them apart.
files as (

    select
        symbol,
        first_time,
        last_time,
        sha256,
        origin,
        period_start,
        period_end,
        votes_instant,
        votes_start,
        measured_label,
        label,
        decided_by
    from labels

)

select * from files
