with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'candles_with_side'

),

candles as (

    select klines.*
    from {{ ref('klines_5m') }} as klines
    inner join rebuild_plan
        on
            klines.symbol = rebuild_plan.symbol
            and klines.open_time >= rebuild_plan.rebuild_from
    where klines.open_time >= {{ rebuild_floor() }}

),

open_interest as (

    select * from {{ ref('open_interest_5m') }}
    where
        snapshot_at >= {{ rebuild_floor() }}
        and {{ is_rebuilt_symbol('symbol') }}

),

-- A candle covers [open_time, open_time + 5 minutes): its change is the one of the snapshot at its end.
changes as (

    select
        candles.*,
        open_interest.oi_delta,
        cast(open_interest.oi_delta * candles.close as decimal(38, 8)) as oi_delta_usd
    from candles
    left join open_interest
        on
            candles.symbol = open_interest.symbol
            and candles.open_time + interval '5 minutes' = open_interest.snapshot_at

),

events as (

    select
        *,
        case
            when oi_delta is null then null
            when close = open or oi_delta = 0 then 'none'
            when close > open and oi_delta > 0 then 'long_open'
            when close < open and oi_delta > 0 then 'short_open'
            when close > open and oi_delta < 0 then 'short_close'
            when close < open and oi_delta < 0 then 'long_close'
        end as position_event
    from changes

),

sides as (

    select
        *,
        case position_event
            when 'long_open' then 'long'
            when 'short_open' then 'short'
        end as inferred_side
    from events

)

select * from sides
