with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_agg_trade_gaps'

),

candles as (

    select candles.*
    from {{ ref('int_agg_trade_candles_5m') }} as candles
    inner join rebuild_plan
        on
            candles.symbol = rebuild_plan.symbol
            and candles.open_time >= rebuild_plan.rebuild_from
    where candles.open_time >= {{ rebuild_floor() }}

),

-- Numbers, not rows, tell that trades are missing; only the five minutes in which they are get read one by one.
broken as (

    select
        market,
        symbol,
        open_time
    from candles
    where agg_trade_count != last_agg_trade_id - first_agg_trade_id + 1

),

-- The floor is a constant, so that the engine skips the blocks of all earlier years.
trades as (

    select
        agg_trades.market,
        agg_trades.symbol,
        broken.open_time,
        agg_trades.agg_trade_id,
        agg_trades.traded_at
    from {{ ref('stg_binance__agg_trades') }} as agg_trades
    inner join broken
        on
            agg_trades.market = broken.market
            and agg_trades.symbol = broken.symbol
            and {{ candle_start('agg_trades.traded_at') }} = broken.open_time
    where agg_trades.traded_at >= {{ rebuild_floor() }}

),

neighbours as (

    select
        market,
        symbol,
        open_time,
        agg_trade_id,
        traded_at,
        lag(agg_trade_id) over (partition by market, symbol, open_time order by agg_trade_id) as previous_agg_trade_id,
        lag(traded_at) over (partition by market, symbol, open_time order by agg_trade_id) as previous_traded_at
    from trades

),

-- Two gaps can begin in one millisecond: they are told as one, so that the start is a key.
gaps as (

    select
        market,
        symbol,
        open_time,
        previous_traded_at as gap_start,
        max(traded_at) as gap_end,
        cast(sum(agg_trade_id - previous_agg_trade_id - 1) as bigint) as missing
    from neighbours
    where agg_trade_id > previous_agg_trade_id + 1
    group by market, symbol, open_time, previous_traded_at

)

select * from gaps
