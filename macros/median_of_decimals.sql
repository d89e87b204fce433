{#- The median of a decimal(18, 8); of an even number of values the mean of the middle two, half a digit away from zero.
    The engines' own medians differ there: DuckDB's rounds down, Spark's is a double. -#}
{% macro median_of_decimals(column) -%}
    cast(
        (
            cast(percentile_disc(0.5) within group (order by {{ column }}) as decimal(18, 8))
            + cast(percentile_disc(0.5) within group (order by {{ column }} desc) as decimal(18, 8))
        ) * 0.5 as decimal(18, 8)
    )
{%- endmacro %}
