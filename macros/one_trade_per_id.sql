{#-
    Rows of raw trades, one for each trade id: the same choice as `one_row_per_key`, for the one table that is too large
    to compare row by row.

    A trade's id does not tell its time, so a filter on time would not reach the better files, and a day would hash
    all of their rows. The ledger knows the first and last id of each file, and whether all between are there:
    files that no better one overlaps pass straight through, those whose ids stand in better files are not read at
    all, and of the rest only better files with gaps are looked into, as blocks of ids (macros/trade_id_blocks.sql).

    Nothing here is correlated: a correlated `not exists` becomes a delim join, which gathers every row of the raw table
    before it does anything else, 76 bytes for each trade. A short list of files is probed while the rows stream by.
-#}
{% macro one_trade_per_id(source_relation) %}{{ return(adapter.dispatch('one_trade_per_id')(source_relation)) }}{% endmacro %}

{% macro duckdb__one_trade_per_id(source_relation) %}
    select landed.*
    from {{ source_relation }} as landed
    where
        landed.file_id not in (
            select contested_files.file_id from {{ ref('base_ops__contested_files') }} as contested_files
        )

    union all

    -- The ranges of a file do not meet each other and a block stands once for each file, so no row is doubled here.
    select landed.*
    from {{ source_relation }} as landed
    inner join {{ ref('base_ops__contested_files') }} as contested_files
        on landed.file_id = contested_files.file_id
    left join {{ ref('base_ops__superseded_ids') }} as superseded_ids
        on
            landed.file_id = superseded_ids.file_id
            and landed.agg_trade_id >= superseded_ids.first_id
            and landed.agg_trade_id <= superseded_ids.last_id
    left join (
        select
            better_files.file_id,
            {{ trade_id_block('better_rows.agg_trade_id') }} as block,
            {{ trade_ids_of_block('better_rows.agg_trade_id') }} as ids
        from {{ source_relation }} as better_rows
        inner join {{ ref('base_ops__better_files_with_gaps') }} as better_files
            on better_rows.file_id = better_files.better_file_id
        group by better_files.file_id, {{ trade_id_block('better_rows.agg_trade_id') }}
    ) as better_blocks
        on
            landed.file_id = better_blocks.file_id
            and {{ trade_id_block('landed.agg_trade_id') }} = better_blocks.block
    where
        not contested_files.is_superseded
        and superseded_ids.file_id is null
        and (
            better_blocks.file_id is null
            or not {{ block_has_trade_id('better_blocks.ids', 'landed.agg_trade_id') }}
        )
{% endmacro %}
