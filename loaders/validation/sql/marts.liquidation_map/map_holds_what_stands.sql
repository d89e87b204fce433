-- The map has as many levels in each bin as stand in marts.liquidation_levels at the symbol's last candle.
with first_way as (
    select
        symbol,
        side,
        leverage,
        price_bin,
        level_count
    from marts.liquidation_map
),

last_candles as (
    select
        symbol,
        max(open_time) + interval '5 minutes' as as_of
    from marts.candles_with_side
    group by symbol
),

second_way as (
    select
        levels.symbol,
        levels.side,
        levels.leverage,
        levels.price_bin,
        count(*) as level_count
    from marts.liquidation_levels as levels
    inner join last_candles on levels.symbol = last_candles.symbol
    where
        levels.opened_at <= last_candles.as_of
        and coalesce(levels.liquidated_at, levels.closed_at, timestamp '9999-12-31') > last_candles.as_of
        and levels.price_bin is not null
    group by all
)

(
    select
        *,
        'only in marts.liquidation_map' as found
    from first_way
    except all
    select
        *,
        'only in marts.liquidation_map' as found
    from second_way
)
union all
(
    select
        *,
        'missing in marts.liquidation_map' as found
    from second_way
    except all
    select
        *,
        'missing in marts.liquidation_map' as found
    from first_way
)
