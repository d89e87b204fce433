{#-
    Rows of a raw table, one for each key: the choice that makes order, splits and re-publications come out the same.

    Rows of files that overlap no other file pass straight through. Of the others, a row stays if its file is the best
    one (`base_ops__overlapping_files`) that has the key; so a row that only the worse file has is rescued, and a key
    with a NULL in it, which equals no other, stays too.

    Written without `row_number()`, so that a filter on time reaches the scan although the key may not hold the time; and
    without a correlated `not exists`, which becomes a delim join that gathers the whole raw table first.

    `source_name`, `table_name`: the raw table. `key`: columns, without the file, where it is not the table's own key.
-#}
{% macro one_row_per_key(source_name, table_name, key=none) %}
    {{- return(adapter.dispatch('one_row_per_key')(source_name, table_name, key)) -}}
{% endmacro %}

{% macro duckdb__one_row_per_key(source_name, table_name, key) %}
    {%- set source_relation = source(source_name, table_name) -%}
    {%- set key = key or landed_table(source_name, table_name).key -%}
    select landed.*
    from {{ source_relation }} as landed
    where
        landed.file_id not in (
            select overlapping_files.file_id from {{ ref('base_ops__overlapping_files') }} as overlapping_files
        )

    union all

    select landed.*
    from {{ source_relation }} as landed
    inner join {{ ref('base_ops__overlapping_files') }} as overlapping_files
        on landed.file_id = overlapping_files.file_id
    left join (
        select
            {%- for column in key %}
            other.{{ adapter.quote(column) }},
            {%- endfor %}
            min(better_files.precedence) as precedence
        from {{ source_relation }} as other
        inner join {{ ref('base_ops__overlapping_files') }} as better_files
            on other.file_id = better_files.file_id
        group by
            {%- for column in key %}
            other.{{ adapter.quote(column) }}{{ ',' if not loop.last }}
            {%- endfor %}
    ) as best
        on
            {%- for column in key %}
            {{ 'and ' if not loop.first }}landed.{{ adapter.quote(column) }} = best.{{ adapter.quote(column) }}
            {%- endfor %}
    where best.precedence is null or overlapping_files.precedence = best.precedence
{% endmacro %}
