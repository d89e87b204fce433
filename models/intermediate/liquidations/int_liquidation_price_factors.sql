with

brackets as (

    select * from {{ ref('margin_brackets') }}

),

weights as (

    select * from {{ ref('leverage_weights') }}

),

sides as (

    select 'long' as side
    union all
    select 'short' as side

),

periods as (

    {{ bracket_periods('brackets') }}

),

positions as (

    select
        symbol,
        valid_from as set_valid_from,
        max_leverage,
        cast({{ var('assumed_position_notional_usd') }} as bigint) as notional
    from brackets
    where
        notional_floor < {{ var('assumed_position_notional_usd') }}
        and notional_cap >= {{ var('assumed_position_notional_usd') }}

),

allowed as (

    select
        positions.symbol,
        positions.set_valid_from,
        positions.notional,
        weights.leverage,
        weights.weight
    from positions
    inner join weights
        on positions.max_leverage >= weights.leverage

),

-- Isolated margin: what is left at the liquidation price is just the maintenance margin of the bracket holding there.
-- Numerator and denominator as whole millionths, which a double holds exactly, so that only the division rounds.
fractions as (

    select
        allowed.symbol,
        allowed.set_valid_from,
        allowed.leverage,
        allowed.weight,
        sides.side,
        case sides.side
            when 'long' then allowed.notional * allowed.leverage - allowed.notional - brackets.cum * allowed.leverage
            else allowed.notional * allowed.leverage + allowed.notional + brackets.cum * allowed.leverage
        end as numerator,
        case sides.side
            when 'long' then allowed.notional * allowed.leverage * (1 - brackets.maintenance_margin_rate)
            else allowed.notional * allowed.leverage * (1 + brackets.maintenance_margin_rate)
        end as denominator
    from allowed
    inner join brackets
        on
            allowed.symbol = brackets.symbol
            and allowed.set_valid_from = brackets.valid_from
    cross join sides

),

bracket_factors as (

    select
        *,
        cast(cast(numerator * 1000000 as bigint) as double)
        / cast(cast(denominator * 1000000 as bigint) as double) as price_factor
    from fractions

),

-- The bracket is that of the notional at the liquidation price. Maintenance margin is convex in the notional, so it
-- is the one that liquidates first.
factors as (

    select
        symbol,
        set_valid_from,
        side,
        leverage,
        weight,
        case side when 'long' then max(price_factor) else min(price_factor) end as price_factor
    from bracket_factors
    group by symbol, set_valid_from, side, leverage, weight

),

usable as (

    select * from factors
    where
        (side = 'long' and price_factor < 1)
        or (side = 'short' and price_factor > 1)

),

-- Differences of rounded running sums: shares that sum to 1 exactly.
running_shares as (

    select
        *,
        cast(
            cast(sum(weight) over (partition by symbol, set_valid_from, side order by leverage) as double)
            / cast(nullif(sum(weight) over (partition by symbol, set_valid_from, side), 0) as double) as decimal(18, 14)
        ) as running_share
    from usable

),

shares as (

    select
        symbol,
        set_valid_from,
        side,
        leverage,
        price_factor,
        cast(
            running_share
            - coalesce(
                lag(running_share) over (partition by symbol, set_valid_from, side order by leverage), 0
            ) as decimal(18, 14)
        ) as quantity_share
    from running_shares

),

dated as (

    select
        shares.symbol,
        periods.valid_from,
        periods.valid_until,
        shares.side,
        shares.leverage,
        shares.price_factor,
        shares.quantity_share
    from shares
    inner join periods
        on
            shares.symbol = periods.symbol
            and shares.set_valid_from = periods.set_valid_from

)

select * from dated
