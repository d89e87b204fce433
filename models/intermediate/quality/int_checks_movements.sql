with

runs as (

    select * from {{ ref('int_series_runs') }}

),

-- Runs of one series that join without a gap, because a run never crosses midnight.
run_starts as (

    select
        exchange,
        dataset,
        symbol,
        run_start,
        first_open,
        lag(last_close) over neighbours as previous_close,
        lag({{ candle_end('run_end', 'interval') }}) over neighbours as previous_end
    from runs
    where kline_type in ('last', 'mark', '')
    window neighbours as (
        partition by exchange, dataset, market, kline_type, symbol, interval order by run_start
    )

),

-- Between two runs that join, and within runs.
all_jumps as (

    select
        exchange,
        dataset,
        symbol,
        cast(run_start as date) as day,
        cast(
            greatest(
                {{ as_double('first_open') }} / {{ as_double('previous_close') }},
                {{ as_double('previous_close') }} / {{ as_double('first_open') }}
            ) - 1 as decimal(38, 8)
        ) as jump
    from run_starts
    where
        previous_end = run_start
        and previous_close > 0
        and first_open > 0

    union all

    select
        exchange,
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
        max(jump) over (partition by exchange, dataset, symbol) as largest_jump
    from all_jumps

),

jumps as (

    select
        'jumps' as check_name,
        exchange,
        dataset,
        symbol,
        max(jump) as value,
        case dataset
            when 'metrics' then 'largest share between two snapshots'
            else 'largest share between an open and the close before it'
        end || ', on '
        || cast(min(day) filter (where jump = largest_jump) as string) as finding
    from largest_jumps
    group by exchange, dataset, symbol

),

-- The largest value of a measure of runs, and the day on which it was seen.
{% set short_candles -%}
    dataset = 'klines'
        and kline_type in ('last', 'mark')
        and {{ interval_seconds('interval') }} <= 300
{%- endset -%}
{% set measures = {
    'candle_range': ('largest_range', short_candles, 'largest high ÷ low - 1 of a candle'),
    'opens_follow_closes': (
        'open_gap_ratio', "dataset = 'klines'", 'opens lie from the closes before them ÷ closes from their opens'
    ),
    'open_interest_spikes': (
        'largest_spike', "dataset = 'metrics'", 'largest share by which a snapshot stands out'
    ),
} -%}
{% for name, (measure, condition, words) in measures.items() -%}
runs_of_{{ name }} as (

    select
        *,
        max({{ measure }}) over (partition by exchange, dataset, symbol) as largest_of_all
    from runs
    where
        {{ condition }}

),

{{ name }} as (

    select
        '{{ name }}' as check_name,
        exchange,
        dataset,
        symbol,
        coalesce(max({{ measure }}), 0) as value,
        '{{ words }}, on '
        || cast(cast(min(day) filter (where {{ measure }} = largest_of_all) as date) as string) as finding
    from runs_of_{{ name }}
    group by exchange, dataset, symbol

),

{% endfor -%}
{{ union_of_checks(['jumps'] + (measures | list)) }}

select * from checks
