{#-
    Rows of a raw table, one for each key: the choice that makes order, splits and re-publications come out the same.

    Rows of files that overlap no other file pass straight through. Of the others, a row stays if no file of better
    precedence (`base_ops__overlapping_files`) has the same key; so a row that only the worse file has is rescued.
    Written with `not exists` rather than `row_number()`: a filter on time then reaches the scan although the key may
    not hold the time, and a day of trades is read without ranking the whole history.

    `source_relation`: the raw table. `key`: its key columns, without the file.
-#}
{% macro one_row_per_key(source_relation, key) %}
    select landed.*
    from {{ source_relation }} as landed
    where
        not exists (
            select 1
            from {{ ref('base_ops__overlapping_files') }} as overlapping_files
            where overlapping_files.file_id = landed.file_id
        )

    union all

    select landed.*
    from {{ source_relation }} as landed
    inner join {{ ref('base_ops__overlapping_files') }} as overlapping_files
        on landed.file_id = overlapping_files.file_id
    where
        not exists (
            select 1
            from {{ source_relation }} as other
            inner join {{ ref('base_ops__overlapping_files') }} as better_files
                on other.file_id = better_files.file_id
            where
                better_files.precedence < overlapping_files.precedence
                {%- for column in key %}
                and other.{{ adapter.quote(column) }} = landed.{{ adapter.quote(column) }}
                {%- endfor %}
        )
{% endmacro %}
