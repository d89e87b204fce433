with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'open_interest_5m'

),

-- One step further back than what is rebuilt: the first change needs the snapshot before it.
snapshots as (

    select
        metrics.symbol,
        metrics.snapshot_at,
        metrics.open_interest,
        metrics.open_interest_usd,
        metrics.snapshot_at >= rebuild_plan.rebuild_from as is_rebuilt
    from {{ ref('stg_binance__metrics') }} as metrics
    inner join rebuild_plan
        on
            metrics.symbol = rebuild_plan.symbol
            and metrics.snapshot_at >= rebuild_plan.rebuild_from - interval '5 minutes'
    where
        {{ is_perpetual('metrics') }}
        and metrics.snapshot_at >= {{ rebuild_floor() }} - interval '5 minutes'

),

steps as (

    select
        *,
        lag(snapshot_at) over (partition by symbol order by snapshot_at) as previous_snapshot_at,
        lag(open_interest) over (partition by symbol order by snapshot_at) as previous_open_interest
    from snapshots

),

changes as (

    select
        symbol,
        snapshot_at,
        open_interest,
        open_interest_usd,
        case
            when previous_snapshot_at = snapshot_at - interval '5 minutes'
                then cast(open_interest - previous_open_interest as decimal(38, 16))
        end as oi_delta
    from steps
    where is_rebuilt

)

select * from changes
