-- Every candle that opened positions has a level for each leverage that its bracket allows, unless its price is
-- too low to tell a liquidation price from the entry.
with openings as (
    select
        symbol,
        inferred_side as side,
        open_time + interval '5 minutes' as opened_at,
        low,
        case
            when symbol in (select brackets.symbol from seeds.margin_brackets as brackets) then symbol
            else 'DEFAULT'
        end as bracket_symbol
    from marts.candles_with_side
    where position_event in ('long_open', 'short_open')
),

expected as (
    select
        openings.symbol,
        openings.side,
        factors.leverage,
        openings.opened_at
    from openings
    inner join intermediate.int_liquidation_price_factors as factors
        on
            openings.bracket_symbol = factors.symbol
            and openings.side = factors.side
            and openings.opened_at >= factors.valid_from
            and openings.opened_at < factors.valid_until
    where
        factors.quantity_share > 0
        and cast(openings.low as double) * abs(factors.price_factor - 1) > 0.00000001
)

select expected.*
from expected
left join marts.liquidation_levels as levels
    on
        expected.symbol = levels.symbol
        and expected.side = levels.side
        and expected.leverage = levels.leverage
        and expected.opened_at = levels.opened_at
where levels.symbol is null
