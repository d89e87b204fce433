{#-
    Where each level ends: the first step of its symbol at which it is crossed, or shrunk below a thousandth. Gives CTEs;
    the last of them, `first_endings`, has `columns`, side, liquidation_price and `position`, NULL where a level still stands.

    A range join ("later steps with low <= price") explodes. Instead the steps are gathered into aligned blocks of
    1, 2, 4, ... 2^23 with their lowest low, highest high and last share, and every level climbs from its first step: at
    each size, it asks the block that begins where it stands, if one of that size does, and goes past it unless the
    ending lies within. Then it descends into the halves of the block that holds its ending. That is 47 joins of plain
    equality, whatever the number of levels and of steps. Missing steps are missing from the blocks: no level can end
    in a missing step. Climbing joins second halves only, descending first halves only.

    `steps`: a CTE with position, low, high, log_share_total, one row for each position. Positions of two symbols lie
    at least 2^24 apart and every symbol's begin at a multiple of 2^24, so that no block holds steps of two symbols;
    2^24 steps of five minutes reach from 1970 to 2129.
    `levels`: a CTE with position (first step at which the level can end), side, liquidation_price, closing_log_share,
    and `columns` (names), which are handed through.
-#}
{% macro first_endings(levels, steps, columns) %}{{ return(adapter.dispatch('first_endings')(levels, steps, columns)) }}{% endmacro %}

{% macro duckdb__first_endings(levels, steps, columns) -%}
    {#- The linter, which looks at none of these lines, is spared most of them: `.sqlfluff`. -#}
    {%- set sizes = var('block_sizes_to_lint', 24) -%}
    {%- set carried = columns + ['side', 'liquidation_price', 'closing_log_share'] -%}
blocks_0 as (

    select position, low, high, log_share_total from {{ steps }}

),
{% for k in range(1, sizes) %}
blocks_{{ k }} as (

    select
        position - position % {{ 2 ** k }} as position,
        min(low) as low,
        max(high) as high,
        min(log_share_total) as log_share_total
    from blocks_{{ k - 1 }}
    group by position - position % {{ 2 ** k }}

),
{% endfor %}
climbed_start as (

    select
        {%- for column in carried %}
        {{ column }},
        {%- endfor %}
        position,
        cast(null as integer) as size
    from {{ levels }}

),
{% for k in range(sizes) %}
asked_{{ k }} as (

    select
        levels.*,
        coalesce(
            {{ ends_within('blocks', 'levels') }},
            false
        ) as ends_within
    from {{ 'climbed_start' if loop.first else 'climbed_' ~ (k - 1) }} as levels
    left join blocks_{{ k }} as blocks
        on
            blocks.position
            = case when levels.size is null and levels.position % {{ 2 ** (k + 1) }} = {{ 2 ** k }} then levels.position end
            and blocks.position % {{ 2 ** (k + 1) }} = {{ 2 ** k }}

),

climbed_{{ k }} as (

    select
        {%- for column in carried %}
        {{ column }},
        {%- endfor %}
        case
            when size is null and not ends_within and position % {{ 2 ** (k + 1) }} = {{ 2 ** k }} then position + {{ 2 ** k }}
            else position
        end as position,
        case when ends_within then {{ k }} else size end as size
    from asked_{{ k }}

),
{% endfor %}
{%- for k in range(sizes - 2, -1, -1) %}
halved_{{ k }} as (

    select
        levels.*,
        coalesce(
            {{ ends_within('blocks', 'levels') }},
            false
        ) as ends_within
    from {{ 'climbed_' ~ (sizes - 1) if loop.first else 'descended_' ~ (k + 1) }} as levels
    left join blocks_{{ k }} as blocks
        on
            blocks.position = case when levels.size > {{ k }} then levels.position end
            and blocks.position % {{ 2 ** (k + 1) }} = 0

),

descended_{{ k }} as (

    select
        {%- for column in carried %}
        {{ column }},
        {%- endfor %}
        case when size > {{ k }} and not ends_within then position + {{ 2 ** k }} else position end as position,
        size
    from halved_{{ k }}

),
{% endfor %}
first_endings as (

    select
        {%- for column in columns + ['side', 'liquidation_price'] %}
        {{ column }},
        {%- endfor %}
        case when size is not null then position end as position
    from descended_0

)
{%- endmacro %}
