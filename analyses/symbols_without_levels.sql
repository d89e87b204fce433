-- Which symbols have candles and no levels on the map, and why? `loaders status` shows the same.
-- Levels are made of five-minute candles of USD-M perpetuals and of the change of open interest during them.
with

series as (

    select
        exchange,
        market,
        symbol,
        string_agg(distinct nullif(interval, ''), ', ' order by nullif(interval, '')) as intervals
    from marts.data_completeness
    where dataset in ('klines', 'ohlcvt', 'aggTrades') and present > 0
    group by exchange, market, symbol

),

mapped as (

    select distinct symbol from marts.liquidation_map

),

missing as (

    select
        series.*,
        series.exchange = 'binance' and series.market = 'um' and strpos(series.symbol, '_') = 0 as is_perpetual
    from series
    where not (
            series.exchange = 'binance' and series.market = 'um' and series.symbol in (select mapped.symbol from mapped)
        )

),

perpetuals as (

    select symbol from missing
    where is_perpetual

),

withheld as (

    select symbol from marts.symbol_status
    where exchange = 'binance' and not is_published

),

candles as (

    select
        symbol,
        min(open_time) as first_candle,
        max(open_time) as last_candle,
        count(oi_delta) as known_changes,
        count(*) filter (where inferred_side is not null) as openings
    from marts.candles_with_side
    where symbol in (select perpetuals.symbol from perpetuals)
    group by symbol

),

snapshots as (

    select
        symbol,
        count(open_interest) as known_snapshots,
        min(snapshot_at) as first_snapshot,
        max(snapshot_at) as last_snapshot
    from marts.open_interest_5m
    where symbol in (select perpetuals.symbol from perpetuals)
    group by symbol

),

levels as (

    select distinct symbol from marts.liquidation_levels
    where symbol in (select perpetuals.symbol from perpetuals)

),

reasons as (

    select
        missing.exchange,
        missing.market,
        missing.symbol,
        case
            when not missing.is_perpetual then 'levels are made for USD-M perpetuals only'
            when withheld.symbol is not null
                then 'withheld: marts.symbol_status names the check that fails'
            when candles.symbol is null
                then 'no five-minute candles: land klines of 5m or 1m, or aggTrades'
                    || coalesce(' (there are ' || missing.intervals || ')', '')
            when coalesce(snapshots.known_snapshots, 0) = 0 then 'no open interest: land metrics'
            when snapshots.known_snapshots = 1 then 'younger than two snapshots of open interest: wait, or land more'
            when candles.known_changes = 0
                then 'candles and open interest do not meet: candles '
                    || strftime(candles.first_candle, '%Y-%m-%d') || ' to ' || strftime(candles.last_candle, '%Y-%m-%d')
                    || ', open interest ' || strftime(snapshots.first_snapshot, '%Y-%m-%d')
                    || ' to ' || strftime(snapshots.last_snapshot, '%Y-%m-%d')
            when candles.openings = 0 then 'open interest never rose during a candle that moved'
            when levels.symbol is null
                then 'no bracket allows a leverage of seeds/leverage_weights.csv, or the price is too low for a level'
            else 'no level stands: price crossed them all, or open interest fell away'
        end as reason
    from missing
    left join withheld
        on missing.is_perpetual and missing.symbol = withheld.symbol
    left join candles
        on missing.is_perpetual and missing.symbol = candles.symbol
    left join snapshots
        on missing.is_perpetual and missing.symbol = snapshots.symbol
    left join levels
        on missing.is_perpetual and missing.symbol = levels.symbol

)

select
    exchange,
    market,
    symbol,
    reason
from reasons
order by exchange, market, symbol
