with

source as (

    {{ one_row_per_key(
        source('raw_binance', 'binance_metrics'),
        ['market', 'symbol', 'create_time']
    ) }}

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

        -- times
        create_time as snapshot_at,

        -- origin
        file_id
    from source

)

select * from renamed
