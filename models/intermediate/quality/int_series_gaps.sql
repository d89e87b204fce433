with

runs as (

    select * from {{ ref('int_series_runs') }}
    where kline_type in ('last', '')

),

extents as (

    select * from {{ ref('int_series_extents') }}

),

proofs as (

    select * from {{ ref('int_ohlcvt_proofs') }}
    where proves = 'absence'

),

trade_candles as (

    select * from {{ ref('int_agg_trade_candles_5m') }}

),

trade_gaps as (

    select * from {{ ref('int_agg_trade_gaps') }}

),

funding as (

    select * from {{ ref('stg_binance__funding_rates') }}

),

-- Candles and snapshots: between two runs.
breaks as (

    select
        dataset,
        market,
        symbol,
        interval,
        {{ candle_end('run_end', 'interval') }} as gap_start,
        lead(run_start) over (partition by dataset, market, symbol, interval order by run_start) as gap_end
    from runs

),

grid_gaps as (

    select
        *,
        'inside' as place
    from breaks
    where gap_start < gap_end

),

-- When the symbol was seen first and last on a day, by its series of five minutes and less.
days_seen as (

    select
        market,
        symbol,
        day,
        min(run_start) as first_seen_at
    from runs
    where
        dataset in ('klines', 'metrics')
        and {{ interval_seconds('interval') }} <= 300
    group by market, symbol, day

),

-- A series that begins within a day on which the symbol was seen before lacks the start of that day. A first snapshot
-- of 00:05 is whole: files whose label is the start of five minutes begin so.
heads as (

    select
        extents.dataset,
        extents.market,
        extents.symbol,
        extents.interval,
        {{ step_start('days_seen.first_seen_at', interval_seconds('extents.interval')) }} as gap_start,
        extents.first_time as gap_end,
        'head' as place
    from extents
    inner join days_seen
        on
            extents.market = days_seen.market
            and extents.symbol = days_seen.symbol
            and {{ candle_start('extents.first_time', 1440) }} = days_seen.day
    where
        extents.dataset in ('klines', 'metrics')
        and {{ interval_seconds('extents.interval') }} < 86400
        and days_seen.first_seen_at
        < extents.first_time - case extents.dataset when 'metrics' then 5 else 0 end * interval '1 minute'

),

-- A series that stopped while others went on lacks what they still tell.
tails as (

    select
        dataset,
        market,
        symbol,
        interval,
        next_due as gap_start,
        {{ step_start('others_until', interval_seconds('interval')) }} as gap_end,
        'tail' as place
    from extents
    where
        dataset in ('klines', 'metrics')
        and {{ interval_seconds('interval') }} <= 86400

),

edges as (

    select * from heads
    where gap_start < gap_end

    union all

    select * from tails
    where gap_start < gap_end

),

on_grid as (

    select * from grid_gaps
    where dataset != 'ohlcvt'
    union all
    select
        dataset,
        market,
        symbol,
        interval,
        gap_start,
        gap_end,
        place
    from edges

),

counted as (

    select
        *,
        case
            when interval = '1mo' then {{ dbt.datediff('gap_start', 'gap_end', 'month') }}
            else {{ seconds_between('gap_start', 'gap_end') }} // {{ interval_seconds('interval') }}
        end as missing
    from on_grid

),

-- Kraken: a candle without a trade is absent. Only what another file of the pair proves is a hole.
proved as (

    select distinct
        grid_gaps.dataset,
        grid_gaps.market,
        grid_gaps.symbol,
        grid_gaps.interval,
        greatest(grid_gaps.gap_start, proofs.window_start) as gap_start,
        least(grid_gaps.gap_end, proofs.window_end) as gap_end
    from grid_gaps
    inner join proofs
        on
            grid_gaps.symbol = proofs.symbol
            and grid_gaps.interval = proofs.interval
            and grid_gaps.gap_start < proofs.window_end
            and grid_gaps.gap_end > proofs.window_start
    where grid_gaps.dataset = 'ohlcvt'

),

reached as (

    select
        *,
        max(gap_end) over (
            partition by dataset, market, symbol, interval
            order by gap_start, gap_end
            rows between unbounded preceding and 1 preceding
        ) as reached_before
    from proved

),

pieces as (

    select
        *,
        count(*) filter (where reached_before is null or reached_before < gap_start) over (
            partition by dataset, market, symbol, interval
            order by gap_start, gap_end
            rows between unbounded preceding and current row
        ) as piece
    from reached

),

merged as (

    select
        dataset,
        market,
        symbol,
        interval,
        min(gap_start) as gap_start,
        max(gap_end) as gap_end
    from pieces
    group by dataset, market, symbol, interval, piece

),

ohlcvt_gaps as (

    select
        *,
        'inside' as place,
        {{ seconds_between('gap_start', 'gap_end') }} // {{ interval_seconds('interval') }} as missing
    from merged

),

-- Trades: between two five minutes, by the numbers of the neighbours; within five minutes they are found already.
trade_neighbours as (

    select
        market,
        symbol,
        first_agg_trade_id,
        first_traded_at as gap_end,
        lag(last_agg_trade_id) over (partition by market, symbol order by open_time) as previous_agg_trade_id,
        lag(last_traded_at) over (partition by market, symbol order by open_time) as gap_start
    from trade_candles

),

all_trade_gaps as (

    select
        market,
        symbol,
        gap_start,
        gap_end,
        first_agg_trade_id - previous_agg_trade_id - 1 as missing
    from trade_neighbours
    where first_agg_trade_id > previous_agg_trade_id + 1

    union all

    select
        market,
        symbol,
        gap_start,
        gap_end,
        missing
    from trade_gaps

),

trades as (

    select
        'aggTrades' as dataset,
        market,
        symbol,
        '' as interval,
        gap_start,
        max(gap_end) as gap_end,
        'inside' as place,
        cast(sum(missing) as bigint) as missing
    from all_trade_gaps
    group by market, symbol, gap_start

),

-- Funding: the time jitters by milliseconds, and the hours between two change; a change itself is no hole.
funding_slots as (

    select
        market,
        symbol,
        date_trunc('hour', funded_at + interval '30 minutes') as slot,
        max(coalesce(funding_interval_hours, 8)) as hours
    from funding
    group by all

),

funding_neighbours as (

    select
        market,
        symbol,
        slot,
        lag(slot) over (partition by market, symbol order by slot) as previous_slot,
        hours,
        greatest(hours, lag(hours) over (partition by market, symbol order by slot)) as longest_hours
    from funding_slots

),

funding_gaps as (

    select
        'fundingRate' as dataset,
        market,
        symbol,
        '' as interval,
        previous_slot + longest_hours * interval '1 hour' as gap_start,
        slot as gap_end,
        'inside' as place,
        greatest({{ seconds_between('previous_slot', 'slot') }} // 3600 // longest_hours - 1, 1) as missing
    from funding_neighbours
    where previous_slot + longest_hours * interval '1 hour' < slot

),

gaps as (

    select
        dataset,
        market,
        symbol,
        interval,
        gap_start,
        gap_end,
        place,
        missing
    from counted
    union all
    select
        dataset,
        market,
        symbol,
        interval,
        gap_start,
        gap_end,
        place,
        missing
    from ohlcvt_gaps
    union all
    select
        dataset,
        market,
        symbol,
        interval,
        gap_start,
        gap_end,
        place,
        missing
    from trades
    union all
    select
        dataset,
        market,
        symbol,
        interval,
        gap_start,
        gap_end,
        place,
        missing
    from funding_gaps

),

typed as (

    select
        dataset,
        market,
        symbol,
        interval,
        gap_start,
        gap_end,
        place,
        cast(missing as bigint) as missing,
        -- Trades have no grid: the day that lacks them is the first without any, else the one with more of the gap.
        case
            when dataset != 'aggTrades' then gap_start
            when {{ candle_start('gap_end', 1440) }} > {{ candle_start('gap_start', 1440) }} + interval '1 day'
                then {{ candle_start('gap_start', 1440) }} + interval '1 day'
            else gap_start + {{ seconds_between('gap_start', 'gap_end') }} // 2 * interval '1 second'
        end as missing_at
    from gaps

)

select * from typed
