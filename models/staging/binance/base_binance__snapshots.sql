with

source as (

    select * from {{ source('raw_binance', 'binance_metrics') }}

),

files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

labels as (

    select * from {{ ref('int_metrics_snapshot_labels') }}

),

taken as (

    select
        source.*,
        case labels.label
            when 'start' then source.create_time + interval '5 minutes'
            else source.create_time
        end as taken_at
    from source
    left join labels
        on source.file_id = labels.file_id

),

snapped as (

    select
        *,
        {{ snapshot_step('taken_at') }} as snapshot_at
    from taken

),

-- Of two for one step the nearer counts, then the earlier; then the order among files is that of `one_row_per_key`,
-- which cannot be used: where files of both kinds of labels meet, rows of different labels can be the same snapshot.
ranked as (

    select
        snapped.*,
        files.path,
        row_number() over (
            partition by snapped.market, snapped.symbol, snapped.snapshot_at
            order by
                abs({{ microseconds_between('snapped.snapshot_at', 'snapped.taken_at') }}),
                snapped.taken_at,
                {{ file_precedence('files') }}
        ) as precedence
    from snapped
    inner join files
        on snapped.file_id = files.file_id

)

select * from ranked
