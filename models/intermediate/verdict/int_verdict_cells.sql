{%- set edges = var('verdict_moves') -%}
with

candles as (

    select
        *,
        case
            {%- for edge in edges %}
            when adverse_move < {{ edge }} then {{ loop.index0 }}
            {%- endfor %}
            else {{ edges | length }}
        end as move_number,
        extreme_hours >= {{ var('verdict_extreme_hours_of_strata') }} as is_extreme
    from {{ ref('int_verdict_candles') }}

),

map_crossed as (

    select * from {{ ref('int_verdict_map_crossed') }}

),

-- A provider is asked from its first map on; one from elsewhere until its last one is too old.
own_providers as (

    {%- for name in var('position_models') %}

    select
        '{{ name }}' as provider,
        symbol,
        min(step_at) as since,
        timestamp '9999-12-31' as until
    from {{ ref('int_positions_' ~ name) }}
    group by symbol

    union all

    select
        '{{ name }}_of_other_days' as provider,
        symbol,
        min(step_at) + interval '{{ var("verdict_other_days") }} days' as since,
        timestamp '9999-12-31' as until
    from {{ ref('int_positions_' ~ name) }}
    group by symbol

    union all
    {%- endfor %}
    {%- for provider in ['volume_alone', 'fixed_distances', 'new_extremes'] %}

    select
        '{{ provider }}' as provider,
        symbol,
        timestamp '0001-01-01' as since,
        timestamp '9999-12-31' as until
    from candles
    group by symbol

    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

providers as (

    select * from own_providers

    union all

    select
        provider,
        symbol,
        min(as_of) as since,
        max(as_of) + interval '{{ var("liquidation_backtest_last_snapshot_hours") }} hours' as until
    from {{ ref('stg_external__levels') }}
    where market = 'um'
    group by provider, symbol

),

asked as (

    select
        providers.provider,
        candles.symbol,
        candles.side,
        candles.span_start,
        candles.block,
        candles.move_number,
        candles.is_extreme,
        candles.liquidated_usd,
        case when candles.liquidated_usd >= {{ var('verdict_many_usd') }} then 1 else 0 end as has_many,
        coalesce(map_crossed.crossed_usd, 0) as crossed_usd,
        case
            when providers.provider = 'new_extremes' then candles.is_extreme
            else coalesce(map_crossed.crossed_usd, 0) > 0
        end as is_crossing
    from candles
    inner join providers
        on
            candles.symbol = providers.symbol
            and candles.step_at > providers.since
            and candles.step_at <= providers.until
    left join map_crossed
        on
            providers.provider = map_crossed.provider
            and candles.symbol = map_crossed.symbol
            and candles.side = map_crossed.side
            and candles.step_at = map_crossed.step_at

),

blocks as (

    select
        provider,
        symbol,
        side,
        span_start,
        block,
        move_number,
        is_extreme,
        sum(case when is_crossing then 1 else 0 end) as crossing_candles,
        sum(case when is_crossing then 0 else 1 end) as other_candles,
        sum(case when is_crossing then liquidated_usd else 0 end) as crossing_usd,
        sum(case when is_crossing then 0 else liquidated_usd end) as other_usd,
        sum(case when is_crossing then has_many else 0 end) as crossing_with_many,
        sum(case when is_crossing then 0 else has_many end) as other_with_many,
        sum(crossed_usd) as crossed_usd
    from asked
    group by provider, symbol, side, span_start, block, move_number, is_extreme

),

-- Within a stratum candles are compared cell by cell: those of the same move, in the last one also both or neither of
-- them new extremes.
strata as (

    select
        *,
        case move_number
            {%- for edge in edges %}
            {%- set from = '%.2f to ' % (edges[loop.index0 - 1] * 100) if loop.index0 else 'up to ' %}
            when {{ loop.index0 }} then 'move {{ from }}{{ '%.2f' % (edge * 100) }} %'
            {%- endfor %}
            else 'move from {{ '%.2f' % (edges[-1] * 100) }} %'
        end as stratum,
        move_number as cell
    from blocks

    union all

    select
        *,
        'all moves' as stratum,
        move_number as cell
    from blocks

    union all

    select
        *,
        case when is_extreme then 'all moves, new extreme' else 'all moves, no new extreme' end as stratum,
        move_number as cell
    from blocks

    union all

    select
        *,
        'all moves and extremes' as stratum,
        move_number * 2 + case when is_extreme then 1 else 0 end as cell
    from blocks

    union all

    select
        *,
        'all moves, recording of ' || cast(cast(span_start as date) as string) as stratum,
        move_number as cell
    from blocks

),

cells as (

    select
        provider,
        symbol,
        side,
        stratum,
        cell,
        block,
        cast(sum(crossing_candles) as bigint) as crossing_candles,
        cast(sum(other_candles) as bigint) as other_candles,
        cast(sum(crossing_usd) as decimal(38, 8)) as crossing_usd,
        cast(sum(other_usd) as decimal(38, 8)) as other_usd,
        cast(sum(crossing_with_many) as bigint) as crossing_with_many,
        cast(sum(other_with_many) as bigint) as other_with_many,
        cast(sum(crossed_usd) as decimal(38, 8)) as crossed_usd
    from strata
    group by provider, symbol, side, stratum, cell, block

)

select * from cells
