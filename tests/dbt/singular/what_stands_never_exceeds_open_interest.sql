-- Each contract has one long and one short, so the levels of one side can never hold more contracts than are open.
-- In USD they can: the price has moved since they were opened. A millionth is left for rounding.
with

standing as (

    select
        symbol,
        side,
        as_of,
        sum(quantity) as quantity
    from {{ ref('liquidation_map') }}
    group by symbol, side, as_of

),

last_known as (

    select
        timeline.symbol,
        timeline.step_at,
        timeline.last_open_interest
    from {{ ref('int_liquidation_timeline') }} as timeline

),

failures as (

    select
        standing.*,
        last_known.last_open_interest,
        'more stands than is open' as failure_type
    from standing
    left join last_known
        on
            standing.symbol = last_known.symbol
            and standing.as_of = last_known.step_at
    where standing.quantity <= last_known.last_open_interest * 1.000001 is not true

)

select * from failures
