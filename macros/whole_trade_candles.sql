{#-
    Candles of trades that are whole: no trade id is missing within the candle, before it or behind it, and the files
    reach to its end. Gives CTEs; the last of them, `whole_trade_candles`, has all columns of `int_agg_trade_candles_5m`,
    from `rebuild_from` on.

    The neighbours are looked for within one day before and behind, always, so that a rebuild sees what a full build
    sees (`int_agg_trade_reach` makes the change of a neighbour reach this far). Where no trade was made within a day
    before, a candle is whole if it begins a file.

    `rebuild_from`, `floor`: first time that is wanted, as an expression on `rebuild_plan` and as a constant.
    `condition`: which candles are wanted, on `candles`.
-#}
{% macro whole_trade_candles(rebuild_from, floor, condition='true') -%}
trade_candles_with_neighbours as (

    select
        candles.*,
        lag(candles.last_agg_trade_id) over candles_of_symbol as previous_agg_trade_id,
        lag(candles.open_time) over candles_of_symbol as previous_open_time,
        lead(candles.first_agg_trade_id) over candles_of_symbol as next_agg_trade_id,
        lead(candles.open_time) over candles_of_symbol as next_open_time,
        candles.open_time >= {{ rebuild_from }} as is_rebuilt
    from {{ ref('int_agg_trade_candles_5m') }} as candles
    inner join rebuild_plan
        on
            candles.symbol = rebuild_plan.symbol
            and candles.open_time >= {{ rebuild_from }} - interval '1 day'
    where
        candles.open_time >= {{ floor }} - interval '1 day'
        and {{ condition }}
    window candles_of_symbol as (partition by candles.market, candles.symbol order by candles.open_time)

),

whole_trade_candles as (

    select * from trade_candles_with_neighbours
    where
        is_rebuilt
        and reaches_end
        and agg_trade_count = last_agg_trade_id - first_agg_trade_id + 1
        and case
            when previous_open_time >= open_time - interval '1 day'
                then previous_agg_trade_id = first_agg_trade_id - 1
            else starts_file
        end
        and (
            next_agg_trade_id > last_agg_trade_id + 1
            and next_open_time <= open_time + interval '1 day'
        ) is not true

)
{%- endmacro %}
