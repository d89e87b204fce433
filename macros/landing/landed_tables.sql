{#-
    The raw tables, one for each dataset of an exchange, as (source, table). What each of them holds stands in its
    `config.meta` in the sources YAML: `exchange`, `dataset`, `key` (without the file), `time`; and where its series are
    named otherwise than by columns called market, kline_type, symbol and interval, `series`. dbt must see the names
    while it parses, when the YAML cannot be read yet: so they stand here as well.
-#}
{% macro landed_tables() %}
    {%- do return([
        ('raw_binance', 'binance_klines'),
        ('raw_binance', 'binance_agg_trades'),
        ('raw_binance', 'binance_metrics'),
        ('raw_binance', 'binance_funding_rates'),
        ('raw_binance', 'binance_liquidations'),
        ('raw_kraken', 'kraken_ohlcvt'),
        ('raw_external', 'external_levels'),
    ]) -%}
{% endmacro %}


{#- What the sources YAML says of a raw table: its `config.meta`, and its `columns` by name. Empty while dbt parses. -#}
{% macro landed_table(source_name, table_name) %}
    {%- if execute -%}
        {%- for node in graph.sources.values() if node.source_name == source_name and node.name == table_name -%}
            {%- do return(dict(node.config.meta, columns=node.columns.keys() | list)) -%}
        {%- endfor -%}
        {%- do exceptions.raise_compiler_error(
            'No sources YAML describes ' ~ source_name ~ '.' ~ table_name ~ ', which landed_tables names'
        ) -%}
    {%- endif -%}
    {%- do return({'exchange': '', 'dataset': '', 'key': [], 'time': 'null', 'columns': []}) -%}
{% endmacro %}


{#- SQL, over a raw table's columns, of one of the names of its series; NULL where its series have none of that kind. -#}
{% macro series_name(landed, name) -%}
    {%- if name in landed.get('series', {}) -%}
        {{ landed.series[name] }}
    {%- elif name in landed.columns -%}
        {{ adapter.quote(name) }}
    {%- else -%}
        cast(null as string)
    {%- endif -%}
{%- endmacro %}


{#- What tells one series from another, as a list of columns: of `relation`, if one is given. -#}
{% macro series_columns(relation=none) -%}
    {%- for column in ['exchange', 'dataset', 'market', 'symbol', 'interval'] -%}
        {{ relation ~ '.' if relation }}{{ column }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

