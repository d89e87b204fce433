with

runs as (

    select * from {{ ref('int_series_runs') }}

),

trade_candles as (

    select * from {{ ref('int_agg_trade_candles_5m') }}

),

trade_order as (

    select
        symbol,
        first_agg_trade_id,
        lag(last_agg_trade_id) over (partition by market, symbol order by open_time) as previous_agg_trade_id
    from trade_candles

),

order_of_times as (

    select
        'order_of_times' as check_name,
        'binance' as exchange,
        'aggTrades' as dataset,
        symbol,
        count(*) filter (where first_agg_trade_id <= previous_agg_trade_id) as value,
        'five minutes whose trade ids do not follow those before' as finding
    from trade_order
    group by symbol

    union all

    select
        'order_of_times' as check_name,
        exchange,
        dataset,
        symbol,
        sum(close_time_wrong) as value,
        'candles whose close time does not lie within them, the first on '
        || cast(cast(min(day) filter (where close_time_wrong > 0) as date) as string) as finding
    from runs
    where dataset = 'klines'
    group by exchange, dataset, symbol

),

{% set candle_faults = {
    'prices_not_positive': ('prices_not_positive', "candles with a price of zero or less"),
    'high_low': ('high_low_wrong', "candles whose high and low do not enclose open and close"),
    'taker_volume': ('taker_above_volume', "candles in which takers bought more than was traded"),
    'quote_volume': ('quote_volume_wrong', "candles whose quote volume ÷ volume lies outside their prices"),
} -%}
{% for name, (fault, words) in candle_faults.items() -%}
{{ name }} as (

    select
        '{{ name }}' as check_name,
        exchange,
        dataset,
        symbol,
        sum({{ fault }}) as value,
        '{{ words }}, the first on '
        || cast(cast(min(day) filter (where {{ fault }} > 0) as date) as string) as finding
    from runs
    where dataset in ({{ "'klines'" if name in ['taker_volume', 'quote_volume'] else "'klines', 'ohlcvt'" }})
    group by exchange, dataset, symbol

),

{% endfor -%}
{{ union_of_checks(['order_of_times'] + (candle_faults | list)) }}

select * from checks
