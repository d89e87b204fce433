{#-
    A wide decimal as double. DuckDB's cast divides twice in 128 bits where a value does not fit into 53 of them: a
    microsecond for each open interest of 16 decimals, which was most of what a build took. The average of a list of one
    takes a thirtieth of that. It is the nearest double, or once in some thousand values its neighbour; the cast misses
    it more often. What has up to 18 digits is fast by `cast`, and need not come here.
-#}
{% macro as_double(value) %}{{ return(adapter.dispatch('as_double')(value)) }}{% endmacro %}

{% macro duckdb__as_double(value) -%}
    list_avg([{{ value }}])
{%- endmacro %}
