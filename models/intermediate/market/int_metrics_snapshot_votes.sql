with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_metrics_snapshot_votes'

),

-- A change within a file's range concerns the whole file, so files are rebuilt from their last row backwards.
files as (

    select files.*
    from {{ source('ops', 'ingestion_files') }} as files
    inner join rebuild_plan
        on
            files.exchange = rebuild_plan.exchange
            and files.symbol = rebuild_plan.symbol
            and files.last_time >= rebuild_plan.rebuild_from
    where
        files.status = 'loaded'
        and files.dataset = 'metrics'
        and files.market = 'um'

),

candles as (

    select * from {{ ref('klines_5m') }}
    where
        {{ is_rebuilt_symbol('symbol') }}
        -- and the candle before them: as one number, it lets the engine skip the blocks of years
        and open_time >= (select min(files.first_time) - interval '10 minutes' from files)

),

-- The price that a snapshot implies: its value ÷ its open interest.
implied_prices as (

    select
        metrics.file_id,
        metrics.symbol,
        {{ snapshot_step('metrics.create_time') }} as open_time,
        {{ as_double('metrics.sum_open_interest_value') }} / {{ as_double('metrics.sum_open_interest') }} as price
    from {{ source('raw_binance', 'binance_metrics') }} as metrics
    inner join files
        on metrics.file_id = files.file_id
    where
        metrics.sum_open_interest > 0
        and metrics.sum_open_interest_value > 0
        and {{ is_rebuilt_symbol('metrics.symbol') }}

),

comparisons as (

    select
        implied_prices.file_id,
        abs(candles.close - candles.open) as candle_move,
        abs(candles.close - candles.open) >= candles.open * {{ var('snapshot_label_least_move') }} as candle_moved,
        candles.open * {{ var('mark_price_tolerance') }} as far_off,
        abs(implied_prices.price - candles.open) as distance_to_open,
        abs(implied_prices.price - candles.close) as distance_to_close,
        abs(implied_prices.price - candles_before.open) as distance_to_open_before
    from implied_prices
    inner join candles
        on
            implied_prices.symbol = candles.symbol
            and implied_prices.open_time = candles.open_time
    left join candles as candles_before
        on
            implied_prices.symbol = candles_before.symbol
            and implied_prices.open_time = candles_before.open_time + interval '5 minutes'

),

votes as (

    select
        file_id,
        count(*) filter (where candle_moved and distance_to_open < distance_to_close) as votes_instant,
        count(*) filter (where candle_moved and distance_to_open > distance_to_close) as votes_start,
        -- Between open and close nothing is farther from both than half of what lies between them; and what is
        -- much nearer to the open before them is a snapshot of that time.
        count(*) filter (
            where
            candle_moved
            and (
                least(distance_to_open, distance_to_close) > candle_move / 2
                or distance_to_open_before < least(distance_to_open, distance_to_close) / 4
            )
        ) as votes_neither,
        count(*) filter (where least(distance_to_open, distance_to_close) > far_off) as prices_far_off
    from comparisons
    group by file_id

),

counted as (

    select
        files.file_id,
        files.symbol,
        files.origin,
        files.sha256,
        files.period_start,
        files.period_end,
        files.first_time,
        files.last_time,
        coalesce(votes.votes_instant, 0) as votes_instant,
        coalesce(votes.votes_start, 0) as votes_start,
        coalesce(votes.votes_neither, 0) as votes_neither,
        coalesce(votes.prices_far_off, 0) as prices_far_off
    from files
    left join votes
        on files.file_id = votes.file_id

),

measured as (

    select
        *,
        case
            when votes_instant + votes_start < {{ var('snapshot_label_least_votes') }} then null
            when votes_instant >= {{ var('snapshot_label_least_share') }} * (votes_instant + votes_start) then 'instant'
            when votes_start >= {{ var('snapshot_label_least_share') }} * (votes_instant + votes_start) then 'start'
        end as measured_label
    from counted

)

select * from measured
