with

pictures as (

    select
        *,
        cast(price * (1 - {{ var('liquidation_backtest_reach') }}) as double) as lowest_price,
        cast(price * (1 + {{ var('liquidation_backtest_reach') }}) as double) as highest_price
    from {{ ref('int_backtest_pictures') }}

),

-- Ours: what stood of the levels themselves, so that no event lies too far back.
-- The sum of logarithms only falls, so the lowest of a step is that of its end.
timeline as (

    select
        symbol,
        {{ candle_start("step_at - interval '5 minutes'", var('liquidation_heatmap_step_minutes')) }}
        + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes' as pictured_at,
        min(log_share_total) as log_share_total
    from {{ ref('int_liquidation_timeline') }}
    group by
        symbol,
        {{ candle_start("step_at - interval '5 minutes'", var('liquidation_heatmap_step_minutes')) }}

),

moments as (

    select
        pictures.symbol,
        pictures.pictured_at,
        cast(timeline.log_share_total as double) as log_share_total,
        pictures.lowest_price,
        pictures.highest_price
    from pictures
    inner join timeline
        on
            pictures.symbol = timeline.symbol
            and pictures.pictured_at = timeline.pictured_at
    where pictures.provider = {{ own_levels() }}

),

levels as (

    select
        symbol,
        side,
        price_bin,
        opened_at,
        coalesce(liquidated_at, closed_at, timestamp '9999-12-31') as ended_at,
        cast(volume_usd as double) as volume_usd,
        cast(log_share_at_open as double) as log_share_at_open
    from {{ ref('liquidation_levels') }}
    where
        price_bin is not null
        -- most of them never see the end of a step
        and {{ candle_start(
            "opened_at - interval '1 microsecond'", var('liquidation_heatmap_step_minutes')
        ) }}
        + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes'
        < coalesce(liquidated_at, closed_at, timestamp '9999-12-31')

),

{{ standing_bins('levels', 'moments') }},

own_bins as (

    select
        {{ own_levels() }} as provider,
        symbol,
        pictured_at as asked_at,
        side,
        price_bin,
        volume_usd as volume
    from standing_bins

),

symbol_settings as (

    select * from {{ ref('symbols') }}

),

-- Those from elsewhere, put into bins of the same width, so that a fine list and a coarse one are judged alike.
binned_levels as (

    select
        levels.provider,
        levels.symbol,
        levels.pictured_at,
        levels.side,
        {{ price_bin('levels.price', 'symbol_settings.price_bin_width') }} as price_bin,
        levels.volume
    from {{ ref('stg_external__levels') }} as levels
    left join symbol_settings
        on levels.symbol = symbol_settings.symbol
    where
        levels.market = 'um'
        and levels.volume > 0

),

given_levels as (

    select
        *,
        cast(price_bin as double) as price
    from binned_levels

),

given_bins as (

    select
        pictures.provider,
        pictures.symbol,
        pictures.asked_at,
        given_levels.side,
        given_levels.price_bin,
        cast(sum(given_levels.volume) as decimal(38, 8)) as volume
    from pictures
    inner join given_levels
        on
            pictures.provider = given_levels.provider
            and pictures.symbol = given_levels.symbol
            and pictures.pictured_at = given_levels.pictured_at
            and pictures.lowest_price <= given_levels.price
            and pictures.highest_price >= given_levels.price
    group by pictures.provider, pictures.symbol, pictures.asked_at, given_levels.side, given_levels.price_bin

),

bins as (

    select * from own_bins
    union all
    select * from given_bins

)

select * from bins
