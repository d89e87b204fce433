{#-
    Rows of overlapping files on which these files disagree, with their key and their whole content as one text each, so
    that several datasets fit into one view. `columns`: our names for what a series is, as SQL; `key`: the key's columns,
    without the file.

    Years of files that people hold twice, as months and as days, do not fit into memory as rows. So files are compared
    block by block first, by the number of rows and a digest of them; only the rows of blocks that differ are compared as
    they are, column by column; and only rows of keys that conflict become text. `columns['block']` says in which block a
    row lies: rows of one key lie in one block, since it follows from the key.
-#}
{% macro conflicting_rows(source_relation, dataset, key, columns) %}
    {%- set contents = [] -%}
    {%- set differences = [] -%}
    {%- set block = columns.get('block', candle_start(columns['row_time'], 1440)) -%}
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
        inner join (
            select
                series_id,
                block
            from (
                select
                    block_files.series_id,
                    block_rows.file_id,
                    {{ block | replace('landed.', 'block_rows.') }} as block,
                    count(*) as row_count,
                    {{ digest_of_rows(contents | map('replace', 'landed.', 'block_rows.') | list) }} as digest
                from {{ source_relation }} as block_rows
                inner join {{ ref('base_ops__overlapping_files') }} as block_files
                    on block_rows.file_id = block_files.file_id
                group by
                    block_files.series_id,
                    block_rows.file_id,
                    {{ block | replace('landed.', 'block_rows.') }}
            ) as blocks_of_files
            group by series_id, block
            having min(row_count) != max(row_count) or min(digest) != max(digest)
        ) as differing_blocks
            on
                all_files.series_id = differing_blocks.series_id
                and {{ block | replace('landed.', 'all_rows.') }} = differing_blocks.block
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


{#- A number that is the same for the same rows in whatever order, and hardly ever for others. -#}
{% macro digest_of_rows(columns) %}{{ return(adapter.dispatch('digest_of_rows')(columns)) }}{% endmacro %}

{% macro duckdb__digest_of_rows(columns) -%}
    bit_xor(hash({{ (columns or ['1']) | join(', ') }}))
{%- endmacro %}

{% macro default__digest_of_rows(columns) -%}
    bit_xor(xxhash64({{ (columns or ['1']) | join(', ') }}))
{%- endmacro %}
