"""Snapshots that are stamped some seconds off their step belong to it, and withhold nothing."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support import archive, commands
from tests.support.warehouse import PROJECT, Warehouse

RECORDS = PROJECT.parent / "shared" / "market" / "late_snapshots"
DAYS = ["2024-03-01", "2024-03-02"]
MARTS = ("candles_with_side", "liquidation_levels", "liquidation_map", "data_gaps", "data_completeness")
ONLY_MARTS = ("--select", *(f"+{mart}" for mart in (*MARTS, "quality_checks")))

# Contracts at the late snapshot and those around it, from the files: 100071.044 - 100055.59 and so on.
CHANGES = [
    ("2026-01-20 20:25:00", "2026-01-20 20:25:02", "15.454"),
    ("2026-01-20 20:30:00", "2026-01-20 20:30:00", "90.246"),
    ("2026-01-22 15:30:00", "2026-01-22 15:30:02", "-156.437"),
    ("2026-01-22 15:35:00", "2026-01-22 15:35:00", "-103.432"),
    ("2026-01-28 09:45:00", "2026-01-28 09:45:01", "64.445"),
    ("2026-01-28 09:50:00", "2026-01-28 09:50:00", "-12.882"),
]


@pytest.mark.skipif(not RECORDS.is_dir(), reason="no market records at ../shared/market")
@pytest.mark.usefixtures("forked_dbt")
def test_two_weeks_with_three_late_snapshots_are_published(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.lend_environment(monkeypatch)
    monkeypatch.setenv("LOADERS_DATA_DOCS", str(warehouse.folder / "docs"))
    _, printed, _ = commands.run(warehouse, "--json", "run", "--data-dir", str(RECORDS))
    steps = {step["step"]: step["outcome"] for step in json.loads(printed)["steps"]}
    assert steps["publish"] == "ok"
    times = ", ".join(f"'{time}'" for time, _, _ in CHANGES)
    found = warehouse.query(
        "select snapshot_at::varchar, published_at::varchar, oi_delta from marts.open_interest_5m "
        f"where snapshot_at in ({times}) order by 1"
    )
    assert found == [(time, published, Decimal(change)) for time, published, change in CHANGES]
    ((unknown, off_grid),) = warehouse.query(
        "select count(*) filter (where oi_delta is null), "
        "count(*) filter (where epoch(snapshot_at) % 300 <> 0) from marts.open_interest_5m"
    )
    assert (unknown, off_grid) == (1, 0), "only the first snapshot of all has no change"


def fill(data: Path, late: bool = False) -> None:
    """AAAUSDT is labelled with the instants of its snapshots, BBBUSDT with their starts; every tenth can be late."""

    def seconds(time: datetime) -> int:
        number = int(time.timestamp()) // 300
        return number // 10 % 3 + 1 if late and number % 10 == 0 else 0

    for of in DAYS:
        for symbol, label_minutes in (("AAAUSDT", 0), ("BBBUSDT", 5)):
            archive.klines(data, symbol, of)
            archive.metrics(data, symbol, of, late=seconds, label_minutes=label_minutes)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Late snapshots, and a symbol that has two for some steps."""
    warehouse = Warehouse(tmp_path_factory.mktemp("late"))
    fill(warehouse.data, late=True)
    for of in DAYS:
        archive.klines(warehouse.data, "CCCUSDT", of)
    archive.metrics(
        warehouse.data,
        "CCCUSDT",
        DAYS[0],
        keep=lambda time: f"{time:%H:%M}" not in ("10:00", "11:00", "12:00", "13:00"),
        more=[
            # Two seconds late and one; two early and two late; one alone, early; one further off than half a minute.
            "2024-03-01 10:00:02,CCCUSDT,111.5,1,,,,",
            "2024-03-01 10:00:01,CCCUSDT,112.5,1,,,,",
            "2024-03-01 10:59:58,CCCUSDT,113.5,1,,,,",
            "2024-03-01 11:00:02,CCCUSDT,114.5,1,,,,",
            "2024-03-01 11:59:30,CCCUSDT,115.5,1,,,,",
            "2024-03-01 13:00:31,CCCUSDT,116.5,1,,,,",
        ],
    )
    archive.metrics(warehouse.data, "CCCUSDT", DAYS[1])
    warehouse.load()
    warehouse.build_untested(*ONLY_MARTS)
    return warehouse


def test_every_tenth_snapshot_late_gives_the_same_tables(warehouse: Warehouse, late: Warehouse) -> None:
    fill(warehouse.data)
    warehouse.load()
    warehouse.build_untested(*ONLY_MARTS)
    for mart in MARTS:
        rows = f"select * from marts.{mart} where symbol <> 'CCCUSDT' order by all nulls last"
        assert late.query(rows) == warehouse.query(rows), mart
    # Two days of 288 steps, every tenth since 1970.
    shifted = late.query(
        "select symbol, count(*) from marts.open_interest_5m where second(published_at) > 0 and symbol <> 'CCCUSDT' "
        "group by symbol"
    )
    assert {symbol for symbol, _ in shifted} == {"AAAUSDT", "BBBUSDT"}
    assert {count for _, count in shifted} <= {57, 58}


def test_of_two_for_one_step_the_nearer_counts_then_the_earlier(late: Warehouse) -> None:
    assert late.query(
        "select snapshot_at::varchar, published_at::varchar, open_interest from marts.open_interest_5m "
        "where open_interest < 200 order by 1"
    ) == [
        ("2024-03-01 10:00:00", "2024-03-01 10:00:01", Decimal("112.5")),
        ("2024-03-01 11:00:00", "2024-03-01 10:59:58", Decimal("113.5")),
        ("2024-03-01 12:00:00", "2024-03-01 11:59:30", Decimal("115.5")),
        ("2024-03-01 13:00:31", "2024-03-01 13:00:31", Decimal("116.5")),
    ]
    conflicts = late.query(
        "select row_time::varchar, precedence, content from staging.conflicts where dataset = 'metrics' order by 1, 2"
    )
    assert [(time, precedence, content.split("|")[2]) for time, precedence, content in conflicts] == [
        ("2024-03-01 10:00:00", 1, "2024-03-01 10:00:01"),
        ("2024-03-01 10:00:00", 2, "2024-03-01 10:00:02"),
        ("2024-03-01 11:00:00", 1, "2024-03-01 10:59:58"),
        ("2024-03-01 11:00:00", 2, "2024-03-01 11:00:02"),
    ]


def test_a_step_that_has_none_is_a_gap_and_the_snapshot_off_the_grid_is_told(late: Warehouse) -> None:
    assert late.query(
        "select gap_start::varchar, gap_end::varchar, missing from marts.data_gaps "
        "where dataset = 'metrics' and symbol = 'CCCUSDT'"
    ) == [("2024-03-01 13:00:00", "2024-03-01 13:05:00", 1)]
    assert late.query(
        "select symbol, value, status from marts.quality_checks where check_name = 'snapshots_off_grid' order by 1"
    ) == [("AAAUSDT", 0, "pass"), ("BBBUSDT", 0, "pass"), ("CCCUSDT", 1, "warn")]
