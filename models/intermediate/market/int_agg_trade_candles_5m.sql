with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_agg_trade_candles_5m'

),

-- A file is of one market and symbol: numbers are compared faster than names, two billion times.
files as (

    select
        files.file_id,
        files.market,
        files.symbol,
        files.period_start,
        files.period_end,
        files.last_time,
        rebuild_plan.rebuild_from
    from {{ source('ops', 'ingestion_files') }} as files
    inner join rebuild_plan
        on
            files.exchange = rebuild_plan.exchange
            and files.symbol = rebuild_plan.symbol
    where files.dataset = 'aggTrades'

),

trades as (

    select
        agg_trades.*,
        agg_trades.price * agg_trades.quantity as quote_quantity,
        {{ candle_start('agg_trades.traded_at') }} as open_time
    from {{ ref('stg_binance__agg_trades') }} as agg_trades
    inner join files
        on
            agg_trades.file_id = files.file_id
            and agg_trades.traded_at >= files.rebuild_from
    where agg_trades.traded_at >= {{ rebuild_floor() }}

),

parts as (

    select
        file_id,
        open_time,
        min_by(price, agg_trade_id) as open,
        max(price) as high,
        min(price) as low,
        max_by(price, agg_trade_id) as close,
        sum(quantity) as volume,
        sum(quote_quantity) as quote_volume,
        sum(last_trade_id - first_trade_id + 1) as trade_count,
        sum(quantity) filter (where not is_buyer_maker) as taker_buy_volume,
        sum(quote_quantity) filter (where not is_buyer_maker) as taker_buy_quote_volume,
        min(agg_trade_id) as first_agg_trade_id,
        max(agg_trade_id) as last_agg_trade_id,
        count(*) as agg_trade_count,
        min(traded_at) as first_traded_at,
        max(traded_at) as last_traded_at
    from trades
    group by file_id, open_time

),

candles as (

    select
        files.market,
        files.symbol,
        parts.open_time,
        min_by(parts.open, parts.first_agg_trade_id) as open,
        max(parts.high) as high,
        min(parts.low) as low,
        max_by(parts.close, parts.last_agg_trade_id) as close,
        cast(sum(parts.volume) as decimal(38, 8)) as volume,
        cast(sum(parts.quote_volume) as decimal(38, 8)) as quote_volume,
        cast(sum(parts.trade_count) as bigint) as trade_count,
        cast(coalesce(sum(parts.taker_buy_volume), 0) as decimal(38, 8)) as taker_buy_volume,
        cast(coalesce(sum(parts.taker_buy_quote_volume), 0) as decimal(38, 8)) as taker_buy_quote_volume,
        min(parts.first_agg_trade_id) as first_agg_trade_id,
        max(parts.last_agg_trade_id) as last_agg_trade_id,
        cast(sum(parts.agg_trade_count) as bigint) as agg_trade_count,
        min(parts.first_traded_at) as first_traded_at,
        max(parts.last_traded_at) as last_traded_at,
        bool_or(files.period_start = parts.open_time) as starts_file,
        bool_or(
            files.last_time >= parts.open_time + interval '5 minutes'
            or files.period_end = parts.open_time + interval '5 minutes'
        ) as reaches_end
    from parts
    inner join files
        on parts.file_id = files.file_id
    group by files.market, files.symbol, parts.open_time

)

select * from candles
