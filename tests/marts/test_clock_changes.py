"""Days on which clocks change have their 288 candles and snapshots, whatever zone the machine or the session is in."""

from __future__ import annotations

import sys

import pytest

from tests.support import archive
from tests.support.warehouse import Warehouse

# Europe springs forward and falls back, the United States fall back; each with the day after it.
DAYS = ("2025-03-30", "2025-03-31", "2025-10-26", "2025-10-27", "2025-11-02", "2025-11-03")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_every_day_is_whole_in_another_zone(warehouse: Warehouse, zone: str) -> None:
    # DuckDB's session takes the machine's zone, unless it is told otherwise.
    warehouse.environment |= {"TZ": zone}
    for day in DAYS:
        archive.klines(warehouse.data, "AAAUSDT", day, interval=1 if day.endswith("30") else 5)
        archive.metrics(warehouse.data, "AAAUSDT", day)
    warehouse.run(sys.executable, "-m", "loaders", "load")
    warehouse.build("--select", "+candles_with_side", "+open_interest_5m", "+data_gaps")
    whole = [(day, 288) for day in DAYS]
    for table, time in (("klines_5m", "open_time"), ("open_interest_5m", "snapshot_at")):
        assert (
            warehouse.query(
                f"select strftime({time}, '%Y-%m-%d'), count(distinct {time}) from marts.{table} group by 1 order by 1"
            )
            == whole
        )
    # An hour moved by a zone would tear open a gap or fold two hours into one.
    assert warehouse.query("select distinct dataset, gap_start::varchar from marts.data_gaps order by all") == [
        ("klines", "2025-04-01 00:00:00"),
        ("klines", "2025-10-28 00:00:00"),
        ("metrics", "2025-04-01 00:00:00"),
        ("metrics", "2025-10-28 00:00:00"),
    ]
    known = warehouse.query("select count(*) from marts.candles_with_side where oi_delta is not null")
    # The last candle of each pair of days lacks the snapshot at its end.
    assert known == [(len(DAYS) * 288 - 3,)]
