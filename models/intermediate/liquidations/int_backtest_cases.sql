with

liquidations as (

    select
        symbol,
        side,
        liquidated_at,
        liquidation_price,
        quantity,
        lag(liquidated_at) over (partition by symbol, side order by liquidated_at) as previous_at
    from {{ ref('recorded_liquidations') }}

),

-- Liquidations of a symbol and side that follow each other within a minute are one event.
numbered as (

    select
        *,
        sum(case when previous_at >= liquidated_at - interval '1 minute' then 0 else 1 end) over (
            partition by symbol, side
            order by liquidated_at
            range between unbounded preceding and current row
        ) as event_number
    from liquidations

),

events as (

    select
        symbol,
        side,
        event_number,
        min(liquidated_at) as event_at,
        {{ as_double('sum(cast(liquidation_price * quantity as decimal(38, 8)))') }}
        / {{ as_double('sum(quantity)') }} as event_price
    from numbered
    group by symbol, side, event_number

),

horizons as (

    {% for minutes in var('liquidation_backtest_horizons_minutes') %}
    select {{ minutes }} as horizon{{ '\n\n    union all\n' if not loop.last }}
    {% endfor %}

),

-- 0 is the map itself, the others are the null model: the same map as it stood days before.
lags as (

    select 0 as lag_days
    {% for days in var('liquidation_backtest_null_lags_days') %}
    union all
    select {{ days }} as lag_days
    {% endfor %}

),

-- The last full step that was over a horizon before the event; a step that ends just then may know of the event.
standing as (

    select
        events.symbol,
        events.side,
        events.event_number,
        events.event_at,
        events.event_price,
        horizons.horizon,
        {{ candle_start(
            "events.event_at - horizons.horizon * interval '1 minute' - interval '1 microsecond'",
            var('liquidation_heatmap_step_minutes')
        ) }} as standing_at
    from events
    cross join horizons

),

asked as (

    select
        standing.*,
        lags.lag_days,
        standing.standing_at - lags.lag_days * interval '1 day' as asked_at
    from standing
    cross join lags

),

asked_symbols as (

    select
        symbol,
        min(asked_at) as first_asked_at,
        max(asked_at) as last_asked_at
    from asked
    group by symbol

),

-- The last close of each step; a step without a candle has no price.
prices as (

    select
        candles.symbol,
        {{ candle_start('candles.open_time', var('liquidation_heatmap_step_minutes')) }}
        + interval '{{ var("liquidation_heatmap_step_minutes") }} minutes' as priced_at,
        max_by(candles.close, candles.open_time) as price
    from {{ ref('candles_with_side') }} as candles
    inner join asked_symbols
        on
            candles.symbol = asked_symbols.symbol
            and candles.open_time >= asked_symbols.first_asked_at
            - interval '{{ var("liquidation_heatmap_step_minutes") }} minutes'
            and candles.open_time < asked_symbols.last_asked_at
    group by
        candles.symbol,
        {{ candle_start('candles.open_time', var('liquidation_heatmap_step_minutes')) }}

),

cases as (

    select
        asked.symbol,
        asked.side,
        asked.event_number,
        asked.event_at,
        asked.horizon,
        asked.lag_days,
        asked.standing_at,
        asked.asked_at,
        prices.price,
        asked.event_price / cast(standing_prices.price as double) as relative_event_price
    from asked
    inner join prices as standing_prices
        on
            asked.symbol = standing_prices.symbol
            and asked.standing_at = standing_prices.priced_at
    inner join prices
        on
            asked.symbol = prices.symbol
            and asked.asked_at = prices.priced_at

)

select * from cases
