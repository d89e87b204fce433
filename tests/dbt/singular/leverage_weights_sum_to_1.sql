with

sums as (

    select
        sum(weight) as weight,
        min(weight) as least_weight
    from {{ ref('leverage_weights') }}

),

failures as (

    select * from sums
    where (weight = 1 and least_weight >= 0) is not true

)

select * from failures
