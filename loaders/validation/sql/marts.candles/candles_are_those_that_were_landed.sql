-- Every series has as many candles on each day as were landed for it, of every source.
with first_way as (
    select
        exchange,
        market,
        kline_type,
        symbol,
        interval,
        cast(open_time as date) as day,
        count(*) as candles
    from ${rows}
    group by all
),

second_way as (
    select
        exchange,
        market,
        kline_type,
        symbol,
        interval,
        cast(open_time as date) as day,
        count(*) as candles
    from ${int_candles}
    group by all
)

(
    select
        *,
        'only in marts.candles' as found
    from first_way
    except all
    select
        *,
        'only in marts.candles' as found
    from second_way
)
union all
(
    select
        *,
        'missing in marts.candles' as found
    from second_way
    except all
    select
        *,
        'missing in marts.candles' as found
    from first_way
)
