{#- One row for each key, and no column of the key is NULL. Failing rows say which of the two is wrong. -#}
{% test unique_combination_of_columns(model, combination_of_columns) %}

    with

    keys as (

        select {{ combination_of_columns | join(', ') }} from {{ rows_to_group(model, combination_of_columns) }}

    ),

    -- Grouping hashes takes less memory than grouping keys, and few are those of several keys.
    doubled as (

        select {{ row_hash(combination_of_columns) }} as key_hash
        from keys
        group by {{ row_hash(combination_of_columns) }}
        having count(*) > 1

    ),

    failures as (

        select
            {{ combination_of_columns | join(', ') }},
            count(*) as row_count,
            case when count(*) > 1 then 'the key occurs more than once' else 'a column of the key is NULL' end as failure_type
        from keys
        where
            {{ row_hash(combination_of_columns) }} in (select doubled.key_hash from doubled)
            {%- for column in combination_of_columns %}
            or {{ column }} is null
            {%- endfor %}
        group by {{ combination_of_columns | join(', ') }}
        having {{ violates_key(combination_of_columns) }}

    )

    select * from failures

{% endtest %}
