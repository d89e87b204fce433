with

runs as (

    select * from {{ ref('int_series_runs') }}
    where kline_type in ('last', '')

),

breaks as (

    select
        {{ series_columns() }},
        {{ candle_end('run_end', 'interval') }} as gap_start,
        lead(run_start) over (partition by {{ series_columns() }} order by run_start) as gap_end
    from runs

),

gaps as (

    select * from breaks
    where gap_start < gap_end

)

select * from gaps
