with

chosen as (

    {{ one_row_per_key('raw_kraken', 'kraken_ohlcvt') }}

)

select * from chosen
