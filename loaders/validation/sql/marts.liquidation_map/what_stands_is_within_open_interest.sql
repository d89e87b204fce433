-- On each side no more contracts stand than the last known open interest, but for rounding. Each contract has one long
-- and one short. In USD more can stand, because the price has moved since the levels were opened.
with

standing as (

    select
        symbol,
        side,
        sum(quantity) as quantity
    from marts.liquidation_map
    group by symbol, side

),

last_known as (

    select
        symbol,
        arg_max(open_interest, snapshot_at) as open_interest
    from marts.open_interest_5m
    where open_interest is not null
    group by symbol

)

select
    standing.*,
    last_known.open_interest
from standing
left join last_known
    on standing.symbol = last_known.symbol
where last_known.symbol is null or standing.quantity > last_known.open_interest * 1.000001
