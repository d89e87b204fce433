-- Each level was opened on its side by the candle that ends then, within that candle's prices.
select levels.*
from marts.liquidation_levels as levels
left join marts.candles_with_side as candles
    on
        levels.symbol = candles.symbol
        and levels.opened_at = candles.open_time + interval '5 minutes'
where
    candles.symbol is null
    or candles.inferred_side is distinct from levels.side
    or levels.entry_price not between candles.low and candles.high
