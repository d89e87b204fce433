{#-
    `first_endings` for Spark, whose analyser gives up on 47 joins. The same climb and descent with blocks of 64 steps of
    the size below: each join finds the one row that holds a level's 64 neighbours as an array, and the first of them in
    which the level ends is looked for there. That is 7 joins of plain equality. 64^4 steps are the 2^24 of a symbol.
-#}
{% macro spark__first_endings(levels, steps, columns) -%}
    {%- set tiers = 4 -%}
    {%- set carried = columns + ['side', 'liquidation_price', 'closing_log_share'] -%}
    {%- set first_within -%}
        array_min(
            transform(
                filter(
                    groups.blocks,
                    block -> block.position >= levels.position
                        and (
                            {{ ends_within('block', 'levels') }}
                        )
                ),
                block -> block.position
            )
        )
    {%- endset -%}
{% for tier in range(tiers) %}
groups_{{ tier }} as (

    select
        {{ whole_division('position', 64 ** (tier + 1)) }} as parent,
        collect_list(struct(position, low, high, log_share_total)) as blocks,
        min(low) as low,
        max(high) as high,
        min(log_share_total) as log_share_total
    {%- if loop.first %}
    from {{ steps }}
    {%- else %}
    from (select parent * {{ 64 ** tier }} as position, low, high, log_share_total from groups_{{ tier - 1 }}) as blocks
    {%- endif %}
    group by {{ whole_division('position', 64 ** (tier + 1)) }}

),
{% endfor %}
climbed_start as (

    select
        {{ carried | join(', ') }},
        position,
        cast(null as integer) as size
    from {{ levels }}

),
{% for tier in range(tiers) %}
asked_{{ tier }} as (

    select
        levels.*,
        {{ first_within }} as found
    from {{ 'climbed_start' if loop.first else 'climbed_' ~ (tier - 1) }} as levels
    left join groups_{{ tier }} as groups
        on groups.parent = case when levels.size is null then {{ whole_division('levels.position', 64 ** (tier + 1)) }} end

),

climbed_{{ tier }} as (

    select
        {{ carried | join(', ') }},
        case
            when size is not null then position
            when found is not null then found
            else ({{ whole_division('position', 64 ** (tier + 1)) }} + 1) * {{ 64 ** (tier + 1) }}
        end as position,
        case when found is not null then {{ tier }} else size end as size
    from asked_{{ tier }}

),
{% endfor %}
{%- for tier in range(tiers - 2, -1, -1) %}
descended_{{ tier }} as (

    select
        {% for column in carried %}levels.{{ column }}, {% endfor %}
        case when levels.size > {{ tier }} then {{ first_within }} else levels.position end as position,
        levels.size
    from {{ 'climbed_' ~ (tiers - 1) if loop.first else 'descended_' ~ (tier + 1) }} as levels
    left join groups_{{ tier }} as groups
        on groups.parent = case when levels.size > {{ tier }} then {{ whole_division('levels.position', 64 ** (tier + 1)) }} end

),
{% endfor %}
first_endings as (

    select
        {{ (columns + ['side', 'liquidation_price']) | join(', ') }},
        case when size is not null then position end as position
    from descended_0

)
{%- endmacro %}
