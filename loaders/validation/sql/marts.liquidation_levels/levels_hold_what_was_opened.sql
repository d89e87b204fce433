-- Each level holds its leverage's share of the contracts by which open interest rose, to a millionth.
with shares as (
    select
        levels.*,
        candles.oi_delta * cast(factors.quantity_share as double) as expected_quantity
    from marts.liquidation_levels as levels
    left join marts.candles_with_side as candles
        on levels.symbol = candles.symbol and levels.opened_at = candles.open_time + interval '5 minutes'
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
