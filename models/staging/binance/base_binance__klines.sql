with

chosen as (

    {{ one_row_per_key('raw_binance', 'binance_klines') }}

)

select * from chosen
