"""A disk that fills up: a clear error, and the warehouse holds whole files only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import archive
from tests.support.archive import TRADES, text, write
from tests.support.warehouse import Warehouse

MEGABYTES = 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes; only root can mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here: needs root and the right to mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_leaves_whole_files_and_a_clear_error(small_disk: Path, tmp_path: Path) -> None:
    house = Warehouse(tmp_path / "house", batch_files=1)
    house.path = small_disk / "warehouse.duckdb"
    for day in range(1, 29):
        date = f"2024-01-{day:02}"
        write(
            house.place(f"BTCUSDT-aggTrades-{date}.csv", "aggTrades/BTCUSDT"),
            text(archive.trade_rows(date, 40_000, day * 50_000), TRADES),
        )
    report = house.load(expect=1)
    assert report.failures, "the files were to be more than the disk holds"
    assert all("disk" in failure.message or "space" in failure.message for failure in report.failures), report.failures
    loaded = house.query("select count(*) from ops.ingestion_files where status = 'loaded'")[0][0]
    assert 0 < loaded < 28
    assert house.query("select distinct count(*) from raw.binance_agg_trades group by file_id") == [(40_000,)]
    house.consistent()

    # With room again, the next load goes on.
    subprocess.run(["mount", "-o", "remount,size=256m", str(small_disk)], check=True)
    house.load()
    assert house.query("select count(*) from raw.binance_agg_trades") == [(28 * 40_000,)]
    house.consistent()
