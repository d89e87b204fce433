with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_agg_trade_files'

),

-- A change within a file's range concerns the whole file.
first_files as (

    select min(files.file_id) as file_id
    from {{ source('ops', 'ingestion_files') }} as files
    inner join rebuild_plan
        on
            files.exchange = rebuild_plan.exchange
            and files.symbol = rebuild_plan.symbol
            and files.last_time >= rebuild_plan.rebuild_from
    where
        files.status = 'loaded'
        and files.dataset = 'aggTrades'

),

counted as (

    select
        file_id,
        any_value(symbol) as symbol,
        max(transact_time) as last_time,
        count(*) as row_count
    from {{ source('raw_binance', 'binance_agg_trades') }}
    where
        {{ is_rebuilt_symbol('symbol') }}
        -- as one number, it lets the engine skip the blocks of files that landed before these
        and file_id >= (select first_files.file_id from first_files)
    group by file_id

),

trade_files as (

    select
        counted.symbol,
        counted.file_id,
        counted.last_time,
        counted.row_count
    from counted
    inner join rebuild_plan
        on
            counted.symbol = rebuild_plan.symbol
            and counted.last_time >= rebuild_plan.rebuild_from

)

select * from trade_files
