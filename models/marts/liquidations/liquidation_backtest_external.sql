with

scores as (

    select * from {{ ref('int_backtest_scores') }}

),

backtest as (

    select
        provider,
        symbol,
        side,
        horizon,
        tolerance,
        events,
        hit_rate,
        coverage_share,
        null_hit_rate,
        lift,
        lift_low,
        lift_high
    from scores
    where provider != {{ own_levels() }}

)

select * from backtest
