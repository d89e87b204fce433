-- Event and side follow from the candle's direction and its change of open interest, and are NULL where the change is
-- unknown.
with

judged as (

    select
        *,
        case
            when oi_delta is null then null
            when oi_delta = 0 or close = open then 'none'
            when oi_delta > 0 and close > open then 'long_open'
            when oi_delta > 0 then 'short_open'
            when close > open then 'short_close'
            else 'long_close'
        end as expected_event
    from ${rows}

)

select * from judged
where
    position_event is distinct from expected_event
    or inferred_side
    is distinct from case expected_event when 'long_open' then 'long' when 'short_open' then 'short' end
