{#-
    One CTE, `checks`, of the CTEs named: check_name, exchange, dataset, symbol, value and finding of each. `exchange` and
    `dataset` are columns, or the literals that all of these checks share. A finding is NULL where nothing was found.
-#}
{% macro union_of_checks(checks, exchange='exchange', dataset='dataset') -%}
checks as (

    {%- for check in checks %}

    select
        check_name,
        {{ exchange }} as exchange,
        {{ dataset }} as dataset,
        symbol,
        cast(value as decimal(38, 8)) as value,
        finding
    from {{ check }}

    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)
{%- endmacro %}
