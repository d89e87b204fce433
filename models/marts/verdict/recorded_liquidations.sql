with

liquidations as (

    select * from {{ ref('stg_binance__liquidations') }}
    where {{ is_perpetual() }}

),

brackets as (

    select * from {{ ref('margin_brackets') }}

),

periods as (

    {{ bracket_periods('brackets') }}

),

bracket_symbols as (

    select distinct symbol from brackets

),

-- Candles of the five minutes in which an order came: strays lie far from them.
orders as (

    select
        liquidations.symbol,
        liquidations.side,
        liquidations.liquidated_at,
        liquidations.original_quantity,
        liquidations.price as bankruptcy_price,
        nullif(liquidations.average_price, 0) as average_price,
        coalesce(nullif(liquidations.accumulated_fill_quantity, 0), liquidations.original_quantity) as quantity,
        coalesce(bracket_symbols.symbol, 'DEFAULT') as bracket_symbol,
        {{ candle_start('liquidations.liquidated_at') }} as open_time
    from liquidations
    left join bracket_symbols
        on liquidations.symbol = bracket_symbols.symbol

),

-- The order's price is the one at which the position's margin is gone; it is liquidated where just the maintenance
-- margin of its bracket is left.
bracketed as (

    select
        orders.*,
        brackets.maintenance_margin_rate,
        1 - case orders.side when 'long' then 1 else -1 end
        * cast(brackets.maintenance_margin_rate as double) as bankruptcy_factor
    from orders
    left join periods
        on
            orders.bracket_symbol = periods.symbol
            and orders.liquidated_at >= periods.valid_from
            and orders.liquidated_at < periods.valid_until
    left join brackets
        on
            periods.symbol = brackets.symbol
            and periods.set_valid_from = brackets.valid_from
            and cast(orders.original_quantity as double)
            * cast(coalesce(nullif(orders.bankruptcy_price, 0), orders.average_price) as double)
            > cast(brackets.notional_floor as double)
            and cast(orders.original_quantity as double)
            * cast(coalesce(nullif(orders.bankruptcy_price, 0), orders.average_price) as double)
            <= cast(brackets.notional_cap as double)

),

liquidated as (

    select
        *,
        case
            when bankruptcy_price > 0
                then cast(cast(bankruptcy_price as double) / bankruptcy_factor as decimal(18, 8))
        end as price_by_formula
    from bracketed

),

priced as (

    select
        liquidated.*,
        coalesce(liquidated.price_by_formula, liquidated.average_price) as liquidation_price,
        candles.low,
        candles.high
    from liquidated
    left join {{ ref('klines_5m') }} as candles
        on
            liquidated.symbol = candles.symbol
            and liquidated.open_time = candles.open_time

),

judged as (

    select
        symbol,
        side,
        liquidated_at,
        original_quantity,
        bankruptcy_price,
        average_price,
        quantity,
        bracket_symbol,
        maintenance_margin_rate,
        liquidation_price,
        {{ rounded_product('quantity', 'liquidation_price', 'decimal(38, 8)') }} as volume_usd,
        cast(
            cast(average_price as double) / cast(price_by_formula as double) - 1 as decimal(18, 8)
        ) as fill_distance,
        liquidation_price < cast(low as double) * (1 - {{ var('liquidation_stray_distance') }})
        or liquidation_price > cast(high as double) * (1 + {{ var('liquidation_stray_distance') }}) as is_stray,
        liquidation_price between low and high as is_within_candle,
        bankruptcy_price between low and high as bankruptcy_is_within_candle
    from priced
    where liquidation_price is not null

)

select * from judged
