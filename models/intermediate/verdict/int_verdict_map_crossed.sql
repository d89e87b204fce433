with

crossed as (

    select * from {{ ref('int_verdict_crossed') }}

),

bracket_symbols as (

    select distinct symbol from {{ ref('margin_brackets') }}

),

price_factors as (

    select * from {{ ref('int_liquidation_price_factors') }}

),

-- The weights of the seed, as the levels have them; levels from elsewhere bring their own volumes.
weighted as (

    select
        crossed.provider,
        crossed.symbol,
        crossed.side,
        crossed.step_at,
        crossed.crossed_usd
        * case when crossed.leverage = 0 then 1 else coalesce(price_factors.quantity_share, 0) end as crossed_usd
    from crossed
    left join bracket_symbols
        on crossed.symbol = bracket_symbols.symbol
    left join price_factors
        on
            coalesce(bracket_symbols.symbol, 'DEFAULT') = price_factors.symbol
            and crossed.side = price_factors.side
            and crossed.leverage = price_factors.leverage
            and crossed.step_at >= price_factors.valid_from
            and crossed.step_at < price_factors.valid_until

),

map_crossed as (

    select
        provider,
        symbol,
        side,
        step_at,
        cast(sum(cast(crossed_usd as decimal(38, 8))) as decimal(38, 8)) as crossed_usd
    from weighted
    where crossed_usd > 0
    group by provider, symbol, side, step_at

)

select * from map_crossed
