with

-- While a model is rebuilt, only what it can ask for: a day before the floor, and a label moves a snapshot by five
-- minutes. Filters on the step, and on the symbol through a join, are not pushed down to the scan.
source as (

    select * from {{ source('raw_binance', 'binance_metrics') }}
    where
        create_time >= {{ rebuild_floor() }} - interval '2 days'
        and {{ is_rebuilt_symbol('symbol') }}

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
