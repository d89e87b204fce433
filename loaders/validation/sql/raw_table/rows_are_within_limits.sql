-- Every row is one that landing would accept today.
with

judged as (

    select
        *,
        case
            ${faults}
        end as fault
    from ${rows}

)

select * from judged
where fault is not null
