{#- Number of the five minutes that begin at a time, counted from 1970; the time lies on the grid. -#}
{% macro five_minute_number(time) %}{{ return(adapter.dispatch('five_minute_number')(time)) }}{% endmacro %}

{% macro duckdb__five_minute_number(time) -%}
    epoch_ms({{ time }}) // 300000
{%- endmacro %}

{% macro default__five_minute_number(time) -%}
    unix_timestamp({{ time }}) div 300
{%- endmacro %}
