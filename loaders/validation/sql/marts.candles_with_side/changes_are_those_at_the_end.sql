-- A candle's change of open interest is that of the snapshot at its end, in USD at its close.
select
    found.*,
    snapshots.oi_delta as change_of_the_snapshot
from ${rows} as found
left join marts.open_interest_5m as snapshots
    on
        found.symbol = snapshots.symbol
        and found.open_time + interval '5 minutes' = snapshots.snapshot_at
where
    found.oi_delta is distinct from snapshots.oi_delta
    or found.oi_delta_usd is distinct from cast(found.oi_delta * found.close as decimal(38, 8))
