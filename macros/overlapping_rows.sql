{#-
    Rows of overlapping files with their key and their whole content as one text each, so that several datasets fit into
    one view. `columns`: our names for what a series is, as SQL; `key`: the key's columns, without the file.
-#}
{% macro overlapping_rows(source_relation, dataset, key, columns) %}
    {%- set contents = [] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(source_relation) if column.name != 'file_id' -%}
            {%- do contents.append('landed.' ~ adapter.quote(column.name)) -%}
        {%- endfor -%}
    {%- endif -%}
    select
        '{{ dataset }}' as dataset,
        {{ columns['market'] }} as market,
        {{ columns.get('kline_type', 'cast(null as varchar)') }} as kline_type,
        {{ columns['symbol'] }} as symbol,
        {{ columns.get('interval', 'cast(null as varchar)') }} as interval,
        {{ columns['row_time'] }} as row_time,
        landed.file_id,
        overlapping_files.path,
        overlapping_files.precedence,
        concat_ws('|', {% for column in key %}landed.{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor %}) as row_key,
        concat_ws('|', {{ (contents or ['landed.file_id']) | join(', ') }}) as content
    from {{ source_relation }} as landed
    inner join {{ ref('base_ops__overlapping_files') }} as overlapping_files
        on landed.file_id = overlapping_files.file_id
{% endmacro %}
