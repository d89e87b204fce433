with

moments as (

    select distinct
        symbol,
        asked_at,
        price
    from {{ ref('int_backtest_cases') }}

),

own_beginnings as (

    select
        symbol,
        min(opened_at) as first_opened_at
    from {{ ref('liquidation_levels') }}
    group by symbol

),

own_snapshots as (

    select
        {{ own_levels() }} as provider,
        moments.symbol,
        moments.asked_at,
        moments.asked_at as as_of,
        moments.price
    from moments
    inner join own_beginnings
        on
            moments.symbol = own_beginnings.symbol
            and moments.asked_at >= own_beginnings.first_opened_at

),

external_times as (

    select distinct
        provider,
        symbol,
        as_of
    from {{ ref('stg_external__levels') }}
    where {{ is_perpetual() }}

),

providers as (

    select
        provider,
        symbol,
        max(as_of) as last_as_of
    from external_times
    group by provider, symbol

),

snapshots_and_moments as (

    select
        provider,
        symbol,
        as_of as happens_at,
        as_of,
        cast(null as decimal(18, 8)) as price,
        false as is_asked
    from external_times

    union all

    select
        providers.provider,
        moments.symbol,
        moments.asked_at as happens_at,
        null as as_of,
        moments.price,
        true as is_asked
    from moments
    inner join providers
        on
            moments.symbol = providers.symbol
            and moments.asked_at
            <= providers.last_as_of + interval '{{ var("liquidation_backtest_last_snapshot_hours") }} hours'

),

-- A map snapshot stands until the provider's next one.
standing as (

    select
        provider,
        symbol,
        happens_at,
        max(as_of) over (
            partition by provider, symbol
            order by happens_at
            range between unbounded preceding and current row
        ) as as_of,
        price,
        is_asked
    from snapshots_and_moments

),

external_snapshots as (

    select
        provider,
        symbol,
        happens_at as asked_at,
        as_of,
        price
    from standing
    where
        is_asked
        and as_of is not null

),

map_snapshots as (

    select * from own_snapshots
    union all
    select * from external_snapshots

)

select * from map_snapshots
