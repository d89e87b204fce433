with

chosen as (

    {{ one_row_per_key('raw_binance', 'binance_funding_rates') }}

)

select * from chosen
