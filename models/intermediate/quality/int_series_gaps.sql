with

-- Candles and snapshots stand on a grid. A candle without a trade is absent from OHLCVT files, so of these only what
-- another file of the symbol proves is a gap.
timed as (

    select
        *,
        'inside' as place
    from {{ ref('int_gaps_on_grid') }}
    where dataset != 'ohlcvt'

    union all

    select
        *,
        'inside' as place
    from {{ ref('int_gaps_proved') }}

    union all

    select * from {{ ref('int_gaps_at_edges') }}

),

counted as (

    select
        *,
        case
            when interval = '1mo' then {{ dbt.datediff('gap_start', 'gap_end', 'month') }}
            else {{ whole_division(seconds_between('gap_start', 'gap_end'), interval_seconds('interval')) }}
        end as missing
    from timed

),

gaps as (

    select
        {{ series_columns() }},
        gap_start,
        gap_end,
        place,
        cast(missing as bigint) as missing
    from counted

    {%- for model in ['int_gaps_of_trades', 'int_gaps_of_funding'] %}

    union all

    select
        {{ series_columns() }},
        gap_start,
        gap_end,
        'inside' as place,
        missing
    from {{ ref(model) }}
    {%- endfor %}

),

placed as (

    select
        *,
        -- Trades have no grid: the day that lacks them is the first without any, else the one with more of the gap.
        case
            when dataset != 'aggTrades' then gap_start
            when {{ candle_start('gap_end', 1440) }} > {{ candle_start('gap_start', 1440) }} + interval '1 day'
                then {{ candle_start('gap_start', 1440) }} + interval '1 day'
            else gap_start + {{ whole_division(seconds_between('gap_start', 'gap_end'), 2) }} * interval '1 second'
        end as missing_at
    from gaps

)

select * from placed
