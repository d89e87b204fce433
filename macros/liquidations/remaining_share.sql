{#-
    Share of a level's quantity that is left, from the running sum of logarithms now and when it was opened
    (`int_liquidation_timeline.log_share_total`). One place for the rounding, so that the map, the newest step of the
    heatmap and what was liquidated agree to the last digit.
-#}
{% macro remaining_share(log_share_now, log_share_at_open) -%}
    cast(exp(cast({{ log_share_now }} - {{ log_share_at_open }} as double)) as decimal(18, 14))
{%- endmacro %}


{#- Logarithm of the share below which a level counts as closed, a thousandth. -#}
{% macro log_closed_share() -%}
    cast(-6.907755278982137052 as decimal(38, 18))
{%- endmacro %}
