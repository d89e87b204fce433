{#- Whether a group of rows is more than one, or lacks a column of the key; for `having`. -#}
{% macro violates_key(columns) -%}
    count(*) > 1{% for column in columns %} or {{ column }} is null{% endfor %}
{%- endmacro %}


{#- One number for some columns together; few others have the same. -#}
{% macro row_hash(columns) %}{{ return(adapter.dispatch('row_hash')(columns)) }}{% endmacro %}

{% macro duckdb__row_hash(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}


{#-
    The rows to test for their key: `rows_to_test`, but where these are all rows of many symbols, those of symbols of
    which some fail. They are found some symbols at a time: an engine that keeps its memory limit by spilling cannot do
    so with a join below a grouping of all history.
-#}
{% macro rows_to_group(relation, columns) %}
    {%- set rows = rows_to_test(relation) -%}
    {%- set runs = execute and flags.WHICH in ['build', 'test'] -%}
    {%- set bounds = symbol_bounds() if runs and 'symbol' in columns and rows == relation else [] -%}
    {%- if not bounds -%}
        {%- do return(rows) -%}
    {%- endif -%}
    {%- set failing = [] -%}
    {%- for bound in bounds + [none] -%}
        {%- set after = "symbol > '" ~ bounds[loop.index0 - 1] ~ "'" if not loop.first -%}
        {%- set up_to = "symbol <= '" ~ bound ~ "'" if bound is not none -%}
        {%- set found = run_query(
            'select symbol from ' ~ relation ~ ' where ' ~ [after, up_to] | select | join(' and ')
            ~ (' or symbol is null' if loop.first else '')
            ~ ' group by ' ~ columns | join(', ') ~ ' having ' ~ violates_key(columns)
        ) -%}
        {%- do failing.extend(found.columns[0].values()) -%}
    {%- endfor -%}
    {%- set named = failing | reject('none') | unique | map('replace', "'", "''") | join("', '") -%}
    {%- do return(
        '(select * from ' ~ relation ~ " where symbol in ('" ~ named ~ "')"
        ~ (' or symbol is null' if none in failing else '') ~ ') as rows_of_failing_symbols'
    ) -%}
{% endmacro %}


{#- The symbols at which all of history is cut into pieces to be tested; none where it is little. -#}
{% macro symbol_bounds() %}
    {%- if target.type != 'duckdb' -%}
        {%- do return([]) -%}
    {%- endif -%}
    {%- set found = run_query(
        'select max(symbol) from ('
        ~ 'select symbol, (sum(sum(rows_loaded)) over (order by symbol) - sum(rows_loaded)) // '
        ~ 8 * var('rebuild_rows_at_once') ~ ' as piece'
        ~ " from ops.ingestion_files where status = 'loaded' and symbol is not null group by symbol"
        ~ ') as pieces group by piece order by piece'
    ) -%}
    {%- do return((found.columns[0].values() | map('replace', "'", "''") | list)[:-1]) -%}
{% endmacro %}
