with

labels as (

    select * from {{ ref('int_metrics_snapshot_labels') }}

),

-- The last row of any file there ever was: one that was forgotten is in the log alone.
last_rows as (

    select
        symbol,
        max(range_end) as last_time
    from {{ source('ops', 'ingestion_changes') }}
    where
        exchange = 'binance'
        and dataset = 'metrics'
        and market = 'um'
    group by symbol

),

-- A file that could not be measured hangs on its measured neighbours, so a change in the later one reaches back over
-- all files between them.
runs as (

    select
        *,
        {{ snapshot_step('last_time') }} as last_step,
        count(measured_label) over (
            partition by symbol
            order by first_time, last_time, sha256
            rows between unbounded preceding and 1 preceding
        ) as measured_before
    from labels

),

-- Files behind the last measured one may have hung on a later one that was forgotten.
reach as (

    select
        'binance' as exchange,
        runs.symbol,
        {{ candle_start('min(runs.first_time)') }} as reaches_back_to,
        case
            when count(runs.measured_label) = 0 then greatest(max(runs.last_step), max(last_rows.last_time))
            else max(runs.last_step)
        end as up_to
    from runs
    left join last_rows
        on runs.symbol = last_rows.symbol
    group by runs.symbol, runs.measured_before

)

select * from reach
