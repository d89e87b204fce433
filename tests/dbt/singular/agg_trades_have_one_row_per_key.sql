{#-
    One row for each market, symbol and agg_trade_id, over any number of trades. Sorting billions of ids every night
    would prove it, but take an hour. Instead:

    - landing proves it within a file, so only files that overlap can double an id: each of their blocks of ids must
      hold as many different ids as rows;
    - files that do not overlap in time must not share ids: the check `order_of_times` fails where the ids of five
      minutes do not lie above those before.
-#}
with

doubled as (

    select
        agg_trades.market,
        agg_trades.symbol,
        min(agg_trades.agg_trade_id) as agg_trade_id,
        min(agg_trades.traded_at) as traded_at,
        'an id of this block occurs more than once' as failure_type
    from {{ ref('stg_binance__agg_trades') }} as agg_trades
    inner join {{ ref('base_ops__overlapping_files') }} as overlapping_files
        on agg_trades.file_id = overlapping_files.file_id
    group by agg_trades.market, agg_trades.symbol, {{ trade_id_block('agg_trades.agg_trade_id') }}
    having count(*) > {{ trade_ids_in_block(trade_ids_of_block('agg_trades.agg_trade_id')) }}

)

select * from doubled
