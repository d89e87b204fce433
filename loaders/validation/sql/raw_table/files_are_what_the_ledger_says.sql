-- Each landed file has as many rows as the ledger says, from its first to its last time and of its symbol, and no row
-- is without a landed file.
with

present as (

    select
        file_id,
        count(*) as row_count,
        min(${time}) as first_time,
        max(${time}) as last_time,
        min(${symbol}) as first_symbol,
        max(${symbol}) as last_symbol
    from ${rows}
    group by file_id

),

ledger as (

    select * from ${files}
    where status = 'loaded' and exchange = '${exchange}' and dataset = '${dataset}'

)

select
    coalesce(present.file_id, ledger.file_id) as file_id,
    ledger.path,
    ledger.rows_loaded,
    present.row_count,
    present.first_time,
    present.last_time
from present
full outer join ledger
    on present.file_id = ledger.file_id
where
    coalesce(present.row_count, 0) is distinct from ledger.rows_loaded
    or present.first_time < ledger.first_time
    or present.last_time > ledger.last_time
    or (ledger.symbol is not null and present.first_symbol != ledger.symbol)
    or (ledger.symbol is not null and present.last_symbol != ledger.symbol)
