{#- One row for each key, and no part of the key is NULL. Failing rows say which of the two it is. -#}
{% test unique_key(model, columns) %}

    with

    keys as (

        select {{ columns | join(', ') }} from {{ model }}

    ),

    failures as (

        select
            {{ columns | join(', ') }},
            count(*) as row_count,
            case when count(*) > 1 then 'key stands more than once' else 'part of the key is null' end as failure_type
        from keys
        group by {{ columns | join(', ') }}
        having count(*) > 1 {% for column in columns %} or {{ column }} is null{% endfor %}

    )

    select * from failures

{% endtest %}
