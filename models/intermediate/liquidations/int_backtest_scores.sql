with

tolerances as (

    {% for tolerance in var('liquidation_backtest_tolerances') %}
    select cast({{ tolerance }} as decimal(9, 6)) as tolerance{{ '\n\n    union all\n' if not loop.last }}
    {% endfor %}

),

asked as (

    select
        map_snapshots.provider,
        cases.symbol,
        cases.side,
        cases.event_number,
        cases.horizon,
        cases.lag_days,
        cases.asked_at,
        cases.relative_event_price,
        {{ step_number('cases.event_at', var('verdict_block_hours') * 3600) }} as block,
        min(cases.lag_days) over (
            partition by
                map_snapshots.provider, cases.symbol, cases.side, cases.event_number, cases.horizon
        ) as least_lag_days
    from {{ ref('int_backtest_cases') }} as cases
    inner join {{ ref('int_backtest_map_snapshots') }} as map_snapshots
        on
            cases.symbol = map_snapshots.symbol
            and cases.asked_at = map_snapshots.asked_at

),

-- An event is judged by a provider's map that stood before it; without one it is not judged at all. A map that has no
-- level near it, or none on its side, is a map that missed it.
judged as (

    select * from asked
    where least_lag_days = 0

),

-- A large level holds at least so many times what the mean bin holds, among the bins of its side in reach of the price.
-- Distances are relative to the price of each map.
bins as (

    select
        bins.provider,
        bins.symbol,
        bins.asked_at,
        bins.side,
        cast(bins.price_bin as double) / cast(map_snapshots.price as double) as relative_price,
        cast(bins.volume as double) as volume,
        cast(sum(bins.volume) over map_side as double) / count(*) over map_side as mean_volume
    from {{ ref('int_backtest_bins') }} as bins
    inner join {{ ref('int_backtest_map_snapshots') }} as map_snapshots
        on
            bins.provider = map_snapshots.provider
            and bins.symbol = map_snapshots.symbol
            and bins.asked_at = map_snapshots.asked_at
    window map_side as (partition by bins.provider, bins.symbol, bins.asked_at, bins.side)

),

large as (

    select
        provider,
        symbol,
        asked_at,
        side,
        relative_price
    from bins
    where volume >= mean_volume * {{ var('liquidation_backtest_large') }}

),

nearest as (

    select
        judged.provider,
        judged.symbol,
        judged.side,
        judged.event_number,
        judged.horizon,
        judged.lag_days,
        judged.asked_at,
        judged.block,
        min(abs(large.relative_price - judged.relative_event_price)) as distance
    from judged
    left join large
        on
            judged.provider = large.provider
            and judged.symbol = large.symbol
            and judged.side = large.side
            and judged.asked_at = large.asked_at
    group by
        judged.provider,
        judged.symbol,
        judged.side,
        judged.event_number,
        judged.horizon,
        judged.lag_days,
        judged.asked_at,
        judged.block

),

hits as (

    select
        nearest.provider,
        nearest.symbol,
        nearest.side,
        nearest.horizon,
        nearest.lag_days,
        nearest.asked_at,
        nearest.block,
        tolerances.tolerance,
        case when nearest.distance <= tolerances.tolerance then 1 else 0 end as is_hit
    from nearest
    cross join tolerances

),

-- Share of the side's price range, from the price to the reach, that lies within the tolerance of a large level: the
-- union of the intervals, each counted from where the ones before it end.
intervals as (

    select
        large.provider,
        large.symbol,
        large.asked_at,
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
                    partition by provider, symbol, asked_at, side, tolerance
                    order by interval_low, interval_high
                    rows between unbounded preceding and 1 preceding
                ), range_low
            )
        ) as covered_from
    from intervals

),

coverage as (

    select
        provider,
        symbol,
        asked_at,
        side,
        tolerance,
        sum(
            cast(greatest(least(interval_high, range_high) - covered_from, 0) as decimal(18, 12))
        ) / {{ var('liquidation_backtest_reach') }} as coverage_share
    from covered
    group by provider, symbol, asked_at, side, tolerance

),

counted as (

    select
        hits.provider,
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
            hits.provider = coverage.provider
            and hits.symbol = coverage.symbol
            and hits.side = coverage.side
            and hits.asked_at = coverage.asked_at
            and hits.tolerance = coverage.tolerance
    group by hits.provider, hits.symbol, hits.side, hits.horizon, hits.tolerance

),

scores as (

    select
        provider,
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
    from counted

),

-- For the interval: the lift with one block of hours left out each, since liquidations come in bursts.
blocks as (

    select
        provider,
        symbol,
        side,
        horizon,
        tolerance,
        block,
        sum(case when lag_days = 0 then 1 else 0 end) as events,
        sum(case when lag_days = 0 then is_hit else 0 end) as hit_count,
        sum(case when lag_days > 0 then 1 else 0 end) as null_count,
        sum(case when lag_days > 0 then is_hit else 0 end) as null_hit_count
    from hits
    group by provider, symbol, side, horizon, tolerance, block

),

left_out as (

    select
        blocks.provider,
        blocks.symbol,
        blocks.side,
        blocks.horizon,
        blocks.tolerance,
        {{ log_ratio(
            '(counted.hit_count - blocks.hit_count) * (counted.null_count - blocks.null_count)',
            '(counted.null_hit_count - blocks.null_hit_count) * (counted.events - blocks.events)'
        ) }} as log_lift
    from blocks
    inner join counted
        on
            blocks.provider = counted.provider
            and blocks.symbol = counted.symbol
            and blocks.side = counted.side
            and blocks.horizon = counted.horizon
            and blocks.tolerance = counted.tolerance

),

half_widths as (

    select
        provider,
        symbol,
        side,
        horizon,
        tolerance,
        {{ jackknife_half_width('log_lift') }} as half_width
    from left_out
    group by provider, symbol, side, horizon, tolerance

),

scores_with_intervals as (

    select
        scores.*,
        case
            when scores.lift > 0
                then cast(exp(ln(cast(scores.lift as double)) - half_widths.half_width) as decimal(18, 6))
        end as lift_low,
        case
            -- beyond that, nothing is known
            when scores.lift > 0 and half_widths.half_width < 20
                then cast(exp(ln(cast(scores.lift as double)) + half_widths.half_width) as decimal(18, 6))
        end as lift_high
    from scores
    inner join half_widths
        on
            scores.provider = half_widths.provider
            and scores.symbol = half_widths.symbol
            and scores.side = half_widths.side
            and scores.horizon = half_widths.horizon
            and scores.tolerance = half_widths.tolerance

)

select * from scores_with_intervals
