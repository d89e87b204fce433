-- Every gap in a series of Binance's candles is a row of marts.data_gaps, with its bounds and the number missing.
-- Candles of a month are left out, because months vary in length.
with

asked as (

    select
        market,
        symbol,
        interval,
        open_time
    from ${rows}
    where exchange = 'binance' and kline_type = 'last' and interval != '1mo'

),

firsts as (

    select
        market,
        symbol,
        interval,
        min(open_time) as first_time
    from asked
    group by market, symbol, interval

),

-- The last candle before those that are asked: a gap may lie between the two.
candles as (

    select * from asked

    union all

    select
        earlier.market,
        earlier.symbol,
        earlier.interval,
        max(earlier.open_time) as open_time
    from marts.candles as earlier
    inner join firsts
        on
            earlier.market = firsts.market
            and earlier.symbol = firsts.symbol
            and earlier.interval = firsts.interval
            and earlier.open_time < firsts.first_time
    where earlier.exchange = 'binance' and earlier.kline_type = 'last'
    group by earlier.market, earlier.symbol, earlier.interval

),

neighbours as (

    select
        market,
        symbol,
        interval,
        open_time,
        to_microseconds(${step}) as step,
        lead(open_time) over (partition by market, symbol, interval order by open_time) as next_time
    from candles

),

gaps as (

    select
        market,
        symbol,
        interval,
        open_time + step as gap_start,
        next_time as gap_end,
        epoch_us(next_time - open_time) // epoch_us(step) - 1 as missing
    from neighbours
    where next_time > open_time + step

)

select gaps.*
from gaps
left join marts.data_gaps as named
    on
        named.dataset = 'klines'
        and gaps.market = named.market
        and gaps.symbol = named.symbol
        and gaps.interval = named.interval
        and gaps.gap_start = named.gap_start
        and gaps.gap_end = named.gap_end
        and gaps.missing = named.missing
where named.symbol is null
