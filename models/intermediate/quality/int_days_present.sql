with

runs as (

    select * from {{ ref('int_series_runs') }}
    where kline_type in ('last', '')

),

trade_candles as (

    select * from {{ ref('int_agg_trade_candles_5m') }}

),

funding as (

    select * from {{ ref('stg_binance__funding_rates') }}

),

files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

parts as (

    select
        {{ series_columns() }},
        day,
        present,
        source
    from runs

    union all

    -- Trades come from the archive alone.
    select
        'binance' as exchange,
        'aggTrades' as dataset,
        market,
        symbol,
        '' as interval,
        {{ candle_start('open_time', 1440) }} as day,
        agg_trade_count as present,
        'archive' as source
    from trade_candles

    union all

    select
        funding.exchange,
        'fundingRate' as dataset,
        funding.market,
        funding.symbol,
        '' as interval,
        {{ candle_start("funding.funded_at + interval '30 minutes'", 1440) }} as day,
        1 as present,
        files.origin as source
    from funding
    inner join files
        on funding.file_id = files.file_id

),

days as (

    select
        {{ series_columns() }},
        day,
        cast(sum(present) as bigint) as present,
        case when min(source) = max(source) then min(source) else 'mixed' end as source
    from parts
    group by {{ series_columns() }}, day

)

select * from days
