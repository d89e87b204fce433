with

levels as (

    select * from {{ ref('liquidation_levels') }}

),

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'liquidation_heatmap'

),

last_candles as (

    select
        rebuild_plan.symbol,
        rebuild_plan.rebuild_from,
        max(candles.open_time) as open_time
    from {{ ref('candles_with_side') }} as candles
    inner join rebuild_plan
        on candles.symbol = rebuild_plan.symbol
    group by rebuild_plan.symbol, rebuild_plan.rebuild_from

),

-- Steps from here on are built; those before it stand as they were built.
reaches as (

    select
        symbol,
        open_time + interval '5 minutes' as as_of,
        greatest(
            {{ candle_start('rebuild_from', var('liquidation_heatmap_step_minutes')) }},
            {{ candle_start('open_time', var('liquidation_heatmap_step_minutes')) }}
            - interval '{{ var("liquidation_heatmap_days") }} days'
            + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes'
        ) as first_bucket_at
    from last_candles

),

-- A step without a candle has no map snapshot.
buckets as (

    select
        candles.symbol,
        {{ candle_start('candles.open_time', var('liquidation_heatmap_step_minutes')) }} as bucket_at,
        least(
            {{ candle_start('candles.open_time', var('liquidation_heatmap_step_minutes')) }}
            + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes',
            reaches.as_of
        ) as as_of
    from {{ ref('candles_with_side') }} as candles
    inner join reaches
        on
            candles.symbol = reaches.symbol
            and candles.open_time >= reaches.first_bucket_at
    where candles.open_time >= {{ rebuild_floor() }}
    group by
        candles.symbol,
        {{ candle_start('candles.open_time', var('liquidation_heatmap_step_minutes')) }},
        reaches.as_of

),

timeline as (

    select
        timeline.symbol,
        {{ candle_start("timeline.step_at - interval '5 minutes'", var('liquidation_heatmap_step_minutes')) }}
            as bucket_at,
        min(timeline.log_share_total) as log_share_total
    from {{ ref('int_liquidation_timeline') }} as timeline
    inner join reaches
        on
            timeline.symbol = reaches.symbol
            and timeline.step_at <= reaches.as_of
            and timeline.step_at > reaches.first_bucket_at
    where timeline.step_at >= {{ rebuild_floor() }}
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
        {{ as_double('timeline.log_share_total') }} as log_share_total,
        row_number() over (order by buckets.symbol, buckets.bucket_at) as state_number
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
        {{ as_double('levels.volume_usd') }} as volume_usd,
        {{ as_double('levels.log_share_at_open') }} as log_share_at_open
    from levels
    inner join reaches
        on
            levels.symbol = reaches.symbol
            and {{ level_ended_at('levels') }} > reaches.first_bucket_at
    where
        levels.price_bin is not null
        and {{ ends_from(
            'levels', rebuild_floor() ~ " - interval '" ~ var('liquidation_heatmap_step_minutes') ~ " minutes'"
        ) }}

),

-- Levels and steps meet in tens of millions of pairs, which are grouped faster by two numbers than by four columns.
bins as (

    select
        symbol,
        side,
        price_bin,
        row_number() over (order by symbol, side, price_bin) as bin_number
    from shown_levels
    group by symbol, side, price_bin

),

numbered_levels as (

    select
        shown_levels.*,
        bins.bin_number
    from shown_levels
    inner join bins
        on
            shown_levels.symbol = bins.symbol
            and shown_levels.side = bins.side
            and shown_levels.price_bin = bins.price_bin

),

standing as (

    select
        states.state_number,
        numbered_levels.bin_number,
        {{ remaining('numbered_levels.volume_usd', 'states.log_share_total', 'numbered_levels.log_share_at_open') }}
            as volume_usd
    from states
    inner join numbered_levels
        on
            states.symbol = numbered_levels.symbol
            and states.as_of >= numbered_levels.opened_at
            and states.as_of < numbered_levels.ended_at

),

sums as (

    select
        state_number,
        bin_number,
        cast(sum(volume_usd) as decimal(38, 8)) as volume_usd
    from standing
    group by state_number, bin_number

),

heatmap as (

    select
        states.symbol,
        states.bucket_at,
        bins.side,
        bins.price_bin,
        sums.volume_usd
    from sums
    inner join states
        on sums.state_number = states.state_number
    inner join bins
        on sums.bin_number = bins.bin_number

)

select * from heatmap
order by symbol, bucket_at, side, price_bin
