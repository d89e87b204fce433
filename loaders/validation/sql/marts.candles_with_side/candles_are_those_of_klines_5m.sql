-- Every candle of marts.klines_5m is here with the same figures, and no other.
with

found as (

    select
        symbol,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume,
        source
    from ${rows}

)

(
    select
        *,
        'is not in marts.klines_5m' as fault
    from found
    except all
    select
        *,
        'is not in marts.klines_5m' as fault
    from ${klines_5m}
)
union all
(
    select
        *,
        'is lost' as fault
    from ${klines_5m}
    except all
    select
        *,
        'is lost' as fault
    from found
)
