{#- An expression that must be true of every row. A NULL is a failure too: write `x is null or ...` where it may be. -#}
{% test holds(model, expression) %}

    select
        *,
        {{ dbt.string_literal(dbt.escape_single_quotes(expression)) }} as failure_type
    from {{ model }}
    where ({{ expression }}) is not true

{% endtest %}
