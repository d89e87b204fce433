{#-
    Whether a row is of a Binance USD-M perpetual: market `um`, and no delivery contract, whose symbol ends in an
    underscore and a date (`BTCUSDT_240628`). Everything from `klines_5m` on is about perpetuals.

    `relation`: the CTE or table of Binance that has `market` and `symbol`; empty where there is only one.
-#}
{% macro is_perpetual(relation='') -%}
    {%- set of = relation ~ '.' if relation else '' -%}
    ({{ of }}market = 'um' and instr({{ of }}symbol, '_') = 0)
{%- endmacro %}
