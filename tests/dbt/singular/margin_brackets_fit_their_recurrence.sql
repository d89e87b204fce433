-- cum[n] = cum[n-1] + floor[n] × (rate[n] - rate[n-1]); brackets join without a gap, the first begins at 0.
with

steps as (

    select
        *,
        lag(bracket) over symbol_set as previous_bracket,
        lag(notional_cap) over symbol_set as previous_cap,
        lag(maintenance_margin_rate) over symbol_set as previous_rate,
        lag(cum) over symbol_set as previous_cum
    from {{ ref('margin_brackets') }}
    window symbol_set as (partition by symbol, valid_from order by bracket)

),

failures as (

    select
        *,
        case
            when bracket = 1 then 'the first bracket does not begin at 0'
            when notional_floor != previous_cap then 'the bracket does not join the one before it'
            else 'cum does not fit its recurrence'
        end as failure_type
    from steps
    where
        case
            when bracket = 1 then previous_bracket is null and notional_floor = 0 and cum = 0
            else
                previous_bracket = bracket - 1
                and notional_floor = previous_cap
                and cum = previous_cum + notional_floor * (maintenance_margin_rate - previous_rate)
        end is not true

)

select * from failures
