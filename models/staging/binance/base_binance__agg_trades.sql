with

chosen as (

    {{ one_trade_per_id(source('raw_binance', 'binance_agg_trades')) }}

)

select * from chosen
