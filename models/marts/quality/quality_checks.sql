with

thresholds as (

    select * from {{ ref('quality_thresholds') }}

),

completeness as (

    select * from {{ ref('data_completeness') }}

),

runs as (

    select * from {{ ref('int_series_runs') }}

),

extents as (

    select * from {{ ref('int_series_extents') }}

),

agreement as (

    select * from {{ ref('int_candle_agreement_days') }}

),

trade_candles as (

    select * from {{ ref('int_agg_trade_candles_5m') }}

),

metrics as (

    select * from {{ ref('stg_binance__metrics') }}

),

labels as (

    select * from {{ ref('int_metrics_snapshot_labels') }}

),

sides as (

    select * from {{ ref('candles_with_side') }}

),

liquidation_map as (

    select * from {{ ref('liquidation_map') }}

),

timeline as (

    select * from {{ ref('int_liquidation_timeline') }}

),

proofs as (

    select * from {{ ref('int_ohlcvt_proofs') }}

),

ledger as (

    select * from {{ ref('int_ledger_differences') }}

),

all_files as (

    select * from {{ source('ops', 'ingestion_files') }}

),

files as (

    select * from all_files
    where status = 'loaded'

),

conflicting_rows as (

    select * from {{ ref('stg_ops__conflicts') }}

),

-- Every landed series; a check without findings in one of them passes, with a row that says so.
series as (

    select distinct
        dataset,
        coalesce(symbol, '') as symbol
    from files
    where rows_loaded > 0

),

-- One row per key on which files disagree.
conflicts as (

    select
        conflicting_rows.dataset,
        conflicting_rows.market,
        coalesce(conflicting_rows.symbol, '') as symbol,
        conflicting_rows.row_key,
        min(conflicting_rows.row_time) as row_time,
        count(distinct coalesce({{ seconds_between('files.period_start', 'files.period_end') }} > 86400, false))
        > 1 as between_lengths
    from conflicting_rows
    inner join files
        on conflicting_rows.file_id = files.file_id
    group by all

),

duplicates as (

    select
        'duplicates' as check_name,
        series.dataset,
        series.symbol,
        count(conflicts.row_key) as value,
        'keys on which files disagree; first at ' || cast(min(conflicts.row_time) as varchar) as finding
    from series
    left join conflicts
        on
            series.dataset = conflicts.dataset
            and series.symbol = conflicts.symbol
    group by series.dataset, series.symbol

),

monthly_against_daily as (

    select
        'monthly_against_daily' as check_name,
        series.dataset,
        series.symbol,
        count(conflicts.row_key) as value,
        'keys on which files of months and days disagree; first at '
        || cast(min(conflicts.row_time) as varchar) as finding
    from series
    left join conflicts
        on
            series.dataset = conflicts.dataset
            and series.symbol = conflicts.symbol
            and conflicts.between_lengths
    where series.dataset in ('klines', 'aggTrades')
    group by series.dataset, series.symbol

),

missing as (

    select
        'missing' as check_name,
        dataset,
        symbol,
        coalesce(sum(missing), 0) as value,
        'rows; ' || cast(count(*) filter (where missing > 0) as varchar) || ' days lack some, the first is '
        || cast(min(day) filter (where missing > 0) as varchar) as finding
    from completeness
    group by dataset, symbol

),

-- The last Sundays of March and October in Europe, the second of March and the first of November in America.
clock_change_days as (

    select
        'clock_change_days' as check_name,
        dataset,
        symbol,
        coalesce(sum(missing), 0) as value,
        'rows missing on days of a clock change, the first is '
        || cast(min(day) filter (where missing > 0) as varchar) as finding
    from completeness
    where
        dataset in ('klines', 'metrics')
        -- a day that is not there at all is no matter of a clock
        and present > 0
        and extract(dow from day) = 0
        and (
            (extract(month from day) in (3, 10) and extract(day from day) >= 25)
            or (extract(month from day) = 3 and extract(day from day) between 8 and 14)
            or (extract(month from day) = 11 and extract(day from day) <= 7)
        )
    group by dataset, symbol

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
        'aggTrades' as dataset,
        symbol,
        count(*) filter (where first_agg_trade_id <= previous_agg_trade_id) as value,
        'five minutes whose trade numbers do not follow those before' as finding
    from trade_order
    group by symbol

    union all

    select
        'order_of_times' as check_name,
        dataset,
        symbol,
        sum(close_time_wrong) as value,
        'candles whose close time does not lie within them, the first on '
        || cast(cast(min(day) filter (where close_time_wrong > 0) as date) as varchar) as finding
    from runs
    where dataset = 'klines'
    group by dataset, symbol

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
        dataset,
        symbol,
        sum({{ fault }}) as value,
        '{{ words }}, the first on '
        || cast(cast(min(day) filter (where {{ fault }} > 0) as date) as varchar) as finding
    from runs
    where dataset in ({{ "'klines'" if name in ['taker_volume', 'quote_volume'] else "'klines', 'ohlcvt'" }})
    group by dataset, symbol

),

{% endfor -%}
-- From one run to the next where no candle is missing between them, and within runs.
run_starts as (

    select
        dataset,
        symbol,
        run_start,
        first_open,
        lag(last_close) over neighbours as previous_close,
        lag({{ candle_end('run_end', 'interval') }}) over neighbours as previous_end
    from runs
    where kline_type in ('last', 'mark', '')
    window neighbours as (partition by dataset, market, kline_type, symbol, interval order by run_start)

),

all_jumps as (

    select
        dataset,
        symbol,
        cast(run_start as date) as day,
        cast(
            greatest(
                cast(first_open as double) / cast(previous_close as double),
                cast(previous_close as double) / cast(first_open as double)
            ) - 1 as decimal(38, 8)
        ) as jump
    from run_starts
    where
        previous_end = run_start
        and previous_close > 0
        and first_open > 0

    union all

    select
        dataset,
        symbol,
        cast(day as date) as day,
        largest_jump as jump
    from runs
    where
        kline_type in ('last', 'mark', '')
        and largest_jump is not null

),

largest_jumps as (

    select
        *,
        max(jump) over (partition by dataset, symbol) as largest_jump
    from all_jumps

),

jumps as (

    select
        'jumps' as check_name,
        dataset,
        symbol,
        max(jump) as value,
        case dataset
            when 'metrics' then 'largest share between two snapshots'
            else 'largest share between an open and the close before it'
        end || ', on '
        || cast(min(day) filter (where jump = largest_jump) as varchar) as finding
    from largest_jumps
    group by dataset, symbol

),

ranges as (

    select
        *,
        max(largest_range) over (partition by dataset, symbol) as largest_of_all
    from runs
    where
        dataset = 'klines'
        and kline_type in ('last', 'mark')
        and {{ interval_seconds('interval') }} <= 300

),

candle_range as (

    select
        'candle_range' as check_name,
        dataset,
        symbol,
        coalesce(max(largest_range), 0) as value,
        'largest high ÷ low - 1 of a candle, on '
        || cast(cast(min(day) filter (where largest_range = largest_of_all) as date) as varchar) as finding
    from ranges
    group by dataset, symbol

),

{% for name, measure, dataset, words in [
    ('opens_follow_closes', 'opens_apart', 'klines', 'opens lie from the closes before them ÷ closes from their opens'),
    ('open_interest_spikes', 'largest_spike', 'metrics', 'largest share by which a snapshot stands out'),
] -%}
largest_{{ name }} as (

    select
        *,
        max({{ measure }}) over (partition by symbol) as largest_of_all
    from runs
    where dataset = '{{ dataset }}'

),

{{ name }} as (

    select
        '{{ name }}' as check_name,
        dataset,
        symbol,
        coalesce(max({{ measure }}), 0) as value,
        '{{ words }}, on '
        || cast(cast(min(day) filter (where {{ measure }} = largest_of_all) as date) as varchar) as finding
    from largest_{{ name }}
    group by dataset, symbol

),

{% endfor -%}
open_interest_blank as (

    select
        'open_interest_blank' as check_name,
        'metrics' as dataset,
        symbol,
        count(*) filter (where open_interest is null) as value,
        'snapshots of zero or nothing, the first at '
        || cast(min(snapshot_at) filter (where open_interest is null) as varchar) as finding
    from metrics
    group by symbol

),

klines_against_trades_volume as (

    select
        'klines_against_trades_volume' as check_name,
        'klines' as dataset,
        symbol,
        sum(volumes_differ) as value,
        'of ' || cast(sum(compared) as varchar) || ' candles differ in volume'
        || coalesce(', the first at ' || cast(min(first_difference_at) as varchar), '') as finding
    from agreement
    where comparison in ('klines_1m_against_trades', 'klines_5m_against_trades')
    group by symbol

),

klines_against_trades_price as (

    select
        'klines_against_trades_price' as check_name,
        'klines' as dataset,
        symbol,
        sum(prices_differ) as value,
        'of ' || cast(sum(compared) as varchar) || ' candles differ in a price'
        || coalesce(', the first at ' || cast(min(first_difference_at) as varchar), '') as finding
    from agreement
    where comparison in ('klines_1m_against_trades', 'klines_5m_against_trades')
    group by symbol

),

klines_1m_against_5m as (

    select
        'klines_1m_against_5m' as check_name,
        'klines' as dataset,
        symbol,
        sum(greatest(prices_differ, volumes_differ)) as value,
        'of ' || cast(sum(compared) as varchar) || ' candles differ'
        || coalesce(', the first at ' || cast(min(first_difference_at) as varchar), '') as finding
    from agreement
    where comparison = 'klines_1m_against_klines_5m'
    group by symbol

),

mark_against_last as (

    select
        'mark_against_last' as check_name,
        'klines' as dataset,
        symbol,
        sum(prices_differ) as value,
        'of ' || cast(sum(compared) as varchar) || ' mark prices lie far from the traded one'
        || coalesce(', the first at ' || cast(min(first_difference_at) as varchar), '') as finding
    from agreement
    where comparison in ('klines_1m_against_mark_5m', 'klines_5m_against_mark_5m')
    group by symbol

),

ledger_against_rows as (

    select
        'ledger_against_rows' as check_name,
        dataset,
        symbol,
        count(*) filter (where rows_in_ledger != rows_in_table) as value,
        'files that hold another number of rows than the ledger says; rows in all: '
        || cast(sum(rows_in_table) as varchar) || ', by the ledger ' || cast(sum(rows_in_ledger) as varchar) as finding
    from ledger
    group by dataset, symbol

),

rejected_rows as (

    select
        'rejected_rows' as check_name,
        dataset,
        coalesce(symbol, '') as symbol,
        sum(rows_rejected) as value,
        'rows of landed files are kept aside in ops.rejected_rows' as finding
    from files
    group by dataset, coalesce(symbol, '')

),

-- A symbol all of whose files were refused has no other row anywhere.
refused_files as (

    select
        'refused_files' as check_name,
        dataset,
        coalesce(symbol, '') as symbol,
        count(*) filter (where status = 'failed') as value,
        'files could not be landed, the first is of '
        || cast(cast(min(period_start) filter (where status = 'failed') as date) as varchar) as finding
    from all_files
    where
        dataset is not null
        and status in ('loaded', 'failed')
    group by dataset, coalesce(symbol, '')

),

label_votes as (

    select
        *,
        prices_far_off > 0
        or (
            votes_instant + votes_start >= {{ var('snapshot_label_least_votes') }}
            and votes_neither > (1 - {{ var('snapshot_label_least_share') }}) * (votes_instant + votes_start)
        ) as fits_no_candle,
        origin != 'rest'
        and measured_label is null
        and votes_instant + votes_start >= {{ var('snapshot_label_least_votes') }} as is_divided
    from labels

),

snapshot_labels as (

    select
        'snapshot_labels' as check_name,
        'metrics' as dataset,
        symbol,
        count(*) filter (where is_divided) as value,
        'files whose rows disagree; ' || cast(count(*) as varchar) || ' files, measured or documented '
        || cast(count(*) filter (where decided_by in ('measured', 'documented')) as varchar)
        || ', assumed ' || cast(count(*) filter (where decided_by = 'assumed') as varchar)
        || coalesce('; the first begins at ' || cast(min(first_time) filter (where is_divided) as varchar), '')
            as finding
    from label_votes
    group by symbol

),

snapshot_prices as (

    select
        'snapshot_prices' as check_name,
        'metrics' as dataset,
        symbol,
        count(*) filter (where fits_no_candle) as value,
        'files whose snapshots fit no candle, the first begins at '
        || cast(min(first_time) filter (where fits_no_candle) as varchar) as finding
    from label_votes
    group by symbol

),

latest_ends as (

    select
        *,
        coalesce({{ seconds_between('next_due', 'others_until') }}, 0) as seconds_behind,
        trim(market || ' ' || interval) || ' would go on at ' || cast(next_due as varchar)
        || ', ' || latest_other || ' goes on to ' || cast(others_until as varchar) as finding
    from extents

),

freshness as (

    select
        'freshness' as check_name,
        dataset,
        symbol,
        round(max(seconds_behind) / cast(3600 as decimal(18, 8)), 2) as value,
        'hours; ' || max(finding) as finding
    from latest_ends
    group by dataset, symbol

),

candles_that_tell_nothing as (

    select
        'candles_that_tell_nothing' as check_name,
        'metrics' as dataset,
        symbol,
        round(
            cast(count(*) filter (where position_event = 'none') as double) / count(position_event), 6
        ) as value,
        'share of the candles whose change is known: ' || cast(count(position_event) as varchar) as finding
    from sides
    group by symbol
    having count(position_event) > 0

),

standing as (

    select
        symbol,
        greatest(
            coalesce(sum(quantity) filter (where side = 'long'), 0),
            coalesce(sum(quantity) filter (where side = 'short'), 0)
        ) as quantity
    from liquidation_map
    group by symbol

),

last_open_interest as (

    select
        symbol,
        max_by(last_open_interest, step_at) as open_interest
    from timeline
    where last_open_interest > 0
    group by symbol

),

share_explained as (

    select
        'share_explained' as check_name,
        'metrics' as dataset,
        last_open_interest.symbol,
        round(
            coalesce(cast(standing.quantity as double), 0) / cast(last_open_interest.open_interest as double), 6
        ) as value,
        'share of the last open interest, in contracts, that the standing levels of the larger side explain' as finding
    from last_open_interest
    left join standing
        on last_open_interest.symbol = standing.symbol

),

coarse_against_fine as (

    select
        'coarse_against_fine' as check_name,
        'ohlcvt' as dataset,
        extents.symbol,
        count(proofs.symbol) as value,
        'candles that the finer ones within them contradict, the first at '
        || cast(min(proofs.window_start) as varchar) as finding
    from extents
    left join proofs
        on
            extents.symbol = proofs.symbol
            and extents.interval = proofs.interval
            and proofs.proves in ('surplus', 'other prices')
    where extents.dataset = 'ohlcvt'
    group by extents.symbol
    having count(distinct extents.interval) > 1

),

measured as (

    {%- for check in [
        'duplicates', 'monthly_against_daily', 'missing', 'clock_change_days', 'order_of_times', 'prices_not_positive',
        'high_low', 'taker_volume', 'quote_volume', 'jumps', 'candle_range', 'opens_follow_closes',
        'open_interest_spikes', 'open_interest_blank', 'klines_against_trades_volume', 'klines_against_trades_price',
        'klines_1m_against_5m', 'mark_against_last', 'ledger_against_rows', 'refused_files', 'rejected_rows',
        'snapshot_labels', 'snapshot_prices', 'freshness', 'candles_that_tell_nothing', 'share_explained',
        'coarse_against_fine',
    ] %}

    select
        check_name,
        dataset,
        symbol,
        cast(value as decimal(38, 8)) as value,
        finding
    from {{ check }}

    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

-- A dataset's own thresholds go before those for all.
thresholds_by_dataset as (

    select
        measured.*,
        case when own.check_name is not null then own.warn_above else general.warn_above end as warn_above,
        case when own.check_name is not null then own.fail_above else general.fail_above end as fail_above
    from measured
    left join thresholds as own
        on
            measured.check_name = own.check_name
            and measured.dataset = own.dataset
    left join thresholds as general
        on
            measured.check_name = general.check_name
            and general.dataset is null

),

judged as (

    select
        *,
        case
            when value > fail_above then 'fail'
            when value > warn_above then 'warn'
            else 'pass'
        end as status
    from thresholds_by_dataset

),

checks as (

    select
        check_name,
        dataset,
        symbol,
        value,
        case when status = 'fail' then fail_above else coalesce(warn_above, fail_above) end as threshold,
        status,
        coalesce(finding, 'nothing found') as detail
    from judged

)

select * from checks
