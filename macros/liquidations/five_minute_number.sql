{#- Number of the five minutes that begin at a time, counted from 1970; the time lies on the grid. -#}
{% macro five_minute_number(time) -%}
    {{ step_number(time, 300) }}
{%- endmacro %}
