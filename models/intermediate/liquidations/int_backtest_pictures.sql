with

moments as (

    select distinct
        symbol,
        asked_at,
        price
    from {{ ref('int_backtest_questions') }}

),

own_beginnings as (

    select
        symbol,
        min(opened_at) as first_opened_at
    from {{ ref('liquidation_levels') }}
    group by symbol

),

own_pictures as (

    select
        {{ own_levels() }} as provider,
        moments.symbol,
        moments.asked_at,
        moments.asked_at as pictured_at,
        moments.price
    from moments
    inner join own_beginnings
        on
            moments.symbol = own_beginnings.symbol
            and moments.asked_at >= own_beginnings.first_opened_at

),

given_times as (

    select distinct
        provider,
        symbol,
        pictured_at
    from {{ ref('stg_external__levels') }}
    where market = 'um'

),

providers as (

    select
        provider,
        symbol,
        max(pictured_at) as last_pictured_at
    from given_times
    group by provider, symbol

),

given_and_asked as (

    select
        provider,
        symbol,
        pictured_at as happens_at,
        pictured_at,
        cast(null as decimal(18, 8)) as price,
        false as is_asked
    from given_times

    union all

    select
        providers.provider,
        moments.symbol,
        moments.asked_at as happens_at,
        null as pictured_at,
        moments.price,
        true as is_asked
    from moments
    inner join providers
        on
            moments.symbol = providers.symbol
            and moments.asked_at
            <= providers.last_pictured_at + interval '{{ var("liquidation_backtest_last_picture_hours") }} hours'

),

-- A picture stands until the provider's next one.
standing as (

    select
        provider,
        symbol,
        happens_at,
        max(pictured_at) over (
            partition by provider, symbol
            order by happens_at
            range between unbounded preceding and current row
        ) as pictured_at,
        price,
        is_asked
    from given_and_asked

),

given_pictures as (

    select
        provider,
        symbol,
        happens_at as asked_at,
        pictured_at,
        price
    from standing
    where
        is_asked
        and pictured_at is not null

),

pictures as (

    select * from own_pictures
    union all
    select * from given_pictures

)

select * from pictures
