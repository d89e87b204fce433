{#-
    Rows of overlapping files on which these files disagree, with their key and their whole content as one text each, so
    that several datasets fit into one view. `columns`: our names for what a series is, as SQL; `key`: the key's columns,
    without the file.

    Keys are compared as they are, column by column: only rows of keys that conflict become text.
-#}
{% macro conflicting_rows(source_relation, dataset, key, columns) %}
    {%- set contents = [] -%}
    {%- set differences = [] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(source_relation) if column.name != 'file_id' -%}
            {%- set name = adapter.quote(column.name) -%}
            {%- do contents.append('landed.' ~ name) -%}
            {%- if column.name not in key -%}
                {%- do differences.append('min(all_rows.' ~ name ~ ') != max(all_rows.' ~ name ~ ')') -%}
                {%- do differences.append('count(all_rows.' ~ name ~ ') not in (0, count(*))') -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    select
        '{{ dataset }}' as dataset,
        {{ columns['market'] }} as market,
        {{ columns.get('kline_type', 'cast(null as varchar)') }} as kline_type,
        {{ columns['symbol'] }} as symbol,
        {{ columns.get('interval', 'cast(null as varchar)') }} as interval,
        {{ columns['row_time'] }} as row_time,
        concat_ws('|', {% for column in key %}landed.{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor %}) as row_key,
        landed.file_id,
        overlapping_files.path,
        overlapping_files.precedence,
        concat_ws('|', {{ (contents or ['landed.file_id']) | join(', ') }}) as content
    from {{ source_relation }} as landed
    inner join {{ ref('base_ops__overlapping_files') }} as overlapping_files
        on landed.file_id = overlapping_files.file_id
    inner join (
        select
            {%- for column in key %}
            all_rows.{{ adapter.quote(column) }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ source_relation }} as all_rows
        inner join {{ ref('base_ops__overlapping_files') }} as all_files
            on all_rows.file_id = all_files.file_id
        group by
            {%- for column in key %}
            all_rows.{{ adapter.quote(column) }}{{ ',' if not loop.last }}
            {%- endfor %}
        having {{ differences | join('\n            or ') or 'false' }}
    ) as conflicting_keys
        on
            {%- for column in key %}
            {{ 'and ' if not loop.first }}landed.{{ adapter.quote(column) }} = conflicting_keys.{{ adapter.quote(column) }}
            {%- endfor %}
{% endmacro %}
