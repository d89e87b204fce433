with

trade_candles as (

    select * from {{ ref('int_agg_trade_candles_5m') }}

),

-- Gaps within five minutes.
trade_gaps as (

    select * from {{ ref('int_agg_trade_gaps') }}

),

-- Between two candles of trades the ids of the neighbours tell.
neighbours as (

    select
        market,
        symbol,
        first_agg_trade_id,
        first_traded_at as gap_end,
        lag(last_agg_trade_id) over (partition by market, symbol order by open_time) as previous_agg_trade_id,
        lag(last_traded_at) over (partition by market, symbol order by open_time) as gap_start
    from trade_candles

),

parts as (

    select
        market,
        symbol,
        gap_start,
        gap_end,
        first_agg_trade_id - previous_agg_trade_id - 1 as missing
    from neighbours
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

gaps as (

    select
        'binance' as exchange,
        'aggTrades' as dataset,
        market,
        symbol,
        '' as interval,
        gap_start,
        max(gap_end) as gap_end,
        cast(sum(missing) as bigint) as missing
    from parts
    group by market, symbol, gap_start

)

select * from gaps
