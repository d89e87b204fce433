with

votes as (

    select * from {{ ref('int_metrics_snapshot_votes') }}

),

-- The order of files within a symbol must not depend on when they were landed.
neighbours as (

    select
        *,
        {{ last_known('measured_label') }} over before_it as label_before,
        {{ last_known('case when measured_label is not null then last_time end') }} over before_it as time_before,
        {{ first_known('measured_label') }} over after_it as label_after,
        {{ first_known('case when measured_label is not null then first_time end') }} over after_it as time_after
    from votes
    window
        before_it as (
            partition by symbol
            order by first_time, last_time, sha256
            rows between unbounded preceding and current row
        ),
        after_it as (
            partition by symbol
            order by first_time, last_time, sha256
            rows between current row and unbounded following
        )

),

labels as (

    select
        file_id,
        symbol,
        origin,
        sha256,
        period_start,
        period_end,
        first_time,
        last_time,
        votes_instant,
        votes_start,
        votes_neither,
        prices_far_off,
        measured_label,
        case
            when origin = 'rest' then 'instant'
            when measured_label is not null then measured_label
            when label_before is null then coalesce(label_after, 'instant')
            when label_after is null then label_before
            when first_time - time_before <= time_after - last_time then label_before
            else label_after
        end as label,
        case
            when origin = 'rest' then 'documented'
            when measured_label is not null then 'measured'
            when label_before is not null or label_after is not null then 'nearest measured file'
            else 'assumed'
        end as decided_by
    from neighbours

)

select * from labels
