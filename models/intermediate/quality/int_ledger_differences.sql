{%- set tables = [
    source('raw_binance', 'binance_klines'),
    source('raw_binance', 'binance_agg_trades'),
    source('raw_binance', 'binance_metrics'),
    source('raw_binance', 'binance_funding_rates'),
    source('raw_binance', 'binance_liquidations'),
    source('raw_kraken', 'kraken_ohlcvt'),
    source('raw_external', 'external_levels'),
] -%}
{%- set datasets = ['klines', 'aggTrades', 'metrics', 'fundingRate', 'liquidations', 'ohlcvt', 'levels'] -%}
with

files as (

    select * from {{ source('ops', 'ingestion_files') }}
    where status = 'loaded'

),

row_counts as (

    {%- for table in tables %}

    select
        '{{ datasets[loop.index0] }}' as dataset,
        file_id,
        count(*) as row_count
    from {{ table }}
    group by file_id

    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

compared as (

    select
        coalesce(files.dataset, row_counts.dataset) as dataset,
        coalesce(files.symbol, '') as symbol,
        coalesce(files.file_id, row_counts.file_id) as file_id,
        coalesce(files.rows_loaded, 0) as rows_in_ledger,
        coalesce(row_counts.row_count, 0) as rows_in_table
    from files
    full outer join row_counts
        on
            files.file_id = row_counts.file_id
            and files.dataset = row_counts.dataset

)

select * from compared
