with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'liquidation_levels'

),

symbol_numbers as (

    select
        symbol,
        rebuild_from,
        row_number() over (order by symbol) as symbol_number
    from rebuild_plan

),

openings as (

    {%- for side in ['long', 'short'] %}

    select
        positions.symbol,
        '{{ side }}' as side,
        positions.step_at as opened_at,
        positions.entry_price,
        positions.opened_{{ side }} as opened_quantity
    from {{ ref('int_positions') }} as positions
    inner join rebuild_plan
        on
            positions.symbol = rebuild_plan.symbol
            and positions.open_time >= rebuild_plan.rebuild_from - interval '5 minutes'
    where
        positions.opened_{{ side }} > 0
        and positions.open_time >= {{ rebuild_floor() }} - interval '5 minutes'

    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

timeline as (

    select
        timeline.symbol,
        timeline.step_at,
        timeline.low,
        timeline.high,
        timeline.log_share,
        timeline.log_share_total,
        symbol_numbers.symbol_number * 16777216 + {{ five_minute_number('timeline.step_at') }} as position
    from {{ ref('int_liquidation_timeline') }} as timeline
    inner join symbol_numbers
        on
            timeline.symbol = symbol_numbers.symbol
            and timeline.step_at >= symbol_numbers.rebuild_from
    where timeline.step_at >= {{ rebuild_floor() }}

),

price_factors as (

    select * from {{ ref('int_liquidation_price_factors') }}
    -- a leverage of no weight is judged by the verdict and makes no levels
    where quantity_share > 0

),

bracket_symbols as (

    select distinct symbol from {{ ref('margin_brackets') }}

),

symbol_settings as (

    select * from {{ ref('symbols') }}

),

symbols as (

    select
        symbol_numbers.symbol,
        coalesce(bracket_symbols.symbol, 'DEFAULT') as bracket_symbol,
        symbol_settings.price_bin_width
    from symbol_numbers
    left join bracket_symbols
        on symbol_numbers.symbol = bracket_symbols.symbol
    left join symbol_settings
        on symbol_numbers.symbol = symbol_settings.symbol

),

-- A left join, so that no engine thinks of joining the brackets of all symbols first.
terms as (

    select
        openings.*,
        symbols.bracket_symbol,
        symbols.price_bin_width
    from openings
    left join symbols
        on openings.symbol = symbols.symbol

),

-- One level for each leverage the bracket allows.
opened as (

    select
        terms.symbol,
        terms.side,
        price_factors.leverage,
        terms.opened_at,
        terms.entry_price,
        {{ rounded_product('terms.entry_price', 'price_factors.price_factor', 'decimal(18, 8)') }} as liquidation_price,
        {{ rounded_product('terms.opened_quantity', 'price_factors.quantity_share', 'decimal(28, 10)') }} as quantity,
        timeline.log_share_total as log_share_at_open,
        terms.price_bin_width
    from terms
    inner join price_factors
        on
            terms.bracket_symbol = price_factors.symbol
            and terms.side = price_factors.side
            and terms.opened_at >= price_factors.valid_from
            and terms.opened_at < price_factors.valid_until
    inner join timeline
        on
            terms.symbol = timeline.symbol
            and terms.opened_at = timeline.step_at

),

new_levels as (

    select
        symbol,
        side,
        leverage,
        opened_at,
        entry_price,
        liquidation_price,
        {{ price_bin('liquidation_price', 'price_bin_width') }} as price_bin,
        quantity,
        {{ rounded_product('quantity', 'entry_price', 'decimal(28, 8)') }} as volume_usd,
        log_share_at_open
    from opened
    -- A price of a few 0.00000001 has no room between entry and liquidation. The exchange quotes no finer price, so no
    -- candle could tell whether such a level was crossed: more digits would make up an answer. There is no level then.
    where
        case
            when side = 'long' then liquidation_price < entry_price
            else liquidation_price > entry_price
        end

),

-- Older levels that end otherwise now, or may: those that had ended within the rebuilt time, and those that stood and
-- are reached in it. All others stay as they are, the many that stand on among them.
/* carried in */
{% if is_incremental() %}
rebuilt_extremes as (

    select
        symbol,
        min(low) as low,
        max(high) as high,
        min(log_share_total) as log_share_total
    from timeline
    group by symbol

),

{% endif %}
carried_in as (

    {% if is_incremental() %}
    select
        levels.symbol,
        levels.side,
        levels.leverage,
        levels.opened_at,
        levels.entry_price,
        levels.liquidation_price,
        levels.price_bin,
        levels.quantity,
        levels.volume_usd,
        levels.log_share_at_open
    from {{ this }} as levels
    inner join rebuild_plan
        on
            levels.symbol = rebuild_plan.symbol
            and levels.opened_at < rebuild_plan.rebuild_from
    left join rebuilt_extremes
        on levels.symbol = rebuilt_extremes.symbol
    where
        {{ ends_from('levels', rebuild_floor()) }}
        and {{ level_ended_at('levels') }} >= rebuild_plan.rebuild_from
        and (
            coalesce(levels.liquidated_at, levels.closed_at) is not null
            or {{ ends_within('rebuilt_extremes', 'levels', closing_log_share('levels.log_share_at_open')) }}
        )
    {% else %}
    select * from new_levels
    where false
    {% endif %}

),
/* end carried in */

levels as (

    select * from new_levels
    union all
    select * from carried_in

),

searching as (

    select
        levels.*,
        {{ closing_log_share('levels.log_share_at_open') }} as closing_log_share,
        symbol_numbers.symbol_number * 16777216
        + {{ five_minute_number("greatest(levels.opened_at + interval '5 minutes', symbol_numbers.rebuild_from)") }}
            as position
    from levels
    inner join symbol_numbers
        on levels.symbol = symbol_numbers.symbol

),

{{ first_endings(
    'searching',
    'timeline',
    ['symbol', 'leverage', 'opened_at', 'entry_price', 'price_bin', 'quantity', 'volume_usd', 'log_share_at_open']
) }},

endings as (

    select
        levels.*,
        timeline.step_at as ended_at,
        coalesce(
            {{ reaches_liquidation_price('timeline', 'levels') }}, false
        ) as is_liquidated,
        timeline.log_share_total - timeline.log_share as log_share_before
    from first_endings as levels
    left join timeline
        on levels.position = timeline.position

),

-- Within a candle first the price crosses, then the fall of open interest shrinks what is left.
lives as (

    select
        symbol,
        side,
        leverage,
        opened_at,
        entry_price,
        liquidation_price,
        price_bin,
        quantity,
        volume_usd,
        case when is_liquidated then ended_at end as liquidated_at,
        case
            when is_liquidated
                then {{ remaining(
                    as_double('volume_usd'), as_double('log_share_before'), as_double('log_share_at_open')
                ) }}
        end as liquidated_volume_usd,
        case when not is_liquidated then ended_at end as closed_at,
        log_share_at_open
    from endings

)

select * from lives
-- Everybody asks for a symbol, and most for a time: the engine skips the blocks of others.
order by symbol, opened_at
