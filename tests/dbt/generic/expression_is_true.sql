{#- The expression is true of every row. NULL fails, too: write `x is null or ...` where x may be unknown. -#}
{% test expression_is_true(model, expression) %}

    select
        *,
        {{ dbt.string_literal(dbt.escape_single_quotes(expression)) }} as failure_type
    from {{ rows_to_test(model) }}
    where ({{ expression }}) is not true

{% endtest %}
