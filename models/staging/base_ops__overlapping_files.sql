with

files as (

    select * from {{ source('ops', 'ingestion_files') }}
    where status = 'loaded' and rows_loaded > 0

),

reach as (

    select
        *,
        max(last_time) over (
            partition by exchange, dataset, market, kline_type, symbol, interval
            order by first_time, file_id
            rows between unbounded preceding and 1 preceding
        ) as latest_before,
        lead(first_time) over (
            partition by exchange, dataset, market, kline_type, symbol, interval
            order by first_time, file_id
        ) as next_first_time
    from files

),

overlapping as (

    select * from reach
    where latest_before >= first_time or next_first_time <= last_time

),

ranked as (

    select
        file_id,
        exchange,
        dataset,
        market,
        kline_type,
        symbol,
        interval,
        first_time,
        last_time,
        first_id,
        last_id,
        coalesce(last_id - first_id + 1 = rows_loaded, false) as has_all_ids,
        path,
        min(file_id) over (partition by exchange, dataset, market, kline_type, symbol, interval) as series_id,
        row_number() over (
            partition by exchange, dataset, market, kline_type, symbol, interval
            order by
                {{ file_precedence() }}
        ) as precedence
    from overlapping

)

select * from ranked
