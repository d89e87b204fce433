-- Each level was opened on its side by the candle that ends then, within that candle's prices.
with

-- As one number, it lets the engine skip the blocks of candles that no level of these can have been opened by.
first_opening as (
    select min(opened_at) - interval '5 minutes' as open_time
    from ${rows}
),

candles as (
    select * from marts.candles_with_side
    where open_time >= (select first_opening.open_time from first_opening)
),

positions as (
    select * from intermediate.int_positions
    where open_time >= (select first_opening.open_time from first_opening)
)

select levels.*
from ${rows} as levels
left join candles
    on
        levels.symbol = candles.symbol
        and levels.opened_at - interval '5 minutes' = candles.open_time
left join positions
    on
        levels.symbol = positions.symbol
        and levels.opened_at - interval '5 minutes' = positions.open_time
where
    candles.symbol is null
    or positions.symbol is null
    or case levels.side when 'long' then positions.opened_long else positions.opened_short end <= 0
    or levels.entry_price not between candles.low and candles.high
