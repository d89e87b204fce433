-- Every gap between two snapshots of a perpetual is named in marts.data_gaps; one off the grid is of no step.
with

asked as (

    select
        symbol,
        snapshot_at
    from ${rows}
    where epoch_us(snapshot_at) % 300000000 = 0

),

firsts as (

    select
        symbol,
        min(snapshot_at) as first_snapshot_at
    from asked
    group by symbol

),

-- The last snapshot before those that are asked: a gap may lie between the two.
snapshots as (

    select * from asked

    union all

    select
        earlier.symbol,
        max(earlier.snapshot_at) as snapshot_at
    from marts.open_interest_5m as earlier
    inner join firsts
        on
            earlier.symbol = firsts.symbol
            and earlier.snapshot_at < firsts.first_snapshot_at
    where epoch_us(earlier.snapshot_at) % 300000000 = 0
    group by earlier.symbol

),

neighbours as (

    select
        symbol,
        snapshot_at,
        lead(snapshot_at) over (partition by symbol order by snapshot_at) as next_snapshot_at
    from snapshots

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
