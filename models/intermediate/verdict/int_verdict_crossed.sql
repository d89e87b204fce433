{%- set other_days = var('verdict_other_days') -%}
{%- set own = [] -%}
{%- for name in var('position_models') -%}
{%- do own.append({'provider': name, 'model': name, 'days': 0}) -%}
{%- do own.append({'provider': name ~ '_of_other_days', 'model': name, 'days': other_days}) -%}
{%- endfor -%}
with

spans as (

    select * from {{ ref('int_verdict_spans') }}

),

reaches as (

    select
        symbol,
        min(span_start) - interval '{{ var("verdict_level_days") }} days' as since,
        max(span_end) as until
    from spans
    group by symbol

),

candles as (

    select
        candles.symbol,
        candles.open_time + interval '5 minutes' as step_at,
        {{ entry_price_of_candle('candles') }} as entry_price,
        candles.volume
    from {{ ref('candles_with_side') }} as candles
    inner join reaches
        on
            candles.symbol = reaches.symbol
            and candles.open_time >= reaches.since
            and candles.open_time < reaches.until

),

timeline as (

    select
        timeline.symbol,
        timeline.step_at,
        timeline.low,
        timeline.high,
        timeline.last_open_interest,
        lag(timeline.last_open_interest) over (
            partition by timeline.symbol order by timeline.step_at
        ) as previous_open_interest
    from {{ ref('int_liquidation_timeline') }} as timeline
    inner join reaches
        on
            timeline.symbol = reaches.symbol
            and timeline.step_at > reaches.since
            and timeline.step_at <= reaches.until

),

{% for name in var('position_models') -%}
positions_{{ name }} as (

    select positions.*
    from {{ ref('int_positions_' ~ name) }} as positions
    inner join reaches
        on
            positions.symbol = reaches.symbol
            and positions.open_time >= reaches.since
            and positions.open_time < reaches.until

),

{% endfor -%}
-- What each provider opened, on which side and at what price. A map of other days has the openings of so many days
-- before, at the prices of the day itself; volume alone and fixed distances have all that was traded, and know no open
-- interest.
openings as (

    {%- for one in own %}
    {%- for side in ['long', 'short'] %}

    select
        '{{ one.provider }}' as provider,
        candles.symbol,
        '{{ side }}' as side,
        candles.step_at as opened_at,
        candles.entry_price,
        positions.opened_{{ side }} as quantity
    from positions_{{ one.model }} as positions
    inner join candles
        on
            positions.symbol = candles.symbol
            and positions.step_at{{ " + interval '" ~ one.days ~ " days'" if one.days }} = candles.step_at
    where positions.opened_{{ side }} > 0

    union all
    {%- endfor %}
    {%- endfor %}
    {%- for provider in ['volume_alone', 'fixed_distances'] %}
    {%- set is_last = loop.last %}
    {%- for side in ['long', 'short'] %}

    select
        '{{ provider }}' as provider,
        symbol,
        '{{ side }}' as side,
        step_at as opened_at,
        entry_price,
        cast(volume * cast(0.5 as decimal(2, 1)) as decimal(38, 16)) as quantity
    from candles
    where volume > 0

    {%- if not (is_last and loop.last) %}

    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}

),

external_providers as (

    select distinct
        provider,
        symbol
    from {{ ref('stg_external__levels') }}
    where market = 'um'

),

-- What is left of what stood, by provider: levels that know no open interest stand until they are crossed.
shares as (

    {%- for one in own %}

    select
        '{{ one.provider }}' as provider,
        timeline.symbol,
        timeline.step_at,
        timeline.low,
        timeline.high,
        {{ log_share_left(
            'timeline.last_open_interest', 'positions.opened_quantity', 'timeline.previous_open_interest'
        ) }} as log_share
    from timeline
    left join positions_{{ one.model }} as positions
        on
            timeline.symbol = positions.symbol
            and timeline.step_at = positions.step_at

    union all
    {%- endfor %}

    {%- for provider in ['volume_alone', 'fixed_distances'] %}

    select
        '{{ provider }}' as provider,
        symbol,
        step_at,
        low,
        high,
        cast(0 as decimal(38, 18)) as log_share
    from timeline

    union all
    {%- endfor %}

    select
        providers.provider,
        timeline.symbol,
        timeline.step_at,
        timeline.low,
        timeline.high,
        cast(0 as decimal(38, 18)) as log_share
    from timeline
    inner join external_providers as providers
        on timeline.symbol = providers.symbol

),

-- Each provider and symbol has its own positions in time, so that all are searched at once.
series as (

    select
        provider,
        symbol,
        row_number() over (order by provider, symbol) as series_number
    from shares
    group by provider, symbol

),

steps as (

    select
        shares.provider,
        shares.symbol,
        shares.step_at,
        shares.low,
        shares.high,
        shares.log_share,
        cast(
            sum(shares.log_share) over (
                partition by shares.provider, shares.symbol
                order by shares.step_at
                rows between unbounded preceding and current row
            ) as decimal(38, 18)
        ) as log_share_total,
        series.series_number * 16777216 + {{ five_minute_number('shares.step_at') }} as position
    from shares
    inner join series
        on
            shares.provider = series.provider
            and shares.symbol = series.symbol

),

bracket_symbols as (

    select distinct symbol from {{ ref('margin_brackets') }}

),

price_factors as (

    select * from {{ ref('int_liquidation_price_factors') }}

),

factors as (

    select
        series.provider,
        series.symbol,
        price_factors.side,
        price_factors.leverage,
        price_factors.valid_from,
        price_factors.valid_until,
        case
            when series.provider != 'fixed_distances' then price_factors.price_factor
            when price_factors.side = 'long' then 1 - 1 / cast(price_factors.leverage as double)
            else 1 + 1 / cast(price_factors.leverage as double)
        end as price_factor
    from series
    left join bracket_symbols
        on series.symbol = bracket_symbols.symbol
    inner join price_factors
        on coalesce(bracket_symbols.symbol, 'DEFAULT') = price_factors.symbol

),

-- Each leverage holds all that was opened: weights are laid on what was crossed.
own_levels as (

    select
        openings.provider,
        openings.symbol,
        openings.side,
        factors.leverage,
        openings.opened_at,
        cast('9999-12-31' as timestamp) as stands_until,
        {{ rounded_product('openings.entry_price', 'factors.price_factor', 'decimal(18, 8)') }} as liquidation_price,
        {{ rounded_product('openings.entry_price', 'openings.quantity', 'decimal(28, 8)') }} as volume_usd,
        steps.log_share_total as log_share_at_open,
        {{ closing_log_share('steps.log_share_total') }} as closing_log_share,
        steps.position + 1 as position
    from openings
    inner join factors
        on
            openings.provider = factors.provider
            and openings.symbol = factors.symbol
            and openings.side = factors.side
            and openings.opened_at >= factors.valid_from
            and openings.opened_at < factors.valid_until
    inner join steps
        on
            openings.provider = steps.provider
            and openings.symbol = steps.symbol
            and openings.opened_at = steps.step_at

),

external_times as (

    select
        provider,
        symbol,
        as_of,
        least(
            coalesce(
                lead(as_of) over (partition by provider, symbol order by as_of), timestamp '9999-12-31'
            ),
            as_of + interval '{{ var("liquidation_backtest_last_snapshot_hours") }} hours'
        ) as stands_until
    from {{ ref('stg_external__levels') }}
    where market = 'um'
    group by provider, symbol, as_of

),

-- The first candle that a map can meet begins when it was drawn, or later.
external_levels as (

    select
        levels.provider,
        levels.symbol,
        levels.side,
        0 as leverage,
        levels.as_of as opened_at,
        external_times.stands_until,
        levels.price as liquidation_price,
        cast(levels.volume as decimal(28, 8)) as volume_usd,
        cast(0 as decimal(38, 18)) as log_share_at_open,
        cast(-1 as decimal(38, 18)) as closing_log_share,
        series.series_number * 16777216
        + {{ five_minute_number(candle_start("levels.as_of + interval '10 minutes' - interval '1 microsecond'")) }}
            as position
    from {{ ref('stg_external__levels') }} as levels
    inner join external_times
        on
            levels.provider = external_times.provider
            and levels.symbol = external_times.symbol
            and levels.as_of = external_times.as_of
    inner join series
        on
            levels.provider = series.provider
            and levels.symbol = series.symbol
    where
        levels.market = 'um'
        and levels.volume > 0

),

levels as (

    select * from own_levels
    union all
    select * from external_levels

),

-- What is carried through the search is as narrow as can be.
searching as (

    select
        *,
        row_number() over (
            order by provider, symbol, side, leverage, opened_at, liquidation_price
        ) as level_id
    from levels

),

{{ first_endings(
    'searching',
    'steps',
    ['level_id']
) }},

-- Within a candle first the price crosses, then what is left shrinks.
crossings as (

    select
        levels.provider,
        levels.symbol,
        levels.side,
        levels.leverage,
        steps.step_at,
        {{ remaining(
            as_double('levels.volume_usd'),
            as_double('steps.log_share_total - steps.log_share'),
            as_double('levels.log_share_at_open')
        ) }} as volume_usd
    from first_endings
    inner join steps
        on first_endings.position = steps.position
    inner join searching as levels
        on first_endings.level_id = levels.level_id
    inner join spans
        on
            steps.symbol = spans.symbol
            and steps.step_at > spans.span_start
            and steps.step_at <= spans.span_end
    where
        steps.step_at <= levels.stands_until
        and case
            when levels.side = 'long' then steps.low <= levels.liquidation_price
            else steps.high >= levels.liquidation_price
        end

),

crossed as (

    select
        provider,
        symbol,
        side,
        leverage,
        step_at,
        cast(sum(volume_usd) as decimal(38, 8)) as crossed_usd,
        count(*) as levels
    from crossings
    group by provider, symbol, side, leverage, step_at

)

select * from crossed
