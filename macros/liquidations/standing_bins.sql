{#-
    What stood at each of some moments, by side and price bin: the same as the heatmap shows, for moments that lie anywhere
    in the history and for bins near the price only. Gives CTEs; the last of them, `standing_bins`, has symbol, as_of,
    side, price_bin and volume_usd.

    A level stands in [opened_at, ended_at). A cross join of levels and moments is too large, so moments are taken day by
    day. All standing levels shrink by the same share, so the levels that stand from a day's first moment to its last are
    added up once, as of the day, and only the sums are shrunk to each moment. The few levels that begin or end in between
    are joined with each moment.

    `levels`: a CTE with symbol, side, price_bin, opened_at, ended_at (far away for one that still stands), and volume_usd
    and log_share_at_open, both double.
    `moments`: a CTE with symbol, as_of, log_share_total, and lowest_price and highest_price, between which the bins
    must lie to be wanted; all three double, since they are compared and multiplied millions of times.
-#}
{% macro standing_bins(levels, moments) -%}
days_of_moments as (

    select
        symbol,
        {{ candle_start('as_of', 1440) }} as day,
        min(as_of) as first_as_of,
        max(as_of) as last_as_of,
        max(log_share_total) as log_share_total,
        min(lowest_price) as lowest_price,
        max(highest_price) as highest_price
    from {{ moments }}
    group by symbol, {{ candle_start('as_of', 1440) }}

),

moments_of_days as (

    select
        moments.*,
        days_of_moments.day,
        moments.log_share_total - days_of_moments.log_share_total as log_share_since
    from {{ moments }} as moments
    inner join days_of_moments
        on
            moments.symbol = days_of_moments.symbol
            and {{ candle_start('moments.as_of', 1440) }} = days_of_moments.day

),

reaches_of_moments as (

    select
        symbol,
        min(first_as_of) as first_as_of,
        max(last_as_of) as last_as_of
    from days_of_moments
    group by symbol

),

days_of_levels as (

    select
        levels.*,
        cast(levels.price_bin as double) as price,
        {{ explode_steps(
            candle_start('greatest(levels.opened_at, reaches_of_moments.first_as_of)', 1440),
            "least(levels.ended_at, reaches_of_moments.last_as_of + interval '1 microsecond')",
            1440
        ) }} as day
    from {{ levels }} as levels
    inner join reaches_of_moments
        on
            levels.symbol = reaches_of_moments.symbol
            and levels.opened_at <= reaches_of_moments.last_as_of
            and levels.ended_at > reaches_of_moments.first_as_of

),

levels_as_of_days as (

    select
        days_of_levels.symbol,
        days_of_levels.day,
        days_of_levels.side,
        days_of_levels.price_bin,
        days_of_levels.price,
        days_of_levels.opened_at,
        days_of_levels.ended_at,
        days_of_levels.opened_at <= days_of_moments.first_as_of
        and days_of_levels.ended_at > days_of_moments.last_as_of as stands_all_day,
        {{ remaining(
            'days_of_levels.volume_usd', 'days_of_moments.log_share_total', 'days_of_levels.log_share_at_open'
        ) }} as volume_of_day
    from days_of_levels
    inner join days_of_moments
        on
            days_of_levels.symbol = days_of_moments.symbol
            and days_of_levels.day = days_of_moments.day
            and days_of_levels.opened_at <= days_of_moments.last_as_of
            and days_of_levels.ended_at > days_of_moments.first_as_of
            and days_of_levels.price >= days_of_moments.lowest_price
            and days_of_levels.price <= days_of_moments.highest_price

),

bins_of_days as (

    select
        symbol,
        day,
        side,
        price_bin,
        price,
        sum(volume_of_day) as volume_of_day
    from levels_as_of_days
    where stands_all_day
    group by symbol, day, side, price_bin, price

),

parts_of_bins as (

    select
        moments_of_days.symbol,
        moments_of_days.as_of,
        moments_of_days.log_share_since,
        bins_of_days.side,
        bins_of_days.price_bin,
        bins_of_days.volume_of_day
    from bins_of_days
    inner join moments_of_days
        on
            bins_of_days.symbol = moments_of_days.symbol
            and bins_of_days.day = moments_of_days.day
            and bins_of_days.price >= moments_of_days.lowest_price
            and bins_of_days.price <= moments_of_days.highest_price

    union all

    select
        moments_of_days.symbol,
        moments_of_days.as_of,
        moments_of_days.log_share_since,
        levels_as_of_days.side,
        levels_as_of_days.price_bin,
        levels_as_of_days.volume_of_day
    from levels_as_of_days
    inner join moments_of_days
        on
            levels_as_of_days.symbol = moments_of_days.symbol
            and levels_as_of_days.day = moments_of_days.day
            and levels_as_of_days.opened_at <= moments_of_days.as_of
            and levels_as_of_days.ended_at > moments_of_days.as_of
            and levels_as_of_days.price >= moments_of_days.lowest_price
            and levels_as_of_days.price <= moments_of_days.highest_price
    where not levels_as_of_days.stands_all_day

),

standing_bins as (

    select
        symbol,
        as_of,
        side,
        price_bin,
        cast(
            {{ as_double('sum(volume_of_day)') }} * exp(max(log_share_since)) as decimal(38, 8)
        ) as volume_usd
    from parts_of_bins
    group by symbol, as_of, side, price_bin

)
{%- endmacro %}
