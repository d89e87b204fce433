with

runs as (

    select * from {{ ref('int_series_runs') }}
    where kline_type in ('last', '')

),

extents as (

    select * from {{ ref('int_series_extents') }}
    where dataset in ('klines', 'metrics')

),

-- When the symbol was seen first and last on a day, by its series of five minutes and less.
days_seen as (

    select
        exchange,
        market,
        symbol,
        day,
        min(run_start) as first_seen_at
    from runs
    where
        dataset in ('klines', 'metrics')
        and {{ interval_seconds('interval') }} <= 300
    group by exchange, market, symbol, day

),

-- A series that begins within a day on which the symbol was seen before lacks the start of that day. A first snapshot
-- of 00:05 is whole: files whose label is the start of five minutes begin so.
heads as (

    select
        {{ series_columns('extents') }},
        {{ step_start('days_seen.first_seen_at', interval_seconds('extents.interval')) }} as gap_start,
        extents.first_time as gap_end,
        'head' as place
    from extents
    inner join days_seen
        on
            extents.exchange = days_seen.exchange
            and extents.market = days_seen.market
            and extents.symbol = days_seen.symbol
            and {{ candle_start('extents.first_time', 1440) }} = days_seen.day
    where
        {{ interval_seconds('extents.interval') }} < 86400
        and days_seen.first_seen_at
        < extents.first_time - case extents.dataset when 'metrics' then 5 else 0 end * interval '1 minute'

),

-- A series that stopped while others went on lacks what they still tell.
tails as (

    select
        {{ series_columns() }},
        next_due as gap_start,
        {{ step_start('others_until', interval_seconds('interval')) }} as gap_end,
        'tail' as place
    from extents
    where {{ interval_seconds('interval') }} <= 86400

),

edges as (

    select * from heads
    union all
    select * from tails

),

gaps as (

    select * from edges
    where gap_start < gap_end

)

select * from gaps
