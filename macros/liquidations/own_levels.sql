{#- How the backtest calls the levels of this project among the providers. No file of levels can bring this name: the
    names of providers have no dot. -#}
{% macro own_levels() %}'marts.liquidation_levels'{% endmacro %}
