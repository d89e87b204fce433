-- Each level holds its leverage's share of the contracts that its candle opened on its side, to a millionth.
with positions as (
    select * from intermediate.int_positions
    -- as one number, it lets the engine skip the blocks of candles that no level of these can have been opened by
    where open_time >= (select min(opened.opened_at) - interval '5 minutes' from ${rows} as opened)
),

shares as (
    select
        levels.*,
        case levels.side when 'long' then positions.opened_long else positions.opened_short end
        * cast(factors.quantity_share as double) as expected_quantity
    from ${rows} as levels
    left join positions
        on levels.symbol = positions.symbol and levels.opened_at - interval '5 minutes' = positions.open_time
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
