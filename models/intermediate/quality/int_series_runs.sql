with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_series_runs'

),

files as (

    select
        file_id,
        origin
    from {{ source('ops', 'ingestion_files') }}

),

candles as (

    select
        exchange,
        dataset,
        market,
        kline_type,
        symbol,
        interval,
        open_time as row_time,
        -- as many decimals as open interest has: DuckDB would round that to the candles' 15, slowly
        cast(open as decimal(38, 16)) as open,
        cast(high as decimal(38, 16)) as high,
        cast(low as decimal(38, 16)) as low,
        cast(close as decimal(38, 16)) as close,
        volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume,
        close_time,
        file_id
    from {{ ref('int_candles') }}
    where
        open_time >= {{ candle_start(rebuild_floor(), 1440) }}
        and {{ is_rebuilt_symbol('symbol') }}

),

-- An open interest of zero, or none, is a snapshot that is missing. What it opens and closes with is the open interest.
snapshots as (

    select
        exchange,
        'metrics' as dataset,
        market,
        '' as kline_type,
        symbol,
        '5m' as interval,
        snapshot_at as row_time,
        open_interest as open,
        cast(null as decimal(38, 16)) as high,
        cast(null as decimal(38, 16)) as low,
        open_interest as close,
        cast(null as decimal(38, 15)) as volume,
        cast(null as decimal(38, 15)) as quote_volume,
        cast(null as bigint) as trade_count,
        cast(null as decimal(38, 8)) as taker_buy_volume,
        cast(null as decimal(38, 8)) as taker_buy_quote_volume,
        cast(null as timestamp) as close_time,
        file_id
    from {{ ref('stg_binance__metrics') }}
    where
        open_interest is not null
        -- one off the grid is the snapshot of no step
        and is_on_grid
        and snapshot_at >= {{ candle_start(rebuild_floor(), 1440) }}

),

landed as (

    select * from candles
    union all
    select * from snapshots

),

-- Whole days are rebuilt, and no run crosses midnight: so nothing has to be carried in.
steps as (

    select
        landed.*,
        files.origin,
        {{ candle_start('landed.row_time', 1440) }} as day,
        {{ interval_seconds('landed.interval') }} as step_seconds
    from landed
    inner join rebuild_plan
        on
            landed.exchange = rebuild_plan.exchange
            and landed.symbol = rebuild_plan.symbol
            and landed.row_time >= {{ candle_start('rebuild_plan.rebuild_from', 1440) }}
    inner join files
        on landed.file_id = files.file_id

),

-- Rows that follow one another keep the same distance to their row number.
numbered as (

    select
        *,
        {{ step_number('row_time', 'step_seconds') }} - row_number() over rows_of_the_day as run,
        lag(close) over rows_of_the_day as previous_close,
        lag(row_time) over rows_of_the_day as previous_row_time,
        lead(open) over rows_of_the_day as next_open,
        lead(row_time) over rows_of_the_day as next_row_time
    from steps
    window
        rows_of_the_day as (
            partition by exchange, dataset, market, kline_type, symbol, interval, day
            order by row_time
        )

),

judged as (

    select
        *,
        case
            when
                previous_close > 0
                and open > 0
                and {{ seconds_between('previous_row_time', 'row_time') }} = step_seconds
                then
                    round(
                        greatest(
                            {{ as_double('open') }} / {{ as_double('previous_close') }},
                            {{ as_double('previous_close') }} / {{ as_double('open') }}
                        ) - 1,
                        8
                    )
        end as jump,
        case when low > 0 then round({{ as_double('high') }} / {{ as_double('low') }} - 1, 8) end as price_range,
        -- The nearer of two neighbours between which a snapshot stands out to one side.
        case
            when
                dataset = 'metrics'
                and {{ seconds_between('previous_row_time', 'next_row_time') }} = 2 * step_seconds
                then
                    round(
                        greatest(
                            {{ as_double('open') }} / {{ as_double('greatest(previous_close, next_open)') }},
                            {{ as_double('least(previous_close, next_open)') }} / {{ as_double('open') }},
                            1
                        ) - 1,
                        8
                    )
        end as spike,
        -- What was paid lies between the lowest and the highest price; COIN-M writes contracts and coins there.
        dataset = 'klines'
        and kline_type = 'last'
        and market != 'cm'
        and {{ as_double('quote_volume') }} not between
        {{ as_double('low') }} * {{ as_double('volume') }} * (1 - {{ var('candle_agreement_tolerance') }})
        and {{ as_double('high') }} * {{ as_double('volume') }} * (1 + {{ var('candle_agreement_tolerance') }})
            as is_quote_volume_wrong,
        -- Where hardly anybody trades, prices jump between bid and ask, within candles as between them.
        dataset = 'klines'
        and kline_type = 'last'
        and trade_count >= {{ var('lively_candle_trades') }}
        and {{ seconds_between('previous_row_time', 'row_time') }} = step_seconds as is_lively
    from numbered

),

runs as (

    select
        exchange,
        dataset,
        market,
        kline_type,
        symbol,
        interval,
        day,
        min(row_time) as run_start,
        max(row_time) as run_end,
        count(*) as present,
        case when min(origin) = max(origin) then min(origin) else 'mixed' end as source,
        min_by(open, row_time) as first_open,
        max_by(close, row_time) as last_close,
        count(*) filter (
            where kline_type in ('last', 'mark') and least(open, high, low, close) <= 0
        ) as prices_not_positive,
        count(*) filter (where high < greatest(open, close, low) or low > least(open, close)) as high_low_wrong,
        count(*) filter (
            where taker_buy_volume > volume or taker_buy_quote_volume > quote_volume
        ) as taker_above_volume,
        count(*) filter (where is_quote_volume_wrong) as quote_volume_wrong,
        count(*) filter (
            where close_time <= row_time or close_time >= {{ candle_end('row_time', 'interval') }}
        ) as close_time_wrong,
        cast(max(jump) as decimal(38, 8)) as largest_jump,
        cast(max(price_range) as decimal(38, 8)) as largest_range,
        cast(max(spike) as decimal(38, 8)) as largest_spike,
        -- Sums of decimals: the order in which they are added plays no part.
        case
            when count(*) filter (where is_lively) >= 100 and sum(abs(close - open)) filter (where is_lively) > 0
                then
                    cast(round(
                        {{ as_double('sum(abs(open - previous_close)) filter (where is_lively)') }}
                        / {{ as_double('sum(abs(close - open)) filter (where is_lively)') }},
                        8
                    ) as decimal(38, 8))
        end as open_gap_ratio
    from judged
    group by exchange, dataset, market, kline_type, symbol, interval, day, run

)

select * from runs
