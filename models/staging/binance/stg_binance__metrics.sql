-- How far back a change of labels reaches concerns every model above: depends_on: {{ ref('int_metrics_label_reach') }}
with

source as (

    select * from {{ ref('base_binance__snapshots') }}
    where precedence = 1

),

renamed as (

    select
        -- ids
        'binance' as exchange,
        market,
        symbol,

        -- numbers; an open interest of zero is a failed measurement of the exchange's, not a fact
        nullif(sum_open_interest, 0) as open_interest,
        nullif(sum_open_interest_value, 0) as open_interest_usd,
        count_toptrader_long_short_ratio as top_trader_account_long_short_ratio,
        sum_toptrader_long_short_ratio as top_trader_position_long_short_ratio,
        count_long_short_ratio as account_long_short_ratio,
        sum_taker_long_short_vol_ratio as taker_buy_sell_volume_ratio,

        -- flags
        {{ is_on_grid('snapshot_at') }} as is_on_grid,

        -- times
        snapshot_at,
        create_time as published_at,

        -- origin
        file_id
    from source

)

select * from renamed
