{#- A query: when each set of margin brackets holds, one row a symbol and set. `brackets` is a table of brackets; a set
    is named by its `valid_from`. Before its first known set, a symbol is taken to have had that set already. -#}
{% macro bracket_periods(brackets) -%}
    select
        symbol,
        valid_from as set_valid_from,
        case
            when row_number() over (partition by symbol order by valid_from) = 1 then timestamp '0001-01-01'
            else cast(valid_from as timestamp)
        end as valid_from,
        coalesce(
            cast(lead(valid_from) over (partition by symbol order by valid_from) as timestamp), timestamp '9999-12-31'
        ) as valid_until
    from {{ brackets }}
    group by symbol, valid_from
{%- endmacro %}
