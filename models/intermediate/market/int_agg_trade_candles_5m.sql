with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_agg_trade_candles_5m'

),

files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

trades as (

    select
        agg_trades.*,
        {{ candle_start('agg_trades.traded_at') }} as open_time
    from {{ ref('stg_binance__agg_trades') }} as agg_trades
    inner join rebuild_plan
        on
            agg_trades.symbol = rebuild_plan.symbol
            and agg_trades.traded_at >= rebuild_plan.rebuild_from
    where agg_trades.traded_at >= {{ rebuild_floor() }}

),

candles as (

    select
        trades.market,
        trades.symbol,
        trades.open_time,
        min_by(trades.price, trades.agg_trade_id) as open,
        max(trades.price) as high,
        min(trades.price) as low,
        max_by(trades.price, trades.agg_trade_id) as close,
        cast(sum(trades.quantity) as decimal(38, 8)) as volume,
        cast(sum(trades.price * trades.quantity) as decimal(38, 8)) as quote_volume,
        cast(sum(trades.last_trade_id - trades.first_trade_id + 1) as bigint) as trade_count,
        cast(
            coalesce(sum(trades.quantity) filter (where not trades.is_buyer_maker), 0) as decimal(38, 8)
        ) as taker_buy_volume,
        cast(
            coalesce(sum(trades.price * trades.quantity) filter (where not trades.is_buyer_maker), 0)
            as decimal(38, 8)
        ) as taker_buy_quote_volume,
        min(trades.agg_trade_id) as first_agg_trade_id,
        max(trades.agg_trade_id) as last_agg_trade_id,
        count(*) as agg_trade_count,
        min(trades.traded_at) as first_traded_at,
        max(trades.traded_at) as last_traded_at,
        bool_or(files.period_start = trades.open_time) as starts_file,
        bool_or(
            files.last_time >= trades.open_time + interval '5 minutes'
            or files.period_end = trades.open_time + interval '5 minutes'
        ) as reaches_end
    from trades
    inner join files
        on trades.file_id = files.file_id
    group by trades.market, trades.symbol, trades.open_time

)

select * from candles
