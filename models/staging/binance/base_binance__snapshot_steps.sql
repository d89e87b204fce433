with

source as (

    select * from {{ source('raw_binance', 'binance_metrics') }}

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

)

select * from snapped
