with

spans as (

    select * from {{ ref('int_verdict_spans') }}

),

reaches as (

    select
        symbol,
        min(span_start) - interval '{{ var("verdict_extreme_hours") | max }} hours' as since,
        max(span_end) as until
    from spans
    group by symbol

),

klines as (

    select klines.*
    from {{ ref('klines_5m') }} as klines
    inner join reaches
        on
            klines.symbol = reaches.symbol
            and klines.open_time >= reaches.since
            and klines.open_time < reaches.until

),

-- Extremes of the hours before each candle.
with_extremes as (

    select
        *
        {%- for hours in var('verdict_extreme_hours') %}
        {%- set before -%}
            over (
            partition by symbol
            order by open_time
            range between interval '{{ (hours * 60) | int }} minutes' preceding and interval '5 minutes' preceding
        )
        {%- endset %},
        min(low) {{ before }} as low_{{ loop.index }},
        max(high) {{ before }} as high_{{ loop.index }}
        {%- endfor %}
    from klines

),

candles as (

    select
        with_extremes.*,
        spans.span_start
    from with_extremes
    inner join spans
        on
            with_extremes.symbol = spans.symbol
            and with_extremes.open_time >= spans.span_start
            and with_extremes.open_time < spans.span_end

),

-- How far the price went against the side within the candle, and the longest of the given hours of which it is a new
-- extreme for that side (0 = of none).
sides as (

    {%- for side in ['long', 'short'] %}

    select
        symbol,
        '{{ side }}' as side,
        open_time + interval '5 minutes' as step_at,
        span_start,
        cast(
            {{ '(open - low)' if side == 'long' else '(high - open)' }} / cast(open as double) as decimal(18, 12)
        ) as adverse_move,
        {{ rounded_product('volume', 'close', 'decimal(38, 8)') }} as traded_usd,
        cast(greatest(
            0
            {%- for hours in var('verdict_extreme_hours') %},
            case
                when {{ 'low < low_' ~ loop.index if side == 'long' else 'high > high_' ~ loop.index }} then {{ hours }}
            end
            {%- endfor %}
        ) as decimal(9, 2)) as extreme_hours
    from candles

    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- Strays tell nothing of where a position was liquidated, but it was.
recorded as (

    select
        symbol,
        side,
        {{ candle_start('liquidated_at') }} + interval '5 minutes' as step_at,
        sum(volume_usd) as liquidated_usd,
        count(*) as orders
    from {{ ref('recorded_liquidations') }}
    where is_stray is not true
    group by symbol, side, {{ candle_start('liquidated_at') }}

),

judged as (

    select
        sides.symbol,
        sides.side,
        sides.step_at,
        sides.span_start,
        {{ step_number("sides.step_at - interval '5 minutes'", var('verdict_block_hours') * 3600) }} as block,
        sides.adverse_move,
        sides.traded_usd,
        sides.extreme_hours,
        coalesce(recorded.liquidated_usd, 0) as liquidated_usd,
        coalesce(recorded.orders, 0) as orders
    from sides
    left join recorded
        on
            sides.symbol = recorded.symbol
            and sides.side = recorded.side
            and sides.step_at = recorded.step_at

)

select * from judged
