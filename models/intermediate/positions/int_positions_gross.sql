with

candles as (

    select * from {{ ref('candles_with_side') }}
    where oi_delta is not null

),

open_interest as (

    select * from {{ ref('open_interest_5m') }}

),

-- What is traded opens or closes on each side: opened + closed = volume, opened - closed = change of open interest.
-- Where candle and snapshot do not fit each other, neither is below 0, and no more was opened than is open.
turned_over as (

    select
        candles.symbol,
        candles.open_time,
        candles.open_time + interval '5 minutes' as step_at,
        {{ entry_price_of_candle('candles') }} as entry_price,
        -- Half of 16 decimals has 17. All are compared with as many: rounding to 16 would take most of the time.
        least(
            cast(open_interest.open_interest as decimal(38, 17)),
            greatest(
                cast((candles.volume + candles.oi_delta) * cast(0.5 as decimal(2, 1)) as decimal(38, 17)),
                cast(candles.oi_delta as decimal(38, 17)),
                cast(0 as decimal(38, 17))
            )
        ) as opened_quantity
    from candles
    inner join open_interest
        on
            candles.symbol = open_interest.symbol
            and candles.open_time + interval '5 minutes' = open_interest.snapshot_at

),

positions as (

    select
        *,
        opened_quantity as opened_long,
        opened_quantity as opened_short
    from turned_over

)

select * from positions
