{#-
    Rows of raw trades, one for each number: the same choice as `one_row_per_key`, for the one table that is too large
    to compare row by row.

    A trade's number does not tell its time, so a filter on time would not reach the better files, and a day would hash
    all of their rows. The ledger knows the first and last number of each file, and whether all between are there:
    files that no better one overlaps pass straight through, those whose numbers stand in better files are not read at
    all, and of the rest only better files with holes are looked into.
-#}
{% macro one_trade_per_id(source_relation) %}
    select landed.*
    from {{ source_relation }} as landed
    where
        not exists (
            select 1
            from {{ ref('base_ops__contested_files') }} as contested_files
            where contested_files.file_id = landed.file_id
        )

    union all

    select landed.*
    from {{ source_relation }} as landed
    inner join {{ ref('base_ops__contested_files') }} as contested_files
        on landed.file_id = contested_files.file_id
    where
        not contested_files.is_superseded
        and not exists (
            select 1
            from {{ ref('base_ops__superseded_ids') }} as superseded_ids
            where
                superseded_ids.file_id = landed.file_id
                and landed.agg_trade_id between superseded_ids.first_id and superseded_ids.last_id
        )
        and not exists (
            select 1
            from {{ source_relation }} as other
            inner join {{ ref('base_ops__overlapping_files') }} as better_files
                on other.file_id = better_files.file_id
            where
                not better_files.has_all_ids
                and better_files.precedence < contested_files.precedence
                and other.market = landed.market
                and other.symbol = landed.symbol
                and other.agg_trade_id = landed.agg_trade_id
        )
{% endmacro %}
