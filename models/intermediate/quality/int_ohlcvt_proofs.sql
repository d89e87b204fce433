with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_ohlcvt_proofs'

),

-- Longer candles than a day do not come in files; leaving them out keeps every proof within its day.
candles as (

    select
        ohlcvt.exchange,
        ohlcvt.symbol,
        ohlcvt.interval_minutes,
        ohlcvt.open_time,
        ohlcvt.open_time + ohlcvt.interval_minutes * interval '1 minute' as close_time,
        ohlcvt.open,
        ohlcvt.high,
        ohlcvt.low,
        ohlcvt.close,
        ohlcvt.trade_count
    from {{ ref('stg_kraken__ohlcvt') }} as ohlcvt
    inner join rebuild_plan
        on
            ohlcvt.exchange = rebuild_plan.exchange
            and ohlcvt.symbol = rebuild_plan.symbol
            and ohlcvt.open_time >= {{ candle_start('rebuild_plan.rebuild_from', 1440) }}
    where
        ohlcvt.interval_minutes <= 1440
        and ohlcvt.open_time >= {{ candle_start(rebuild_floor(), 1440) }}

),

-- From the ledger: an interval can be missing for days and yet be one that people landed.
intervals as (

    select
        files.exchange,
        files.symbol,
        files.interval,
        {{ whole_division(interval_seconds('files.interval'), 60) }} as interval_minutes,
        min(files.first_time) as first_time
    from {{ source('ops', 'ingestion_files') }} as files
    inner join rebuild_plan
        on
            files.exchange = rebuild_plan.exchange
            and files.symbol = rebuild_plan.symbol
    where
        files.status = 'loaded'
        and files.dataset = 'ohlcvt'
        and files.rows_loaded > 0
    group by files.exchange, files.symbol, files.interval

),

-- The finer candles within each slot of a longer interval, whether that has a candle there or not. Slots are worked out
-- before anything is joined by time: to hold each candle against each longer one takes the square of a history.
finer_by_slot as (

    select
        finer.exchange,
        finer.symbol,
        finer.interval_minutes,
        longer.interval as slot_interval,
        longer.interval_minutes as slot_minutes,
        longer.first_time,
        {{ step_start('finer.open_time', 'longer.interval_minutes * 60') }} as slot,
        max(finer.open_time) as last_open_time,
        sum(finer.trade_count) as trade_count,
        min_by(finer.open, finer.open_time) as open,
        max(finer.high) as high,
        min(finer.low) as low,
        max_by(finer.close, finer.open_time) as close
    from candles as finer
    inner join intervals as longer
        on
            finer.exchange = longer.exchange
            and finer.symbol = longer.symbol
            and finer.interval_minutes < longer.interval_minutes
    group by
        finer.exchange,
        finer.symbol,
        finer.interval_minutes,
        longer.interval,
        longer.interval_minutes,
        longer.first_time,
        {{ step_start('finer.open_time', 'longer.interval_minutes * 60') }}

),

-- A finer candle has trades, so the longer candle around it must be there.
slots_with_trades as (

    select
        exchange,
        symbol,
        slot_interval as interval,
        slot_minutes as interval_minutes,
        slot,
        max(interval_minutes) as seen_in_minutes
    from finer_by_slot
    where last_open_time >= first_time
    group by exchange, symbol, slot_interval, slot_minutes, slot

),

from_finer as (

    select
        slots_with_trades.exchange,
        slots_with_trades.symbol,
        slots_with_trades.interval,
        slots_with_trades.slot as window_start,
        slots_with_trades.slot + slots_with_trades.interval_minutes * interval '1 minute' as window_end,
        slots_with_trades.seen_in_minutes,
        'absence' as proves
    from slots_with_trades
    left join candles
        on
            slots_with_trades.exchange = candles.exchange
            and slots_with_trades.symbol = candles.symbol
            and slots_with_trades.interval_minutes = candles.interval_minutes
            and slots_with_trades.slot = candles.open_time
    where candles.symbol is null

),

-- A longer candle counts more trades than the finer ones within it: some of these are missing.
counted as (

    select
        intervals.exchange,
        intervals.symbol,
        intervals.interval,
        longer.open_time as window_start,
        longer.close_time as window_end,
        longer.interval_minutes as seen_in_minutes,
        longer.trade_count,
        coalesce(finer.trade_count, 0) as finer_trade_count,
        abs(longer.close) as price,
        greatest(
            abs(longer.open - finer.open),
            abs(longer.high - finer.high),
            abs(longer.low - finer.low),
            abs(longer.close - finer.close)
        ) as price_difference
    from candles as longer
    inner join intervals
        on
            longer.exchange = intervals.exchange
            and longer.symbol = intervals.symbol
            and longer.interval_minutes > intervals.interval_minutes
            and longer.open_time >= intervals.first_time
    left join finer_by_slot as finer
        on
            intervals.exchange = finer.exchange
            and intervals.symbol = finer.symbol
            and intervals.interval_minutes = finer.interval_minutes
            and longer.interval_minutes = finer.slot_minutes
            and longer.open_time = finer.slot

),

short as (

    select * from counted
    where finer_trade_count < trade_count

),

-- Windows of longer intervals that have a shorter one within them: the shortest that proves it says best where. Lengths
-- divide one another, so what begins in a slot ends in it.
around_shorter as (

    select distinct
        closer.exchange,
        closer.symbol,
        closer.interval,
        longer.interval_minutes as seen_in_minutes,
        {{ step_start('closer.window_start', 'longer.interval_minutes * 60') }} as window_start
    from short as closer
    inner join intervals as longer
        on
            closer.exchange = longer.exchange
            and closer.symbol = longer.symbol
            and closer.seen_in_minutes < longer.interval_minutes

),

from_longer as (

    select
        short.exchange,
        short.symbol,
        short.interval,
        short.window_start,
        short.window_end,
        short.seen_in_minutes,
        'absence' as proves
    from short
    left join around_shorter
        on
            short.exchange = around_shorter.exchange
            and short.symbol = around_shorter.symbol
            and short.interval = around_shorter.interval
            and short.seen_in_minutes = around_shorter.seen_in_minutes
            and short.window_start = around_shorter.window_start
    where around_shorter.symbol is null

),

-- Finer candles cannot have more trades than the longer one around them: the two are not of one market.
surplus as (

    select
        exchange,
        symbol,
        interval,
        window_start,
        window_end,
        seen_in_minutes,
        'surplus' as proves
    from counted
    where finer_trade_count > trade_count

),

-- All trades are there on both sides, so the prices must be the same.
other_prices as (

    select
        exchange,
        symbol,
        interval,
        window_start,
        window_end,
        seen_in_minutes,
        'other prices' as proves
    from counted
    where
        finer_trade_count = trade_count
        and price_difference > {{ var('candle_agreement_tolerance') }} * price

),

proofs as (

    select * from from_finer
    union all
    select * from from_longer
    union all
    select * from surplus
    union all
    select * from other_prices

)

select * from proofs
