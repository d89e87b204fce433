{#-
    What is left of an amount, from the running sum of logarithms now and when the level was opened
    (`int_liquidation_timeline.log_share_total`). Amount and logarithms are double. One place for the rounding, so that the map, the newest step of the
    heatmap and what was liquidated agree to the last digit: each level's amount is computed in double, the same on
    every run, and rounded; what is summed are decimals.
-#}
{% macro remaining(amount, log_share_now, log_share_at_open, data_type='decimal(28, 8)') -%}
    {{ double_as_decimal(amount ~ ' * exp(' ~ log_share_now ~ ' - ' ~ log_share_at_open ~ ')', data_type) }}
{%- endmacro %}


{#- Logarithm of the share of what stood at the snapshot before that is left at a snapshot: its open interest without
    what was opened since. At least a millionth, so that there is a logarithm. -#}
{% macro log_share_left(open_interest, opened_quantity, previous_open_interest) -%}
    {%- set share_left -%}
        ln(
            greatest(
                cast(0.000001 as double),
                least(
                    cast(1 as double),
                    {{ as_double(open_interest ~ ' - coalesce(' ~ opened_quantity ~ ', 0)') }}
                    / {{ as_double(previous_open_interest) }}
                )
            )
        )
    {%- endset -%}
    {{ double_as_decimal(share_left, 'decimal(38, 18)') }}
{%- endmacro %}


{#- The running sum of logarithms below which a level counts as closed: a thousandth is left of what it opened with. -#}
{% macro closing_log_share(log_share_at_open) -%}
    cast({{ log_share_at_open }} + cast(-6.907755278982137052 as decimal(38, 18)) as decimal(38, 18))
{%- endmacro %}


{#- A product rounded to a decimal type. Through double, whose 15 digits are more than prices and contracts have: DuckDB
    rounds products of wide decimals a hundred times slower. -#}
{% macro rounded_product(left, right, data_type) -%}
    {{ double_as_decimal(as_double(left) ~ ' * ' ~ as_double(right), data_type) }}
{%- endmacro %}


{#- A double rounded to a decimal type, to the same digits on every engine. -#}
{% macro double_as_decimal(value, data_type) %}{{ return(adapter.dispatch('double_as_decimal')(value, data_type)) }}{% endmacro %}

{% macro duckdb__double_as_decimal(value, data_type) -%}
    cast({{ value }} as {{ data_type }})
{%- endmacro %}
