-- A candle of trades depends on the next one: depends_on: {{ ref('int_agg_trade_reach') }}
with

rebuild_plan as (

    select * from {{ source('state', 'rebuild_plan') }}
    where model = 'int_candle_agreement_days'

),

-- Whole days are rebuilt, so nothing has to be carried in.
klines as (

    select
        klines.*,
        {{ candle_start('klines.open_time') }} as candle_open_time
    from {{ ref('stg_binance__klines') }} as klines
    inner join rebuild_plan
        on
            klines.symbol = rebuild_plan.symbol
            and klines.open_time >= {{ candle_start('rebuild_plan.rebuild_from', 1440) }}
    where
        (
            (klines.kline_type = 'last' and klines.interval in ('1m', '5m'))
            or (klines.kline_type = 'mark' and klines.interval = '5m')
        )
        and klines.open_time >= {{ candle_start(rebuild_floor(), 1440) }}
        and {{ is_rebuilt_symbol('klines.symbol') }}

),

five_minutes as (

    select
        'klines_5m' as source,
        market,
        symbol,
        candle_open_time,
        open,
        high,
        low,
        close,
        volume
    from klines
    where interval = '5m' and kline_type = 'last'

),

marks as (

    select
        'mark_5m' as source,
        market,
        symbol,
        candle_open_time,
        cast(null as decimal(18, 8)) as open,
        cast(null as decimal(18, 8)) as high,
        cast(null as decimal(18, 8)) as low,
        close,
        cast(null as decimal(38, 8)) as volume
    from klines
    where kline_type = 'mark'

),

last_price_minutes as (

    select * from klines
    where interval = '1m'

),

candles_of_minutes as (

    {{ candles_from_minutes(
        'last_price_minutes', ['market', 'symbol'], ['open', 'high', 'low', 'close', 'volume']
    ) }}

),

one_minute as (

    select
        'klines_1m' as source,
        market,
        symbol,
        open_time as candle_open_time,
        open,
        high,
        low,
        close,
        volume
    from candles_of_minutes

),

{{ whole_trade_candles(
    candle_start('rebuild_plan.rebuild_from', 1440), candle_start(rebuild_floor(), 1440)
) }},

trades as (

    select
        'trades' as source,
        market,
        symbol,
        open_time as candle_open_time,
        open,
        high,
        low,
        close,
        volume
    from whole_trade_candles

),

all_candles as (

    select * from one_minute
    union all
    select * from five_minutes
    union all
    select * from trades
    union all
    select * from marks

),

pairs as (

    select
        one.source || '_against_' || other.source as comparison,
        one.market,
        one.symbol,
        one.candle_open_time,
        one.close,
        one.volume,
        other.volume as other_volume,
        greatest(
            abs(one.open - other.open),
            abs(one.high - other.high),
            abs(one.low - other.low),
            abs(one.close - other.close)
        ) as price_difference
    from all_candles as one
    inner join all_candles as other
        on
            one.market = other.market
            and one.symbol = other.symbol
            and one.candle_open_time = other.candle_open_time
            and one.source < other.source
    -- trades make candles, and these are what mark prices are compared with
    where not (one.source = 'mark_5m' and other.source = 'trades')

),

judged as (

    select
        *,
        price_difference
        > case
            when comparison in ('klines_1m_against_mark_5m', 'klines_5m_against_mark_5m')
                then {{ var('mark_price_tolerance') }}
            else {{ var('candle_agreement_tolerance') }}
        end
        * abs(close) as price_differs,
        abs(volume - other_volume)
        > {{ var('candle_agreement_tolerance') }} * greatest(volume, other_volume) as volume_differs
    from pairs

),

days as (

    select
        comparison,
        market,
        symbol,
        {{ candle_start('candle_open_time', 1440) }} as day,
        count(*) as compared,
        count(*) filter (where price_differs) as prices_differ,
        count(*) filter (where volume_differs) as volumes_differ,
        min(candle_open_time) filter (where price_differs or volume_differs) as first_difference_at
    from judged
    group by comparison, market, symbol, {{ candle_start('candle_open_time', 1440) }}

)

select * from days
