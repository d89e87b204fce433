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
        {{ candle_start('klines.open_time') }} as candle_open_time,
        files.origin = 'archive' as is_archive
    from {{ ref('stg_binance__klines') }} as klines
    inner join rebuild_plan
        on
            klines.symbol = rebuild_plan.symbol
            and klines.open_time >= rebuild_plan.rebuild_from
    inner join files
        on klines.file_id = files.file_id
    where
        klines.market = 'um'
        and klines.kline_type = 'last'
        and klines.interval in ('1m', '5m')
        and klines.open_time >= {{ rebuild_floor() }}
        -- delivery contracts carry their date behind an underscore
        and strpos(klines.symbol, '_') = 0

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

from_one_minute as (

    select
        symbol,
        candle_open_time as open_time,
        min_by(open, open_time) as open,
        max(high) as high,
        min(low) as low,
        max_by(close, open_time) as close,
        sum(volume) as volume,
        sum(quote_volume) as quote_volume,
        sum(trade_count) as trade_count,
        sum(taker_buy_volume) as taker_buy_volume,
        sum(taker_buy_quote_volume) as taker_buy_quote_volume,
        case when bool_and(is_archive) then 'klines_1m' else 'rest' end as source,
        case when bool_and(is_archive) then 2 else 4 end as preference
    from klines
    where interval = '1m'
    group by symbol, candle_open_time
    having count(*) = 5

),

-- The trade before the candle's first one may lie a while back where nobody traded; a day is looked back, always.
trade_candles as (

    select
        candles.*,
        lag(candles.last_agg_trade_id) over (
            partition by candles.symbol order by candles.open_time
        ) as previous_agg_trade_id,
        lag(candles.open_time) over (
            partition by candles.symbol order by candles.open_time
        ) >= candles.open_time - interval '1 day' as follows_within_a_day,
        -- Trades can be missing behind the candle's last one, too: the next ones tell, if they come within a day.
        lead(candles.first_agg_trade_id) over (
            partition by candles.symbol order by candles.open_time
        ) > candles.last_agg_trade_id + 1
        and lead(candles.open_time) over (
            partition by candles.symbol order by candles.open_time
        ) <= candles.open_time + interval '1 day' as lacks_its_end,
        candles.open_time >= rebuild_plan.rebuild_from as is_rebuilt
    from {{ ref('int_agg_trade_candles_5m') }} as candles
    inner join rebuild_plan
        on
            candles.symbol = rebuild_plan.symbol
            and candles.open_time >= rebuild_plan.rebuild_from - interval '1 day'
    where
        candles.market = 'um'
        and strpos(candles.symbol, '_') = 0

),

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
    from trade_candles
    where
        is_rebuilt
        and agg_trade_count = last_agg_trade_id - first_agg_trade_id + 1
        and reaches_end
        and lacks_its_end is not true
        and case
            when follows_within_a_day then previous_agg_trade_id = first_agg_trade_id - 1
            else starts_file
        end

),

candidates as (

    select * from from_five_minutes
    union all
    select * from from_one_minute
    union all
    select * from from_trades

),

best as (

    select * from candidates
    qualify row_number() over (partition by symbol, open_time order by preference) = 1

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
