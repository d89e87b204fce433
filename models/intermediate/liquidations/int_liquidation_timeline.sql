with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_liquidation_timeline'

),

-- The last row before what is rebuilt: the snapshot to compare with, and the sum so far.
carried_in as (

    /* carried in */
    {% if is_incremental() %}
    select
        timeline.symbol,
        max(timeline.step_at) as step_at,
        max_by(timeline.last_open_interest, timeline.step_at) as last_open_interest,
        min(timeline.log_share_total) as log_share_total
    from {{ this }} as timeline
    inner join rebuild_plan
        on
            timeline.symbol = rebuild_plan.symbol
            and timeline.step_at < rebuild_plan.rebuild_from
    group by timeline.symbol
    {% else %}
    select
        symbol,
        rebuild_from as step_at,
        cast(null as decimal(38, 16)) as last_open_interest,
        cast(0 as decimal(38, 18)) as log_share_total
    from rebuild_plan
    where false
    {% endif %}
    /* end carried in */

),

traded_prices as (

    select
        klines.symbol,
        klines.open_time + interval '5 minutes' as step_at,
        klines.low,
        klines.high
    from {{ ref('klines_5m') }} as klines
    inner join rebuild_plan
        on
            klines.symbol = rebuild_plan.symbol
            and klines.open_time >= rebuild_plan.rebuild_from - interval '5 minutes'
    where klines.open_time >= {{ rebuild_floor() }} - interval '5 minutes'

),

mark_klines as (

    select
        klines.symbol,
        klines.interval,
        klines.open_time,
        klines.low,
        klines.high
    from {{ ref('stg_binance__klines') }} as klines
    inner join rebuild_plan
        on
            klines.symbol = rebuild_plan.symbol
            and klines.open_time >= rebuild_plan.rebuild_from - interval '5 minutes'
    where
        {{ is_perpetual('klines') }}
        and klines.kline_type = 'mark'
        and klines.interval in ('1m', '5m')
        and klines.open_time >= {{ rebuild_floor() }} - interval '5 minutes'
        and {{ is_rebuilt_symbol('klines.symbol') }}

),

mark_minutes as (

    select * from mark_klines
    where interval = '1m'

),

mark_prices_of_minutes as (

    {{ candles_from_minutes('mark_minutes', ['symbol'], ['low', 'high']) }}

),

-- A snapshot off the grid belongs to the candle in which it was taken.
known_snapshots as (

    select
        open_interest.symbol,
        open_interest.snapshot_at,
        {{ candle_start("open_interest.snapshot_at - interval '1 microsecond'") }} + interval '5 minutes' as step_at,
        open_interest.open_interest
    from {{ ref('open_interest_5m') }} as open_interest
    inner join rebuild_plan
        on open_interest.symbol = rebuild_plan.symbol
    where
        open_interest.open_interest > 0
        and {{ candle_start("open_interest.snapshot_at - interval '1 microsecond'") }} + interval '5 minutes'
        >= rebuild_plan.rebuild_from
        and open_interest.snapshot_at >= {{ rebuild_floor() }} - interval '5 minutes'

    union all

    select
        symbol,
        step_at as snapshot_at,
        step_at,
        last_open_interest as open_interest
    from carried_in
    where last_open_interest is not null

),

openings as (

    select
        positions.symbol,
        positions.step_at,
        positions.opened_quantity
    from {{ ref('int_positions') }} as positions
    inner join rebuild_plan
        on
            positions.symbol = rebuild_plan.symbol
            and positions.open_time >= rebuild_plan.rebuild_from - interval '5 minutes'
    where positions.open_time >= {{ rebuild_floor() }} - interval '5 minutes'

),

-- Over snapshots, not over candles: what was closed during a gap is in the first snapshot after it. What a candle
-- opened is not left of what stood before it.
shrinkages as (

    select
        known_snapshots.symbol,
        known_snapshots.step_at,
        known_snapshots.open_interest,
        known_snapshots.snapshot_at,
        {{ log_share_left(
            'known_snapshots.open_interest',
            'openings.opened_quantity',
            'lag(known_snapshots.open_interest) over '
            ~ '(partition by known_snapshots.symbol order by known_snapshots.snapshot_at)'
        ) }} as log_share
    from known_snapshots
    left join openings
        on
            known_snapshots.symbol = openings.symbol
            and known_snapshots.snapshot_at = openings.step_at

),

facts as (

    select
        symbol,
        step_at,
        low as traded_low,
        high as traded_high,
        cast(null as decimal(18, 8)) as mark_low,
        cast(null as decimal(18, 8)) as mark_high,
        cast(null as decimal(18, 8)) as minutes_low,
        cast(null as decimal(18, 8)) as minutes_high,
        cast(null as decimal(38, 18)) as log_share,
        cast(null as timestamp) as snapshot_at,
        cast(null as decimal(38, 16)) as open_interest
    from traded_prices

    union all

    select
        symbol,
        {{ candle_start('open_time') }} + interval '5 minutes' as step_at,
        null as traded_low,
        null as traded_high,
        low as mark_low,
        high as mark_high,
        null as minutes_low,
        null as minutes_high,
        null as log_share,
        null as snapshot_at,
        null as open_interest
    from mark_klines
    where interval = '5m'

    union all

    select
        symbol,
        open_time + interval '5 minutes' as step_at,
        null as traded_low,
        null as traded_high,
        null as mark_low,
        null as mark_high,
        low as minutes_low,
        high as minutes_high,
        null as log_share,
        null as snapshot_at,
        null as open_interest
    from mark_prices_of_minutes

    union all

    select
        symbol,
        step_at,
        null as traded_low,
        null as traded_high,
        null as mark_low,
        null as mark_high,
        null as minutes_low,
        null as minutes_high,
        log_share,
        snapshot_at,
        open_interest
    from shrinkages

),

-- Positions are liquidated on the mark price; the traded one stands in where no mark-price candle was landed.
steps as (

    select
        symbol,
        step_at,
        coalesce(max(mark_low), max(minutes_low), max(traded_low)) as low,
        coalesce(max(mark_high), max(minutes_high), max(traded_high)) as high,
        cast(coalesce(sum(log_share), 0) as decimal(38, 18)) as log_share,
        max_by(open_interest, snapshot_at) as open_interest
    from facts
    group by symbol, step_at

),

running as (

    select
        steps.symbol,
        steps.step_at,
        steps.low,
        steps.high,
        {{ last_known('steps.open_interest') }} over symbol_so_far as last_open_interest,
        steps.log_share,
        cast(sum(steps.log_share) over symbol_so_far as decimal(38, 18)) as log_share_since
    from steps
    window symbol_so_far as (
        partition by steps.symbol order by steps.step_at rows between unbounded preceding and current row
    )

),

timeline as (

    select
        running.symbol,
        running.step_at,
        running.low,
        running.high,
        coalesce(running.last_open_interest, carried_in.last_open_interest) as last_open_interest,
        running.log_share,
        cast(running.log_share_since + coalesce(carried_in.log_share_total, 0) as decimal(38, 18)) as log_share_total
    from running
    inner join rebuild_plan
        on
            running.symbol = rebuild_plan.symbol
            and running.step_at >= rebuild_plan.rebuild_from
    left join carried_in
        on running.symbol = carried_in.symbol

)

select * from timeline
order by symbol, step_at
