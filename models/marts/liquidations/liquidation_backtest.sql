with

liquidations as (

    select
        symbol,
        side,
        liquidated_at,
        average_price,
        accumulated_fill_quantity,
        lag(liquidated_at) over (partition by symbol, side order by liquidated_at) as previous_at
    from {{ ref('stg_binance__liquidations') }}
    where
        market = 'um'
        and average_price > 0
        and accumulated_fill_quantity > 0

),

-- Liquidations of a symbol and side that follow each other within a minute are one event.
numbered as (

    select
        *,
        sum(case when previous_at >= liquidated_at - interval '1 minute' then 0 else 1 end) over (
            partition by symbol, side
            order by liquidated_at
            range between unbounded preceding and current row
        ) as event_number
    from liquidations

),

events as (

    select
        symbol,
        side,
        event_number,
        min(liquidated_at) as event_at,
        cast(
            cast(sum(cast(average_price * accumulated_fill_quantity as decimal(38, 8))) as double)
            / cast(sum(accumulated_fill_quantity) as double) as double
        ) as event_price
    from numbered
    group by symbol, side, event_number

),

horizons as (

    {% for minutes in var('liquidation_backtest_horizons_minutes') %}
    select {{ minutes }} as horizon{{ '\n\n    union all\n' if not loop.last }}
    {% endfor %}

),

tolerances as (

    {% for tolerance in var('liquidation_backtest_tolerances') %}
    select cast({{ tolerance }} as decimal(9, 6)) as tolerance{{ '\n\n    union all\n' if not loop.last }}
    {% endfor %}

),

-- 0 is the map itself, the others are the null model: the same map as it stood days before.
lags as (

    select 0 as lag_days
    {% for days in var('liquidation_backtest_null_lags_days') %}
    union all
    select {{ days }} as lag_days
    {% endfor %}

),

prices as (

    select
        symbol,
        {{ candle_start('open_time', var('liquidation_heatmap_step_minutes')) }} as bucket_at,
        max_by(close, open_time) as price
    from {{ ref('candles_with_side') }}
    group by symbol, {{ candle_start('open_time', var('liquidation_heatmap_step_minutes')) }}

),

-- The last step that was over a horizon before the event, and the one so many days before that.
pictures as (

    select
        events.*,
        horizons.horizon,
        lags.lag_days,
        {{ candle_start(
            "events.event_at - horizons.horizon * interval '1 minute'", var('liquidation_heatmap_step_minutes')
        ) }}
        - interval '{{ var("liquidation_heatmap_step_minutes") }} minutes' as standing_bucket_at,
        {{ candle_start(
            "events.event_at - horizons.horizon * interval '1 minute'", var('liquidation_heatmap_step_minutes')
        ) }}
        - interval '{{ var("liquidation_heatmap_step_minutes") }} minutes'
        - lags.lag_days * interval '1 day' as bucket_at
    from events
    cross join horizons
    cross join lags

),

-- A large level holds at least so many times what the mean bin holds, among the bins of its side in reach of the price.
bins as (

    select
        heatmap.symbol,
        heatmap.bucket_at,
        heatmap.side,
        cast(heatmap.price_bin as double) / cast(prices.price as double) as relative_price,
        cast(heatmap.volume_usd as double) as volume_usd,
        cast(sum(heatmap.volume_usd) over map_side as double) / count(*) over map_side as mean_volume_usd
    from {{ ref('liquidation_heatmap') }} as heatmap
    inner join prices
        on
            heatmap.symbol = prices.symbol
            and heatmap.bucket_at = prices.bucket_at
    where
        heatmap.price_bin between
        prices.price * (1 - {{ var('liquidation_backtest_reach') }})
        and prices.price * (1 + {{ var('liquidation_backtest_reach') }})
    window map_side as (partition by heatmap.symbol, heatmap.bucket_at, heatmap.side)

),

large as (

    select * from bins
    where volume_usd >= mean_volume_usd * {{ var('liquidation_backtest_large') }}

),

-- Only events whose own map is kept and whose price then was in reach; distances relative to the price of each map.
judged as (

    select
        pictures.symbol,
        pictures.side,
        pictures.event_number,
        pictures.horizon,
        pictures.lag_days,
        pictures.bucket_at,
        pictures.event_price / cast(prices.price as double) as relative_event_price
    from pictures
    inner join prices
        on
            pictures.symbol = prices.symbol
            and pictures.standing_bucket_at = prices.bucket_at

),

with_map as (

    select distinct
        symbol,
        bucket_at,
        side
    from bins

),

hits as (

    select
        judged.symbol,
        judged.side,
        judged.event_number,
        judged.horizon,
        judged.lag_days,
        judged.bucket_at,
        tolerances.tolerance,
        max(
            case when abs(large.relative_price - judged.relative_event_price) <= tolerances.tolerance then 1 else 0 end
        ) as is_hit
    from judged
    cross join tolerances
    inner join with_map
        on
            judged.symbol = with_map.symbol
            and judged.side = with_map.side
            and judged.bucket_at = with_map.bucket_at
    left join large
        on
            judged.symbol = large.symbol
            and judged.side = large.side
            and judged.bucket_at = large.bucket_at
    group by
        judged.symbol,
        judged.side,
        judged.event_number,
        judged.horizon,
        judged.lag_days,
        judged.bucket_at,
        tolerances.tolerance

),

-- Share of the side's price range, from the price to the reach, that lies within the tolerance of a large level: the
-- union of the intervals, each counted from where the ones before it end.
intervals as (

    select
        large.symbol,
        large.bucket_at,
        large.side,
        tolerances.tolerance,
        case large.side when 'long' then 1 - {{ var('liquidation_backtest_reach') }} else 1 end as range_low,
        case large.side when 'long' then 1 else 1 + {{ var('liquidation_backtest_reach') }} end as range_high,
        large.relative_price - tolerances.tolerance as interval_low,
        large.relative_price + tolerances.tolerance as interval_high
    from large
    cross join tolerances

),

covered as (

    select
        *,
        greatest(
            interval_low,
            range_low,
            coalesce(
                max(interval_high) over (
                    partition by symbol, bucket_at, side, tolerance
                    order by interval_low, interval_high
                    rows between unbounded preceding and 1 preceding
                ), range_low
            )
        ) as covered_from
    from intervals

),

coverage as (

    select
        symbol,
        bucket_at,
        side,
        tolerance,
        sum(
            cast(greatest(least(interval_high, range_high) - covered_from, 0) as decimal(18, 12))
        ) / {{ var('liquidation_backtest_reach') }} as coverage_share
    from covered
    group by symbol, bucket_at, side, tolerance

),

scored as (

    select
        hits.symbol,
        hits.side,
        hits.horizon,
        hits.tolerance,
        sum(case when hits.lag_days = 0 then 1 else 0 end) as events,
        sum(case when hits.lag_days = 0 then hits.is_hit else 0 end) as hit_count,
        sum(
            case when hits.lag_days = 0 then cast(coalesce(coverage.coverage_share, 0) as decimal(18, 12)) else 0 end
        ) as coverage_sum,
        sum(case when hits.lag_days > 0 then 1 else 0 end) as null_count,
        sum(case when hits.lag_days > 0 then hits.is_hit else 0 end) as null_hit_count
    from hits
    left join coverage
        on
            hits.symbol = coverage.symbol
            and hits.side = coverage.side
            and hits.bucket_at = coverage.bucket_at
            and hits.tolerance = coverage.tolerance
    group by hits.symbol, hits.side, hits.horizon, hits.tolerance

),

rates as (

    select
        symbol,
        side,
        horizon,
        tolerance,
        cast(events as bigint) as events,
        cast(cast(hit_count as double) / cast(events as double) as decimal(18, 12)) as hit_rate,
        cast(cast(coverage_sum as double) / cast(events as double) as decimal(18, 12)) as coverage_share,
        cast(
            cast(null_hit_count as double) / cast(nullif(null_count, 0) as double) as decimal(18, 12)
        ) as null_hit_rate,
        cast(
            (cast(hit_count as double) / cast(events as double))
            / (cast(nullif(null_hit_count, 0) as double) / cast(nullif(null_count, 0) as double)) as decimal(18, 6)
        ) as lift
    from scored
    where events > 0

)

select * from rates
