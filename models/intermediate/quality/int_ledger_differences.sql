with

files as (

    select * from {{ source('ops', 'ingestion_files') }}
    where status = 'loaded'

),

row_counts as (

    select
        'binance' as exchange,
        'aggTrades' as dataset,
        file_id,
        row_count
    from {{ ref('int_agg_trade_files') }}

    {%- for source_name, table_name in landed_tables() if table_name != 'binance_agg_trades' %}
    {%- set landed = landed_table(source_name, table_name) %}

    union all

    select
        '{{ landed.exchange }}' as exchange,
        '{{ landed.dataset }}' as dataset,
        file_id,
        count(*) as row_count
    from {{ source(source_name, table_name) }}
    group by file_id

    {%- endfor %}

),

compared as (

    select
        coalesce(files.exchange, row_counts.exchange) as exchange,
        coalesce(files.dataset, row_counts.dataset) as dataset,
        coalesce(files.symbol, '') as symbol,
        coalesce(files.file_id, row_counts.file_id) as file_id,
        coalesce(files.rows_loaded, 0) as rows_in_ledger,
        coalesce(row_counts.row_count, 0) as rows_in_table
    from files
    full outer join row_counts
        on
            files.file_id = row_counts.file_id
            and files.exchange = row_counts.exchange
            and files.dataset = row_counts.dataset

)

select * from compared
