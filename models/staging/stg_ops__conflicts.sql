with

overlapping_rows as (

    {{ overlapping_rows(
        source('raw_binance', 'binance_klines'),
        'klines',
        ['market', 'kline_type', 'symbol', 'interval', 'open_time'],
        {
            'market': 'landed.market', 'kline_type': 'landed.kline_type', 'symbol': 'landed.symbol',
            'interval': 'landed.interval', 'row_time': 'landed.open_time',
        }
    ) }}

    union all

    {{ overlapping_rows(
        source('raw_binance', 'binance_agg_trades'),
        'aggTrades',
        ['market', 'symbol', 'agg_trade_id'],
        {'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.transact_time'}
    ) }}

    union all

    {{ overlapping_rows(
        source('raw_binance', 'binance_metrics'),
        'metrics',
        ['market', 'symbol', 'create_time'],
        {'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.create_time'}
    ) }}

    union all

    {{ overlapping_rows(
        source('raw_binance', 'binance_funding_rates'),
        'fundingRate',
        ['market', 'symbol', 'calc_time'],
        {'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.calc_time'}
    ) }}

    union all

    {{ overlapping_rows(
        source('raw_kraken', 'kraken_ohlcvt'),
        'ohlcvt',
        ['pair', 'interval_minutes', 'timestamp'],
        {
            'market': "'spot'", 'symbol': 'landed.pair',
            'interval': 'cast(landed.interval_minutes as varchar)', 'row_time': 'landed.timestamp',
        }
    ) }}

    union all

    {{ overlapping_rows(
        source('raw_external', 'external_levels'),
        'levels',
        ['market', 'provider', 'symbol', 'time', 'side', 'price'],
        {'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.time'}
    ) }}

),

compared as (

    select
        *,
        min(content) over (partition by dataset, row_key) as lowest_content,
        max(content) over (partition by dataset, row_key) as highest_content
    from overlapping_rows

),

conflicts as (

    select
        dataset,
        market,
        kline_type,
        symbol,
        interval,
        row_time,
        row_key,
        file_id,
        path,
        precedence,
        content
    from compared
    where lowest_content != highest_content

)

select * from conflicts
