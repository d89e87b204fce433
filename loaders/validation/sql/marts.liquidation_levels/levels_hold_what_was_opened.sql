-- Each level holds its leverage's share of the contracts that its candle opened on its side, to a millionth.
with shares as (
    select
        levels.*,
        case levels.side when 'long' then positions.opened_long else positions.opened_short end
        * cast(factors.quantity_share as double) as expected_quantity
    from ${rows} as levels
    left join intermediate.int_positions as positions
        on levels.symbol = positions.symbol and levels.opened_at = positions.step_at
    left join intermediate.int_liquidation_price_factors as factors
        on
            factors.symbol
            = case
                when levels.symbol in (select brackets.symbol from seeds.margin_brackets as brackets)
                    then levels.symbol
                else 'DEFAULT'
            end
            and levels.side = factors.side
            and levels.leverage = factors.leverage
            and levels.opened_at >= factors.valid_from
            and levels.opened_at < factors.valid_until
)

select *
from shares
where
    expected_quantity is not null
    and abs(cast(quantity as double) - expected_quantity) > greatest(expected_quantity / 1000000, 0.00000001)
