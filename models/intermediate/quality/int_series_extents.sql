with

runs as (

    select * from {{ ref('int_series_runs') }}
    where kline_type in ('last', '')

),

trade_candles as (

    select * from {{ ref('int_agg_trade_candles_5m') }}

),

funding as (

    select * from {{ ref('stg_binance__funding_rates') }}

),

-- Where a series ends, and up to when it tells what happened: a snapshot tells of its instant, and the next one is due
-- five minutes later; a candle tells all until the next one is due.
series as (

    select
        {{ series_columns() }},
        min(run_start) as first_time,
        max(run_end) as last_time,
        max(case dataset when 'metrics' then run_end else {{ candle_end('run_end', 'interval') }} end) as known_until,
        max({{ candle_end('run_end', 'interval') }}) as next_due
    from runs
    group by {{ series_columns() }}

    union all

    select
        'binance' as exchange,
        'aggTrades' as dataset,
        market,
        symbol,
        '' as interval,
        min(first_traded_at) as first_time,
        max(last_traded_at) as last_time,
        max(last_traded_at) as known_until,
        max(open_time) + interval '5 minutes' as next_due
    from trade_candles
    group by market, symbol

    union all

    select
        exchange,
        'fundingRate' as dataset,
        market,
        symbol,
        '' as interval,
        min(funded_at) as first_time,
        max(funded_at) as last_time,
        max(funded_at) as known_until,
        max(funded_at + coalesce(funding_interval_hours, 8) * interval '1 hour') as next_due
    from funding
    group by exchange, market, symbol

),

-- Only a series that already ran when this one stopped can say that it stopped too early: people hold samples of some
-- days, and a symbol that ends everywhere is delisted. Funding comes a month at a time and says nothing about others.
compared as (

    select
        {{ series_columns('series') }},
        series.first_time,
        series.last_time,
        series.next_due,
        max(others.known_until) as others_until,
        min_by(
            others.dataset || case when others.interval = '' then '' else ' ' || others.interval end,
            cast({{ seconds_between('others.known_until', "timestamp '2200-01-01'") }} as string)
            || others.dataset || others.interval
        ) as latest_other
    from series
    left join series as others
        on
            series.exchange = others.exchange
            and series.market = others.market
            and series.symbol = others.symbol
            and series.last_time >= others.first_time
            and series.next_due < others.known_until
            and others.dataset != 'fundingRate'
    group by all

)

select * from compared
