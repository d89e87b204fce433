{#- End of a level, by liquidation or by closing; 9999-12-31 while it stands. It stands in [opened_at, level_ended_at). -#}
{% macro level_ended_at(levels='') -%}
    {%- set of = levels ~ '.' if levels else '' -%}
    coalesce({{ of }}liquidated_at, {{ of }}closed_at, timestamp '9999-12-31')
{%- endmacro %}


{#- Whether a level ends at a moment, or later, or not at all; it may be opened later, too. Where the moment is a
    constant, the engine looks at each of the two columns alone before it reads the others. -#}
{% macro ends_from(levels, moment) -%}
    (
            ({{ levels }}.liquidated_at is null or {{ levels }}.liquidated_at >= {{ moment }})
            and ({{ levels }}.closed_at is null or {{ levels }}.closed_at >= {{ moment }})
        )
{%- endmacro %}


{#- Whether a level ends within some steps: their prices reach its liquidation price, or too little of it is left. `steps`
    have low, high and log_share_total, of one step or the extremes of several; `closing_log_share` is the level's, its
    column of that name unless told. -#}
{% macro ends_within(steps, levels, closing_log_share=none) -%}
    {{ reaches_liquidation_price(steps, levels) }}
            or {{ steps }}.log_share_total < {{ closing_log_share or levels ~ '.closing_log_share' }}
{%- endmacro %}


{#- Whether the prices of a candle (`low`, `high`) reach the liquidation price of a level; touching it is enough. -#}
{% macro reaches_liquidation_price(candles, levels) -%}
    case
        when {{ levels }}.side = 'long' then {{ candles }}.low <= {{ levels }}.liquidation_price
        else {{ candles }}.high >= {{ levels }}.liquidation_price
    end
{%- endmacro %}
