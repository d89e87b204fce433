with

fits as (

    select * from {{ ref('int_verdict_fits') }}

),

added as (

    select
        provider,
        symbol,
        side,
        predictors,
        baseline,
        fitted_on,
        asked_of,
        candles,
        blocks,
        cast(case when not isnan(r2_baseline) then r2_baseline end as decimal(18, 6)) as r2_baseline,
        cast(case when not isnan(r2_with) then r2_with end as decimal(18, 6)) as r2_with,
        cast(case when not isnan(r2_added) then r2_added end as decimal(18, 6)) as r2_added,
        cast(case when not isnan(half_width) then r2_added - half_width end as decimal(18, 6)) as r2_added_low,
        cast(case when not isnan(half_width) then r2_added + half_width end as decimal(18, 6)) as r2_added_high
    from fits

)

select * from added
