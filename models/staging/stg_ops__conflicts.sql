with

conflicts as (

    {{ conflicting_rows(
        source('raw_binance', 'binance_klines'),
        'klines',
        ['market', 'kline_type', 'symbol', 'interval', 'open_time'],
        {
            'market': 'landed.market', 'kline_type': 'landed.kline_type', 'symbol': 'landed.symbol',
            'interval': 'landed.interval', 'row_time': 'landed.open_time',
        }
    ) }}

    union all

    {{ conflicting_rows(
        source('raw_binance', 'binance_agg_trades'),
        'aggTrades',
        ['market', 'symbol', 'agg_trade_id'],
        {
            'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.transact_time',
            'block': trade_id_block('landed.agg_trade_id', 256),
        }
    ) }}

    union all

    {{ conflicting_rows(
        source('raw_binance', 'binance_metrics'),
        'metrics',
        ['market', 'symbol', 'create_time'],
        {'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.create_time'}
    ) }}

    union all

    {{ conflicting_rows(
        source('raw_binance', 'binance_funding_rates'),
        'fundingRate',
        ['market', 'symbol', 'calc_time'],
        {'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.calc_time'}
    ) }}

    union all

    {{ conflicting_rows(
        source('raw_kraken', 'kraken_ohlcvt'),
        'ohlcvt',
        ['pair', 'interval_minutes', 'timestamp'],
        {
            'market': "'spot'", 'symbol': 'landed.pair',
            'interval': 'cast(landed.interval_minutes as varchar)', 'row_time': 'landed.timestamp',
        }
    ) }}

    union all

    {{ conflicting_rows(
        source('raw_external', 'external_levels'),
        'levels',
        ['market', 'provider', 'symbol', 'time', 'side', 'price'],
        {'market': 'landed.market', 'symbol': 'landed.symbol', 'row_time': 'landed.time'}
    ) }}

)

select * from conflicts
