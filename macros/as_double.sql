{#-
    A wide decimal as double. DuckDB's cast divides twice in 128 bits where a value's digits do not fit into 53 of them: a
    microsecond for each open interest of 16 decimals, which was most of what a build took. The average of a list of one
    takes a thirtieth of that, and is the nearest double, as on other engines. Decimals of up to 18 digits are cast.
-#}
{% macro as_double(value) %}{{ return(adapter.dispatch('as_double')(value)) }}{% endmacro %}

{% macro duckdb__as_double(value) -%}
    list_avg([{{ value }}])
{%- endmacro %}
