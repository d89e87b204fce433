with

-- None reaches further than a day, so a rebuild asks only of candles from a day before it on.
candles as (

    select * from {{ ref('int_agg_trade_candles_5m') }}
    where open_time >= {{ rebuild_floor() }} - interval '1 day'

),

neighbours as (

    select
        market,
        symbol,
        open_time,
        lead(open_time) over (partition by market, symbol order by open_time) as next_open_time
    from candles

),

reach as (

    select
        'binance' as exchange,
        market,
        symbol,
        open_time as reaches_back_to,
        least(coalesce(next_open_time, open_time + interval '1 day'), open_time + interval '1 day') as up_to
    from neighbours

)

select * from reach
