with

labels as (

    select * from {{ ref('int_metrics_snapshot_labels') }}

),

-- A file that could not be measured hangs on its measured neighbours, so a change in the later one reaches back over
-- all files between them.
runs as (

    select
        *,
        count(measured_label) over (
            partition by symbol
            order by first_time, last_time, sha256
            rows between unbounded preceding and 1 preceding
        ) as measured_before
    from labels

),

reach as (

    select
        'binance' as exchange,
        symbol,
        min(first_time) as reaches_back_to,
        max(last_time) as up_to
    from runs
    group by symbol, measured_before

)

select * from reach
