{#- One row for each step from `start` (inclusive) to `stop` (exclusive), as a column of a select. -#}
{% macro explode_steps(start, stop, minutes=5) %}
    {{- return(adapter.dispatch('explode_steps')(start, stop, minutes)) -}}
{% endmacro %}

{% macro duckdb__explode_steps(start, stop, minutes) -%}
    unnest(range({{ start }}, {{ stop }}, interval '{{ minutes }} minutes'))
{%- endmacro %}
