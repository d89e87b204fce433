with

agreement as (

    select * from {{ ref('int_candle_agreement_days') }}

),

extents as (

    select * from {{ ref('int_series_extents') }}

),

proofs as (

    select * from {{ ref('int_ohlcvt_proofs') }}

),

{% set trades = ['klines_1m_against_trades', 'klines_5m_against_trades'] -%}
{% set comparisons = {
    'klines_against_trades_volume': (trades, 'volumes_differ', 'candles differ in volume'),
    'klines_against_trades_price': (trades, 'prices_differ', 'candles differ in a price'),
    'klines_1m_against_5m': (
        ['klines_1m_against_klines_5m'], 'greatest(prices_differ, volumes_differ)', 'candles differ'
    ),
    'mark_against_last': (
        ['klines_1m_against_mark_5m', 'klines_5m_against_mark_5m'], 'prices_differ',
        'mark prices lie far from the traded one'
    ),
} -%}
{% for name, (compared, differing, words) in comparisons.items() -%}
{{ name }} as (

    select
        '{{ name }}' as check_name,
        'binance' as exchange,
        'klines' as dataset,
        symbol,
        sum({{ differing }}) as value,
        'of ' || cast(sum(compared) as string) || ' {{ words }}'
        || coalesce(', the first at ' || cast(min(first_difference_at) as string), '') as finding
    from agreement
    where comparison in ('{{ compared | join("', '") }}')
    group by symbol

),

{% endfor -%}
coarse_against_fine as (

    select
        'coarse_against_fine' as check_name,
        extents.exchange,
        extents.dataset,
        extents.symbol,
        count(proofs.symbol) as value,
        'candles that the finer ones within them contradict, the first at '
        || cast(min(proofs.window_start) as string) as finding
    from extents
    left join proofs
        on
            extents.exchange = proofs.exchange
            and extents.symbol = proofs.symbol
            and extents.interval = proofs.interval
            and proofs.proves in ('surplus', 'other prices')
    where extents.dataset = 'ohlcvt'
    group by extents.exchange, extents.dataset, extents.symbol
    having count(distinct extents.interval) > 1

),

{{ union_of_checks((comparisons | list) + ['coarse_against_fine']) }}

select * from checks
