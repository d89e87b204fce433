{#-
    Rows of overlapping files on which these files disagree, with their key and their whole content as one text each, so
    that several datasets fit into one view.

    Years of files that people hold twice, as months and as days, do not fit into memory as rows. So files are compared
    block by block first, by the number of rows and a digest of them; only the rows of blocks that differ are compared as
    they are, column by column; and only rows of keys that conflict become text. Rows of one key lie in one block: a day,
    or a range of ids where the key is not a time (`meta.sequence`).
-#}
{% macro conflicting_rows(source_name, table_name) %}
    {%- set source_relation = source(source_name, table_name) -%}
    {%- set landed_table = landed_table(source_name, table_name) -%}
    {%- set key = landed_table.key -%}
    {%- set time = 'landed.' ~ adapter.quote(landed_table.time) -%}
    {%- set block = trade_id_block('landed.' ~ landed_table.sequence, 256) if landed_table.sequence
        else candle_start(time, 1440) -%}
    {%- set contents = [] -%}
    {%- set differences = [] -%}
    {%- for column in landed_table.columns if column != 'file_id' -%}
        {%- set name = adapter.quote(column) -%}
        {%- do contents.append('landed.' ~ name) -%}
        {%- if column not in key -%}
            {%- do differences.append('min(all_rows.' ~ name ~ ') != max(all_rows.' ~ name ~ ')') -%}
            {%- do differences.append('count(all_rows.' ~ name ~ ') not in (0, count(*))') -%}
        {%- endif -%}
    {%- endfor -%}
    select
        '{{ landed_table.exchange }}' as exchange,
        '{{ landed_table.dataset }}' as dataset,
        landed.series_market as market,
        landed.series_kline_type as kline_type,
        landed.series_symbol as symbol,
        landed.series_interval as interval,
        {{ time }} as row_time,
        concat_ws('|', {% for column in key %}landed.{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor %}) as row_key,
        landed.file_id,
        overlapping_files.path,
        overlapping_files.precedence,
        concat_ws('|', {{ (contents or ['landed.file_id']) | join(', ') }}) as content
    from (
        select
            *,
            {%- for name in ['market', 'kline_type', 'symbol', 'interval'] %}
            {{ series_name(landed_table, name) }} as series_{{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ source_relation }}
    ) as landed
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

{% macro spark__digest_of_rows(columns) -%}
    bit_xor(xxhash64({{ (columns or ['1']) | join(', ') }}))
{%- endmacro %}
