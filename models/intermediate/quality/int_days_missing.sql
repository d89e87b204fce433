with

gaps as (

    select
        *,
        {{ candle_start('gap_start', 1440) }} as first_day,
        {{ candle_start('gap_end', 1440) }} as last_day
    from {{ ref('int_series_gaps') }}

),

-- Candles and snapshots: each gap meets the days it touches.
grid_days as (

    select
        *,
        {{ interval_seconds('interval') }} as step_seconds,
        {{ explode_steps('first_day', 'gap_end', 1440) }} as day
    from gaps
    where dataset not in ('fundingRate', 'aggTrades')

),

-- Funding: the missing ones stand at even steps of whole hours.
funding_hours as (

    select
        *,
        {{ explode_steps('gap_start', 'gap_end', 60) }} as slot
    from gaps
    where dataset = 'fundingRate'

),

parts as (

    select
        {{ series_columns() }},
        day,
        case
            when interval = '1mo' then cast(extract(day from day) = 1 as integer)
            when step_seconds > 86400
                then cast({{ seconds_between('gap_start', 'day') }} % step_seconds = 0 as integer)
            else
                {{ whole_division(
                    seconds_between('greatest(gap_start, day)', "least(gap_end, day + interval '1 day')"), 'step_seconds'
                ) }}
        end as missing
    from grid_days

    union all

    select
        {{ series_columns() }},
        {{ candle_start('slot', 1440) }} as day,
        1 as missing
    from funding_hours
    where
        {{ seconds_between('gap_start', 'slot') }}
        % {{ whole_division(seconds_between('gap_start', 'gap_end'), 'missing') }}
        = 0

    union all

    -- Trades: the ids say how many are missing, not on which of several days without any: the first bears them all, and
    -- of the others nothing is known.
    select
        {{ series_columns() }},
        {{ candle_start('missing_at', 1440) }} as day,
        missing
    from gaps
    where dataset = 'aggTrades'

    union all

    select
        {{ series_columns() }},
        {{ explode_steps(candle_start('missing_at', 1440) ~ " + interval '1 day'", 'last_day', 1440) }} as day,
        cast(null as bigint) as missing
    from gaps
    where dataset = 'aggTrades'

),

days as (

    select
        {{ series_columns() }},
        day,
        case when count(missing) = count(*) then cast(sum(missing) as bigint) end as missing
    from parts
    group by {{ series_columns() }}, day
    -- a day of which the gap takes nothing is no row of its own
    having count(missing) < count(*) or sum(missing) > 0

)

select * from days
