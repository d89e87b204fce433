{#- End of a level, by liquidation or by closing; 9999-12-31 while it stands. It stands in [opened_at, level_ended_at). -#}
{% macro level_ended_at(levels='') -%}
    {%- set of = levels ~ '.' if levels else '' -%}
    coalesce({{ of }}liquidated_at, {{ of }}closed_at, timestamp '9999-12-31')
{%- endmacro %}


{#- Whether the prices of a candle (`low`, `high`) reach the liquidation price of a level; touching it is enough. -#}
{% macro reaches_liquidation_price(candles, levels) -%}
    case
        when {{ levels }}.side = 'long' then {{ candles }}.low <= {{ levels }}.liquidation_price
        else {{ candles }}.high >= {{ levels }}.liquidation_price
    end
{%- endmacro %}
