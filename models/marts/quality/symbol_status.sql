with

checks as (

    select
        *,
        status = 'fail'
        and check_name not in ('{{ var("checks_of_the_warehouse") | join("', '") }}') as withholds
    from {{ ref('quality_checks') }}
    where symbol != ''

),

-- A failure that concerns the warehouse keeps all of it from being published; here are those that concern one symbol.
symbols as (

    select
        exchange,
        symbol,
        cast(sum(case when withholds then 1 else 0 end) as bigint) as failing_checks,
        {{ dbt.listagg(
            "case when withholds then check_name || ' of ' || dataset || ' (' || detail || ')' end",
            "'; '",
            "order by check_name, dataset"
        ) }} as reasons
    from checks
    group by exchange, symbol

),

statuses as (

    select
        exchange,
        symbol,
        failing_checks = 0 as is_published,
        failing_checks,
        coalesce(reasons, '') as reasons
    from symbols

)

select * from statuses
