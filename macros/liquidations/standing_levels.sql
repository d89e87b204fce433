{#-
    Which levels stood at each moment, and what was left of them. Gives CTEs; the last of them, `standing_levels`, has
    symbol, pictured_at, side, price_bin and volume_usd, one row for each level and moment. The heatmap and the backtest
    both take their pictures from here.

    A level stands from opened_at on, ended_at excluded. To ask every moment of every level would be the product of the
    two, so both are sorted into days first: a level meets only the moments of days on which it stood.

    `levels`: a CTE with symbol, side, price_bin, opened_at, ended_at (far away for one that still stands), and volume_usd
    and log_share_at_open, both double.
    `moments`: a CTE with symbol, pictured_at, log_share_total (double), and lowest_price and highest_price, between which
    the bins must lie to be wanted; NULL for all.
-#}
{% macro standing_levels(levels, moments) -%}
reaches_of_moments as (

    select
        symbol,
        min(pictured_at) as first_pictured_at,
        max(pictured_at) as last_pictured_at
    from {{ moments }}
    group by symbol

),

days_of_moments as (

    select
        *,
        {{ candle_start('pictured_at', 1440) }} as day
    from {{ moments }}

),

days_of_levels as (

    select
        levels.symbol,
        levels.side,
        levels.price_bin,
        levels.opened_at,
        levels.ended_at,
        levels.volume_usd,
        levels.log_share_at_open,
        {{ explode_steps(
            candle_start('greatest(levels.opened_at, reaches_of_moments.first_pictured_at)', 1440),
            "least(levels.ended_at, reaches_of_moments.last_pictured_at + interval '1 microsecond')",
            1440
        ) }} as day
    from {{ levels }} as levels
    inner join reaches_of_moments
        on
            levels.symbol = reaches_of_moments.symbol
            and levels.opened_at <= reaches_of_moments.last_pictured_at
            and levels.ended_at > reaches_of_moments.first_pictured_at

),

standing_levels as (

    select
        days_of_moments.symbol,
        days_of_moments.pictured_at,
        days_of_levels.side,
        days_of_levels.price_bin,
        {{ remaining('days_of_levels.volume_usd', 'days_of_moments.log_share_total', 'days_of_levels.log_share_at_open') }}
            as volume_usd
    from days_of_levels
    inner join days_of_moments
        on
            days_of_levels.symbol = days_of_moments.symbol
            and days_of_levels.day = days_of_moments.day
            and days_of_levels.opened_at <= days_of_moments.pictured_at
            and days_of_levels.ended_at > days_of_moments.pictured_at
            and coalesce(days_of_levels.price_bin >= days_of_moments.lowest_price, true)
            and coalesce(days_of_levels.price_bin <= days_of_moments.highest_price, true)

)
{%- endmacro %}
