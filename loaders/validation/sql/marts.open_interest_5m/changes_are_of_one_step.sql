-- oi_delta is the difference from the snapshot five minutes before, NULL where that one is missing or unknown.
select
    later.symbol,
    later.snapshot_at,
    later.oi_delta,
    later.open_interest - earlier.open_interest as difference
from ${rows} as later
left join marts.open_interest_5m as earlier
    on
        later.symbol = earlier.symbol
        and later.snapshot_at - interval '5 minutes' = earlier.snapshot_at
where later.oi_delta is distinct from later.open_interest - earlier.open_interest
