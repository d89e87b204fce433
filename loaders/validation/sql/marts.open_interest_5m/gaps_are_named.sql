-- Every gap between two snapshots of a perpetual is named in marts.data_gaps; one off the grid is of no step.
with

neighbours as (

    select
        symbol,
        snapshot_at,
        lead(snapshot_at) over (partition by symbol order by snapshot_at) as next_snapshot_at
    from marts.open_interest_5m
    where epoch_us(snapshot_at) % 300000000 = 0

)

select neighbours.*
from neighbours
where
    neighbours.next_snapshot_at > neighbours.snapshot_at + interval '5 minutes'
    and not exists (
        select 1
        from marts.data_gaps as named
        where
            named.dataset = 'metrics'
            and named.market = 'um'
            and named.symbol = neighbours.symbol
            and named.gap_start < neighbours.next_snapshot_at
            and named.gap_end > neighbours.snapshot_at
    )
