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
        metrics.published_at,
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

-- One off the grid between two steps is in nobody's way: changes are between snapshots five minutes apart.
steps as (

    select
        *,
        lag(snapshot_at) over same_phase as previous_snapshot_at,
        lag(open_interest) over same_phase as previous_open_interest
    from snapshots
    window same_phase as (
        partition by symbol, {{ microseconds_between(candle_start('snapshot_at'), 'snapshot_at') }}
        order by snapshot_at
    )

),

changes as (

    select
        symbol,
        snapshot_at,
        open_interest,
        open_interest_usd,
        published_at,
        case
            when previous_snapshot_at = snapshot_at - interval '5 minutes'
                then cast(open_interest - previous_open_interest as decimal(38, 16))
        end as oi_delta
    from steps
    where is_rebuilt

)

select * from changes
