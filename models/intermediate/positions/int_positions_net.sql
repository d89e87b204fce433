with

candles as (

    select * from {{ ref('candles_with_side') }}
    where oi_delta is not null

),

positions as (

    select
        candles.symbol,
        candles.open_time,
        candles.open_time + interval '5 minutes' as step_at,
        {{ entry_price_of_candle('candles') }} as entry_price,
        case when candles.oi_delta > 0 then candles.oi_delta else 0 end as opened_quantity,
        case when candles.position_event = 'long_open' then candles.oi_delta else 0 end as opened_long,
        case when candles.position_event = 'short_open' then candles.oi_delta else 0 end as opened_short
    from candles

)

select * from positions
