-- The classic view, as many public sites draw it: each candle whose open interest rose puts its traded volume at the
-- levels of its close, spread over the leverages (1/L away, no maintenance margin), and the whole is scaled to the
-- latest open interest. Only the sign of the change is used; nothing is ever crossed or shrunk.
-- Beside it what our levels say of the same bin. Compare shapes, not dollars.
with

map_bins as (

    select
        symbol,
        side,
        price_bin,
        sum(volume_usd) as volume_usd
    from marts.liquidation_map
    group by symbol, side, price_bin

),

last_days as (

    select
        symbol,
        max(open_time) - interval '30 days' as since
    from marts.candles_with_side
    group by symbol

),

latest as (

    select
        symbol,
        max_by(open_interest_usd, snapshot_at) as open_interest_usd
    from marts.open_interest_5m
    where open_interest_usd is not null
    group by symbol

),

signalled as (

    select
        candles.symbol,
        candles.inferred_side as side,
        cast(
            candles.close
            * case candles.inferred_side
                when 'long' then 1 - 1.0 / weights.leverage
                else 1 + 1.0 / weights.leverage
            end as decimal(18, 8)
        ) as liquidation_price,
        cast(candles.quote_volume as double) * cast(weights.weight as double) as volume_usd
    from marts.candles_with_side as candles
    inner join last_days
        on
            candles.symbol = last_days.symbol
            and candles.open_time > last_days.since
    cross join seeds.leverage_weights as weights
    where candles.inferred_side is not null

),

-- The bins of the map: as wide as the largest of 1, 2, 5 x 10^k that is at most a thousandth of the price.
magnitudes as (

    select
        *,
        pow(10, floor(log10(cast(liquidation_price as double) / 1000))) as magnitude
    from signalled

),

widths as (

    select
        *,
        cast(
            magnitude
            * case
                when liquidation_price >= 5000 * magnitude then 5
                when liquidation_price >= 2000 * magnitude then 2
                else 1
            end as decimal(18, 8)
        ) as bin_width
    from magnitudes

),

binned as (

    select
        symbol,
        side,
        liquidation_price - liquidation_price % bin_width as price_bin,
        cast(sum(cast(volume_usd as decimal(28, 2))) as double) as volume_usd
    from widths
    group by all

),

scaled as (

    select
        binned.symbol,
        binned.side,
        binned.price_bin,
        binned.volume_usd / sum(binned.volume_usd) over (partition by binned.symbol)
        * cast(latest.open_interest_usd as double) as classic_volume_usd
    from binned
    inner join latest
        on binned.symbol = latest.symbol

)

select
    scaled.symbol,
    scaled.side,
    scaled.price_bin,
    round(scaled.classic_volume_usd) as classic_volume_usd,
    round(map_bins.volume_usd) as volume_usd
from scaled
left join map_bins
    on
        scaled.symbol = map_bins.symbol
        and scaled.side = map_bins.side
        and scaled.price_bin = map_bins.price_bin
order by scaled.symbol, scaled.side, scaled.price_bin
