-- Every candle that opened positions has a level for each leverage that its bracket allows, unless its price is
-- too low to tell a liquidation price from the entry.
with opened as (
    select
        symbol,
        open_time,
        step_at as opened_at,
        opened_long,
        opened_short
    from ${opened_positions}
    where opened_long > 0 or opened_short > 0
),

candles as (
    select
        opened.*,
        candles.low,
        case
            when opened.symbol in (select brackets.symbol from seeds.margin_brackets as brackets) then opened.symbol
            else 'DEFAULT'
        end as bracket_symbol
    from opened
    inner join marts.candles_with_side as candles
        on opened.symbol = candles.symbol and opened.open_time = candles.open_time
),

sides as (
    select unnest(['long', 'short']) as side
),

openings as (
    select
        candles.*,
        sides.side
    from candles
    inner join sides
        on case sides.side when 'long' then candles.opened_long else candles.opened_short end > 0
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
