{#-
    Sets of trade ids, a block of 4,096 at a time: one bit for each id where the engine has bitmaps. So the ids of a
    billion trades are compared, or proved to stand once, in an eighth of a byte each, without a sort or a hash of rows.
-#}

{#- The block in which an id lies. -#}
{% macro trade_id_block(id, size=4096) -%}
    {{ whole_division(id, size) }}
{%- endmacro %}


{#- An aggregate: which ids of the block are there. All ids of a group must be of one block. -#}
{% macro trade_ids_of_block(id) %}{{ return(adapter.dispatch('trade_ids_of_block')(id)) }}{% endmacro %}

{% macro duckdb__trade_ids_of_block(id) -%}
    bitstring_agg({{ id }} % 4096, 0, 4095)
{%- endmacro %}

{% macro spark__trade_ids_of_block(id) -%}
    collect_set({{ id }} % 4096)
{%- endmacro %}


{#- Whether the block's ids, as `trade_ids_of_block` gives them, hold one. -#}
{% macro block_has_trade_id(ids, id) %}{{ return(adapter.dispatch('block_has_trade_id')(ids, id)) }}{% endmacro %}

{% macro duckdb__block_has_trade_id(ids, id) -%}
    get_bit({{ ids }}, cast({{ id }} % 4096 as integer)) = 1
{%- endmacro %}

{% macro spark__block_has_trade_id(ids, id) -%}
    array_contains({{ ids }}, {{ id }} % 4096)
{%- endmacro %}


{#- How many different ids the block holds. -#}
{% macro trade_ids_in_block(ids) %}{{ return(adapter.dispatch('trade_ids_in_block')(ids)) }}{% endmacro %}

{% macro duckdb__trade_ids_in_block(ids) -%}
    bit_count({{ ids }})
{%- endmacro %}

{% macro spark__trade_ids_in_block(ids) -%}
    size({{ ids }})
{%- endmacro %}
