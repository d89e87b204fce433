with

all_files as (

    select
        *,
        coalesce(symbol, '') as symbol_or_all
    from {{ source('ops', 'ingestion_files') }}
    where
        dataset is not null
        and status in ('loaded', 'failed')

),

files as (

    select * from all_files
    where status = 'loaded'

),

conflicting_rows as (

    select * from {{ ref('stg_ops__conflicts') }}

),

ledger as (

    select * from {{ ref('int_ledger_differences') }}

),

-- Every landed series: where a check finds nothing, it passes with a row that says so.
series as (

    select distinct
        exchange,
        dataset,
        symbol_or_all as symbol
    from files
    where rows_loaded > 0

),

-- One row per key on which files disagree.
conflicts as (

    select
        conflicting_rows.exchange,
        conflicting_rows.dataset,
        conflicting_rows.market,
        coalesce(conflicting_rows.symbol, '') as symbol,
        conflicting_rows.row_key,
        min(conflicting_rows.row_time) as row_time,
        count(distinct coalesce({{ seconds_between('files.period_start', 'files.period_end') }} > 86400, false))
        > 1 as between_lengths
    from conflicting_rows
    inner join files
        on conflicting_rows.file_id = files.file_id
    group by all

),

duplicates as (

    select
        'duplicates' as check_name,
        series.exchange,
        series.dataset,
        series.symbol,
        count(conflicts.row_key) as value,
        'keys on which files disagree; first at ' || cast(min(conflicts.row_time) as string) as finding
    from series
    left join conflicts
        on
            series.exchange = conflicts.exchange
            and series.dataset = conflicts.dataset
            and series.symbol = conflicts.symbol
    group by series.exchange, series.dataset, series.symbol

),

monthly_against_daily as (

    select
        'monthly_against_daily' as check_name,
        series.exchange,
        series.dataset,
        series.symbol,
        count(conflicts.row_key) as value,
        'keys on which files of months and days disagree; first at '
        || cast(min(conflicts.row_time) as string) as finding
    from series
    left join conflicts
        on
            series.exchange = conflicts.exchange
            and series.dataset = conflicts.dataset
            and series.symbol = conflicts.symbol
            and conflicts.between_lengths
    where series.dataset in ('klines', 'aggTrades')
    group by series.exchange, series.dataset, series.symbol

),

ledger_against_rows as (

    select
        'ledger_against_rows' as check_name,
        exchange,
        dataset,
        symbol,
        count(*) filter (where rows_in_ledger != rows_in_table) as value,
        'files that hold another number of rows than the ledger says; rows in all: '
        || cast(sum(rows_in_table) as string) || ', by the ledger ' || cast(sum(rows_in_ledger) as string) as finding
    from ledger
    group by exchange, dataset, symbol

),

rejected_rows as (

    select
        'rejected_rows' as check_name,
        exchange,
        dataset,
        symbol_or_all as symbol,
        sum(rows_rejected) as value,
        'rows of landed files are kept aside in ops.rejected_rows' as finding
    from files
    group by exchange, dataset, symbol_or_all

),

-- A symbol all of whose files were refused has no other row anywhere.
refused_files as (

    select
        'refused_files' as check_name,
        exchange,
        dataset,
        symbol_or_all as symbol,
        count(*) filter (where status = 'failed') as value,
        'files could not be landed, the first is of '
        || cast(cast(min(period_start) filter (where status = 'failed') as date) as string) as finding
    from all_files
    group by exchange, dataset, symbol_or_all

),

{{ union_of_checks([
    'duplicates', 'monthly_against_daily', 'ledger_against_rows', 'rejected_rows', 'refused_files'
]) }}

select * from checks
