with

orders as (

    select * from {{ ref('recorded_liquidations') }}

),

fills as (

    select
        symbol,
        side,
        bracket_symbol,
        count(*) as orders,
        count(fill_distance) as orders_with_fill,
        count(
            case when abs(fill_distance) <= cast({{ var('fill_tolerance') }} as decimal(18, 8)) then 1 end
        ) as orders_that_agree,
        {{ median_of_decimals('fill_distance') }} as median_fill_distance
    from orders
    group by symbol, side, bracket_symbol

)

select * from fills
