-- A level's liquidation price is its entry price times the factor for its side, leverage and bracket.
with

priced as (

    select
        levels.*,
        factors.price_factor * cast(levels.entry_price as double) as expected_price
    from ${rows} as levels
    left join intermediate.int_liquidation_price_factors as factors
        on
            case
                when levels.symbol in (select brackets.symbol from seeds.margin_brackets as brackets)
                    then levels.symbol
                else 'DEFAULT'
            end = factors.symbol
            and levels.side = factors.side
            and levels.leverage = factors.leverage
            and levels.opened_at >= factors.valid_from
            and levels.opened_at < factors.valid_until

)

select * from priced
where
    expected_price is null
    or abs(cast(liquidation_price as double) - expected_price) > greatest(0.00000001, expected_price / 1000000)
