-- Each level was opened on its side by the candle that ends then, within that candle's prices.
select levels.*
from ${rows} as levels
left join marts.candles_with_side as candles
    on
        levels.symbol = candles.symbol
        and levels.opened_at - interval '5 minutes' = candles.open_time
left join intermediate.int_positions as positions
    on
        levels.symbol = positions.symbol
        and levels.opened_at = positions.step_at
where
    candles.symbol is null
    or positions.symbol is null
    or case levels.side when 'long' then positions.opened_long else positions.opened_short end <= 0
    or levels.entry_price not between candles.low and candles.high
