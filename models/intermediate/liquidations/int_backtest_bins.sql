with

map_snapshots as (

    select
        *,
        cast(price * (1 - {{ var('liquidation_backtest_reach') }}) as double) as lowest_price,
        cast(price * (1 + {{ var('liquidation_backtest_reach') }}) as double) as highest_price
    from {{ ref('int_backtest_map_snapshots') }}

),

-- Our own maps are computed from the levels, not read from the heatmap, which reaches only some days back.
-- The sum of logarithms never rises, so the lowest value of a step is the one at its end.
timeline as (

    select
        symbol,
        {{ candle_start("step_at - interval '5 minutes'", var('liquidation_heatmap_step_minutes')) }}
        + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes' as as_of,
        min(log_share_total) as log_share_total
    from {{ ref('int_liquidation_timeline') }}
    group by
        symbol,
        {{ candle_start("step_at - interval '5 minutes'", var('liquidation_heatmap_step_minutes')) }}

),

moments as (

    select
        map_snapshots.symbol,
        map_snapshots.as_of,
        {{ as_double('timeline.log_share_total') }} as log_share_total,
        map_snapshots.lowest_price,
        map_snapshots.highest_price
    from map_snapshots
    inner join timeline
        on
            map_snapshots.symbol = timeline.symbol
            and map_snapshots.as_of = timeline.as_of
    where map_snapshots.provider = {{ own_levels() }}

),

levels as (

    select
        symbol,
        side,
        price_bin,
        opened_at,
        {{ level_ended_at() }} as ended_at,
        {{ as_double('volume_usd') }} as volume_usd,
        {{ as_double('log_share_at_open') }} as log_share_at_open
    from {{ ref('liquidation_levels') }}
    where
        price_bin is not null
        -- most of them never see the end of a step
        and {{ candle_start(
            "opened_at - interval '1 microsecond'", var('liquidation_heatmap_step_minutes')
        ) }}
        + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes'
        < {{ level_ended_at() }}

),

{{ standing_bins('levels', 'moments') }},

own_bins as (

    select
        {{ own_levels() }} as provider,
        symbol,
        as_of as asked_at,
        side,
        price_bin,
        volume_usd as volume
    from standing_bins

),

symbol_settings as (

    select * from {{ ref('symbols') }}

),

-- External levels are put into bins of the same width, so that a fine list and a coarse one are judged alike.
binned_levels as (

    select
        levels.provider,
        levels.symbol,
        levels.as_of,
        levels.side,
        {{ price_bin('levels.price', 'symbol_settings.price_bin_width') }} as price_bin,
        levels.volume
    from {{ ref('stg_external__levels') }} as levels
    left join symbol_settings
        on levels.symbol = symbol_settings.symbol
    where
        {{ is_perpetual('levels') }}
        and levels.volume > 0

),

external_levels as (

    select
        *,
        cast(price_bin as double) as price
    from binned_levels

),

external_bins as (

    select
        map_snapshots.provider,
        map_snapshots.symbol,
        map_snapshots.asked_at,
        external_levels.side,
        external_levels.price_bin,
        cast(sum(external_levels.volume) as decimal(38, 8)) as volume
    from map_snapshots
    inner join external_levels
        on
            map_snapshots.provider = external_levels.provider
            and map_snapshots.symbol = external_levels.symbol
            and map_snapshots.as_of = external_levels.as_of
            and map_snapshots.lowest_price <= external_levels.price
            and map_snapshots.highest_price >= external_levels.price
    group by
        map_snapshots.provider,
        map_snapshots.symbol,
        map_snapshots.asked_at,
        external_levels.side,
        external_levels.price_bin

),

bins as (

    select * from own_bins
    union all
    select * from external_bins

)

select * from bins
