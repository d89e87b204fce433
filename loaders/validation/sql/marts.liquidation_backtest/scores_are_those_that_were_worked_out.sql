-- Every score of the project's own levels is here.
with first_way as (
    select
        symbol,
        side,
        horizon,
        tolerance,
        events
    from marts.liquidation_backtest
),

second_way as (
    select
        symbol,
        side,
        horizon,
        tolerance,
        events
    from intermediate.int_backtest_scores
    where provider = 'marts.liquidation_levels'
)

(
    select
        *,
        'only in marts.liquidation_backtest' as found
    from first_way
    except all
    select
        *,
        'only in marts.liquidation_backtest' as found
    from second_way
)
union all
(
    select
        *,
        'missing in marts.liquidation_backtest' as found
    from second_way
    except all
    select
        *,
        'missing in marts.liquidation_backtest' as found
    from first_way
)
