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

gaps as (

    select * from {{ ref('int_series_gaps') }}

),

present_by_part as (

    select
        dataset,
        market,
        symbol,
        interval,
        day,
        present,
        source
    from runs

    union all

    -- Trades come from the archive alone.
    select
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

present_by_day as (

    select
        dataset,
        market,
        symbol,
        interval,
        day,
        cast(sum(present) as bigint) as present,
        case when min(source) = max(source) then min(source) else 'mixed' end as source
    from present_by_part
    group by dataset, market, symbol, interval, day

),

-- Candles and snapshots: each gap meets the days it touches.
grid_days as (

    select
        *,
        {{ interval_seconds('interval') }} as step_seconds,
        {{ explode_steps(candle_start('gap_start', 1440), 'gap_end', 1440) }} as day
    from gaps
    where dataset in ('klines', 'metrics', 'ohlcvt')

),

grid_missing as (

    select
        dataset,
        market,
        symbol,
        interval,
        day,
        case
            when interval = '1mo' then cast(extract(day from day) = 1 as integer)
            when step_seconds > 86400
                then cast({{ seconds_between('gap_start', 'day') }} % step_seconds = 0 as integer)
            else
                {{ seconds_between('greatest(gap_start, day)', "least(gap_end, day + interval '1 day')") }}
                // step_seconds
        end as missing
    from grid_days

),

-- Funding: the missing ones stand at even steps of whole hours.
funding_hours as (

    select
        *,
        {{ explode_steps('gap_start', 'gap_end', 60) }} as slot
    from gaps
    where dataset = 'fundingRate'

),

funding_missing as (

    select
        dataset,
        market,
        symbol,
        interval,
        {{ candle_start('slot', 1440) }} as day,
        1 as missing
    from funding_hours
    where
        {{ seconds_between('gap_start', 'slot') }}
        % ({{ seconds_between('gap_start', 'gap_end') }} // missing)
        = 0

),

-- Trades: the numbers say how many are missing, not on which of several days without any: the first bears them all, and
-- of the others nothing is known.
trade_missing as (

    select
        dataset,
        market,
        symbol,
        interval,
        {{ candle_start('missing_at', 1440) }} as day,
        missing
    from gaps
    where dataset = 'aggTrades'

    union all

    select
        dataset,
        market,
        symbol,
        interval,
        {{ explode_steps(
            candle_start('missing_at', 1440) ~ " + interval '1 day'", candle_start('gap_end', 1440), 1440
        ) }} as day,
        cast(null as bigint) as missing
    from gaps
    where dataset = 'aggTrades'

),

missing_by_part as (

    select * from grid_missing
    union all
    select * from funding_missing
    union all
    select * from trade_missing

),

missing_by_day as (

    select
        dataset,
        market,
        symbol,
        interval,
        day,
        case when count(missing) = count(*) then cast(sum(missing) as bigint) end as missing
    from missing_by_part
    group by dataset, market, symbol, interval, day
    -- a day of which the gap takes nothing is no row of its own
    having count(missing) < count(*) or sum(missing) > 0

),

days as (

    select
        coalesce(present_by_day.dataset, missing_by_day.dataset) as dataset,
        coalesce(present_by_day.market, missing_by_day.market) as market,
        coalesce(present_by_day.symbol, missing_by_day.symbol) as symbol,
        coalesce(present_by_day.interval, missing_by_day.interval) as interval,
        cast(coalesce(present_by_day.day, missing_by_day.day) as date) as day,
        coalesce(present_by_day.present, 0) as present,
        case when missing_by_day.day is null then 0 else missing_by_day.missing end as missing,
        coalesce(present_by_day.source, 'none') as source
    from present_by_day
    full outer join missing_by_day
        on
            present_by_day.dataset = missing_by_day.dataset
            and present_by_day.market = missing_by_day.market
            and present_by_day.symbol = missing_by_day.symbol
            and present_by_day.interval = missing_by_day.interval
            and present_by_day.day = missing_by_day.day

),

completeness as (

    select
        dataset,
        market,
        symbol,
        interval,
        day,
        present + missing as expected,
        present,
        missing,
        source
    from days

)

select * from completeness
