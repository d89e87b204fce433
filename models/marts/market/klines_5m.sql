-- A candle of trades depends on the next one: depends_on: {{ ref('int_agg_trade_reach') }}
with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'klines_5m'

),

files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

klines as (

    select
        klines.*,
        files.origin = 'archive' as is_archive
    from {{ ref('stg_binance__klines') }} as klines
    inner join rebuild_plan
        on
            klines.symbol = rebuild_plan.symbol
            and klines.open_time >= rebuild_plan.rebuild_from
    inner join files
        on klines.file_id = files.file_id
    where
        {{ is_perpetual('klines') }}
        and klines.kline_type = 'last'
        and klines.interval in ('1m', '5m')
        and klines.open_time >= {{ rebuild_floor() }}
        and {{ is_rebuilt_symbol('klines.symbol') }}

),

from_five_minutes as (

    select
        symbol,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume,
        case when is_archive then 'klines_5m' else 'rest' end as source,
        case when is_archive then 1 else 3 end as preference
    from klines
    where interval = '5m'

),

one_minute as (

    select * from klines
    where interval = '1m'

),

from_one_minute as (

    {{ candles_from_minutes(
        'one_minute',
        ['symbol'],
        [
            'open', 'high', 'low', 'close', 'volume', 'quote_volume', 'trade_count', 'taker_buy_volume',
            'taker_buy_quote_volume',
        ],
        {
            'source': "case when bool_and(is_archive) then 'klines_1m' else 'rest' end",
            'preference': 'case when bool_and(is_archive) then 2 else 4 end',
        }
    ) }}

),

{{ whole_trade_candles('rebuild_plan.rebuild_from', rebuild_floor(), is_perpetual('candles')) }},

from_trades as (

    select
        symbol,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume,
        'agg_trades' as source,
        5 as preference
    from whole_trade_candles

),

candidates as (

    select * from from_five_minutes
    union all
    select * from from_one_minute
    union all
    select * from from_trades

),

-- Each preference has one candle at most. Not by a window: over millions of candles it holds all of them in memory.
preferred as (

    select
        symbol,
        open_time,
        min(preference) as preference
    from candidates
    group by symbol, open_time

),

best as (

    select candidates.*
    from candidates
    inner join preferred
        on
            candidates.symbol = preferred.symbol
            and candidates.open_time = preferred.open_time
            and candidates.preference = preferred.preference

),

typed as (

    select
        symbol,
        open_time,
        open,
        high,
        low,
        close,
        cast(volume as decimal(38, 8)) as volume,
        cast(quote_volume as decimal(38, 8)) as quote_volume,
        cast(trade_count as bigint) as trade_count,
        cast(taker_buy_volume as decimal(38, 8)) as taker_buy_volume,
        cast(taker_buy_quote_volume as decimal(38, 8)) as taker_buy_quote_volume,
        source
    from best

)

select * from typed
-- Everybody asks for a symbol, and most for a time: the engine skips the blocks of others.
order by symbol, open_time
