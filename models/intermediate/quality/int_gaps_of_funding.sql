with

funding as (

    select * from {{ ref('stg_binance__funding_rates') }}

),

-- The time jitters by milliseconds.
slots as (

    select
        exchange,
        market,
        symbol,
        date_trunc('hour', funded_at + interval '30 minutes') as slot,
        max(coalesce(funding_interval_hours, 8)) as hours
    from funding
    group by all

),

-- The hours between two change; a change itself is no gap.
neighbours as (

    select
        exchange,
        market,
        symbol,
        slot,
        lag(slot) over one_symbol as previous_slot,
        greatest(hours, lag(hours) over one_symbol) as longest_hours
    from slots
    window one_symbol as (partition by exchange, market, symbol order by slot)

),

gaps as (

    select
        exchange,
        'fundingRate' as dataset,
        market,
        symbol,
        '' as interval,
        previous_slot + longest_hours * interval '1 hour' as gap_start,
        slot as gap_end,
        cast(
            greatest(
                {{ whole_division(seconds_between('previous_slot', 'slot'), '(3600 * longest_hours)') }} - 1, 1
            ) as bigint
        ) as missing
    from neighbours
    where previous_slot + longest_hours * interval '1 hour' < slot

)

select * from gaps
