{#- The rank of a snapshot among those of its step: the nearer one counts, then the earlier; then the order among files is
    that of `one_row_per_key`, which cannot be used: where files of both kinds of labels meet, rows of different labels can
    be the same snapshot. -#}
{% macro snapshot_precedence(snapshots, files) -%}
    row_number() over (
        partition by {{ snapshots }}.market, {{ snapshots }}.symbol, {{ snapshots }}.snapshot_at
        order by
            abs({{ microseconds_between(snapshots ~ '.snapshot_at', snapshots ~ '.taken_at') }}),
            {{ snapshots }}.taken_at,
            {{ file_precedence(files) }}
    )
{%- endmacro %}
