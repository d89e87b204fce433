with

completeness as (

    select * from {{ ref('data_completeness') }}

),

extents as (

    select * from {{ ref('int_series_extents') }}

),

missing as (

    select
        'missing' as check_name,
        exchange,
        dataset,
        symbol,
        coalesce(sum(missing), 0) as value,
        'rows; days that lack some: ' || cast(count(*) filter (where missing > 0) as string) || ', the first is '
        || cast(min(day) filter (where missing > 0) as string) as finding
    from completeness
    group by exchange, dataset, symbol

),

-- The last Sundays of March and October in Europe, the second of March and the first of November in America.
clock_change_days as (

    select
        'clock_change_days' as check_name,
        exchange,
        dataset,
        symbol,
        coalesce(sum(missing), 0) as value,
        'rows missing on days of a clock change, the first is '
        || cast(min(day) filter (where missing > 0) as string) as finding
    from completeness
    where
        dataset in ('klines', 'metrics')
        -- a day without any row has nothing to do with a clock change
        and present > 0
        and extract(dow from day) = 0
        and (
            (extract(month from day) in (3, 10) and extract(day from day) >= 25)
            or (extract(month from day) = 3 and extract(day from day) between 8 and 14)
            or (extract(month from day) = 11 and extract(day from day) <= 7)
        )
    group by exchange, dataset, symbol

),

latest_ends as (

    select
        *,
        coalesce({{ seconds_between('next_due', 'others_until') }}, 0) as seconds_behind,
        trim(market || ' ' || interval) || ' would go on at ' || cast(next_due as string)
        || ', ' || latest_other || ' goes on to ' || cast(others_until as string) as finding
    from extents

),

freshness as (

    select
        'freshness' as check_name,
        exchange,
        dataset,
        symbol,
        round(max(seconds_behind) / cast(3600 as decimal(18, 8)), 2) as value,
        'hours; ' || max(finding) as finding
    from latest_ends
    group by exchange, dataset, symbol

),

{{ union_of_checks(['missing', 'clock_change_days', 'freshness']) }}

select * from checks
