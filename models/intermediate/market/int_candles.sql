with

-- What an exchange does not publish is NULL: say so in its list.
{% set published = [
    ('stg_binance__klines', 'klines', []),
    ('stg_kraken__ohlcvt', 'ohlcvt', [
        'close_time', 'quote_volume', 'taker_buy_volume', 'taker_buy_quote_volume',
    ]),
] -%}
{%- set columns = [
    ('close_time', 'timestamp'), ('open', 'decimal(38, 15)'), ('high', 'decimal(38, 15)'), ('low', 'decimal(38, 15)'),
    ('close', 'decimal(38, 15)'), ('volume', 'decimal(38, 15)'), ('quote_volume', 'decimal(38, 15)'),
    ('trade_count', 'bigint'), ('taker_buy_volume', 'decimal(38, 8)'), ('taker_buy_quote_volume', 'decimal(38, 8)'),
] -%}
candles as (

    {%- for staging_model, dataset, unpublished in published %}

    select
        exchange,
        '{{ dataset }}' as dataset,
        market,
        kline_type,
        symbol,
        interval,
        open_time,
        {%- for column, data_type in columns %}
        cast({{ 'null' if column in unpublished else column }} as {{ data_type }}) as {{ column }},
        {%- endfor %}
        file_id
    from {{ ref(staging_model) }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from candles
