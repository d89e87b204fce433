{#- Whether a snapshot is that of a five-minute step; one between two steps is the snapshot of none. -#}
{% macro is_on_grid(time) -%}
    {{ time }} = {{ candle_start(time) }}
{%- endmacro %}
