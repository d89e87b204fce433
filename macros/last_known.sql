{#- The last value of a window that is not NULL; write `over` behind it. -#}
{% macro last_known(value) %}{{ return(adapter.dispatch('last_known')(value)) }}{% endmacro %}

{% macro duckdb__last_known(value) -%}
    last_value({{ value }} ignore nulls)
{%- endmacro %}


{#- The first one. -#}
{% macro first_known(value) %}{{ return(adapter.dispatch('first_known')(value)) }}{% endmacro %}

{% macro duckdb__first_known(value) -%}
    first_value({{ value }} ignore nulls)
{%- endmacro %}
