with

last_candles as (

    select
        symbol,
        max(open_time) + interval '5 minutes' as as_of,
        max_by(close, open_time) as last_price
    from {{ ref('candles_with_side') }}
    group by symbol

),

-- Each candle's end is a step of the timeline, where both are built from the same changes.
states as (

    select
        last_candles.symbol,
        last_candles.as_of,
        last_candles.last_price,
        {{ as_double('timeline.log_share_total') }} as log_share_total
    from last_candles
    inner join {{ ref('int_liquidation_timeline') }} as timeline
        on
            last_candles.symbol = timeline.symbol
            and last_candles.as_of = timeline.step_at

),

-- NULL on most nights: nothing comes after the last candle of a symbol, delisted or not.
first_outlasted as (

    select min(states.as_of) as as_of
    from states
    inner join {{ ref('int_liquidation_timeline') }} as timeline
        on
            states.symbol = timeline.symbol
            and states.as_of < timeline.step_at

),

-- Those that stand, and those that ended after the last candle, by a mark price or by a snapshot: one condition after
-- the other, so that the engine skips what ended before.
levels as (

    select * from {{ ref('liquidation_levels') }}
    where
        liquidated_at is null
        and closed_at is null

    union all

    select * from {{ ref('liquidation_levels') }}
    where liquidated_at > (select first_outlasted.as_of from first_outlasted)

    union all

    select * from {{ ref('liquidation_levels') }}
    where
        liquidated_at is null
        and closed_at > (select first_outlasted.as_of from first_outlasted)

),

standing as (

    select
        levels.symbol,
        levels.side,
        levels.leverage,
        levels.price_bin,
        {{ remaining(
            as_double('levels.volume_usd'), 'states.log_share_total', as_double('levels.log_share_at_open')
        ) }} as volume_usd,
        {{ remaining(
            as_double('levels.quantity'),
            'states.log_share_total',
            as_double('levels.log_share_at_open'),
            'decimal(28, 10)'
        ) }} as quantity,
        states.as_of,
        states.last_price
    from levels
    inner join states
        on levels.symbol = states.symbol
    where
        levels.opened_at <= states.as_of
        and {{ level_ended_at('levels') }} > states.as_of
        and levels.price_bin is not null

),

bins as (

    select
        symbol,
        side,
        leverage,
        price_bin,
        cast(sum(volume_usd) as decimal(38, 8)) as volume_usd,
        cast(sum(quantity) as decimal(38, 10)) as quantity,
        count(*) as level_count,
        as_of,
        last_price
    from standing
    group by symbol, side, leverage, price_bin, as_of, last_price

),

-- Away from the price: longs downwards, shorts upwards. All leverages of a bin are peers of the window.
cumulative as (

    select
        symbol,
        side,
        leverage,
        price_bin,
        volume_usd,
        cast(
            sum(volume_usd) over (
                partition by symbol, side
                order by case side when 'long' then -price_bin else price_bin end
                range between unbounded preceding and current row
            ) as decimal(38, 8)
        ) as cumulative_volume_usd,
        quantity,
        level_count,
        as_of,
        last_price
    from bins

)

select * from cumulative
