{#-
    One row for each market, symbol and agg_trade_id, over any number of trades. Sorting billions of ids every night
    would prove it, and cost an hour; instead:

    - within a file the landing has proved it, so only files that overlap can double an id: of these, each block of
      ids must hold as many different ids as rows;
    - files that do not overlap in time must not share numbers: the numbers of one five minutes lie above those before.
-#}
with

doubled as (

    select
        agg_trades.market,
        agg_trades.symbol,
        min(agg_trades.agg_trade_id) as agg_trade_id,
        min(agg_trades.traded_at) as traded_at,
        'an id of this block stands more than once' as failure_type
    from {{ ref('stg_binance__agg_trades') }} as agg_trades
    inner join {{ ref('base_ops__overlapping_files') }} as overlapping_files
        on agg_trades.file_id = overlapping_files.file_id
    group by agg_trades.market, agg_trades.symbol, {{ trade_id_block('agg_trades.agg_trade_id') }}
    having count(*) > {{ trade_ids_in_block(trade_ids_of_block('agg_trades.agg_trade_id')) }}

),

neighbours as (

    select
        *,
        lag(last_agg_trade_id) over (partition by market, symbol order by open_time) as previous_agg_trade_id
    from {{ ref('int_agg_trade_candles_5m') }}

),

going_back as (

    select
        market,
        symbol,
        first_agg_trade_id as agg_trade_id,
        first_traded_at as traded_at,
        'number is not above those of the five minutes before' as failure_type
    from neighbours
    where first_agg_trade_id <= previous_agg_trade_id

),

failures as (

    select * from doubled
    union all
    select * from going_back

)

select * from failures
