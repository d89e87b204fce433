with

levels as (

    select * from {{ ref('liquidation_levels') }}

),

candles as (

    select
        symbol,
        open_time + interval '5 minutes' as closed_at,
        {{ candle_start('open_time', var('liquidation_heatmap_step_minutes')) }} as bucket_at
    from {{ ref('candles_with_side') }}

),

last_candles as (

    select
        symbol,
        max(closed_at) as as_of,
        max(bucket_at) - interval '{{ var("liquidation_heatmap_days") }} days' as shown_from
    from candles
    group by symbol

),

-- A step without a candle has no map snapshot.
buckets as (

    select
        candles.symbol,
        candles.bucket_at,
        least(
            candles.bucket_at + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes', last_candles.as_of
        ) as as_of
    from candles
    inner join last_candles
        on
            candles.symbol = last_candles.symbol
            and candles.bucket_at > last_candles.shown_from
    group by candles.symbol, candles.bucket_at, last_candles.as_of

),

timeline as (

    select
        timeline.symbol,
        {{ candle_start("timeline.step_at - interval '5 minutes'", var('liquidation_heatmap_step_minutes')) }}
            as bucket_at,
        min(timeline.log_share_total) as log_share_total
    from {{ ref('int_liquidation_timeline') }} as timeline
    inner join last_candles
        on
            timeline.symbol = last_candles.symbol
            and timeline.step_at <= last_candles.as_of
            and timeline.step_at > last_candles.shown_from
    group by
        timeline.symbol,
        {{ candle_start("timeline.step_at - interval '5 minutes'", var('liquidation_heatmap_step_minutes')) }}

),

-- The sum of logarithms never rises, so the lowest value of a bucket is the one at its end.
states as (

    select
        buckets.symbol,
        buckets.bucket_at,
        buckets.as_of,
        cast(timeline.log_share_total as double) as log_share_total
    from buckets
    inner join timeline
        on
            buckets.symbol = timeline.symbol
            and buckets.bucket_at = timeline.bucket_at

),

shown_levels as (

    select
        levels.symbol,
        levels.side,
        levels.price_bin,
        levels.opened_at,
        {{ level_ended_at('levels') }} as ended_at,
        -- cast here, once per level rather than once per level and step
        cast(levels.volume_usd as double) as volume_usd,
        cast(levels.log_share_at_open as double) as log_share_at_open
    from levels
    inner join last_candles
        on
            levels.symbol = last_candles.symbol
            and {{ level_ended_at('levels') }} > last_candles.shown_from
    where levels.price_bin is not null

),

standing as (

    select
        states.symbol,
        states.bucket_at,
        shown_levels.side,
        shown_levels.price_bin,
        {{ remaining('shown_levels.volume_usd', 'states.log_share_total', 'shown_levels.log_share_at_open') }}
            as volume_usd
    from states
    inner join shown_levels
        on
            states.symbol = shown_levels.symbol
            and states.as_of >= shown_levels.opened_at
            and states.as_of < shown_levels.ended_at

),

heatmap as (

    select
        symbol,
        bucket_at,
        side,
        price_bin,
        cast(sum(volume_usd) as decimal(38, 8)) as volume_usd
    from standing
    group by symbol, bucket_at, side, price_bin

)

select * from heatmap
order by symbol, bucket_at, side, price_bin
