"""Kills loads at random moments: what is in the warehouse is whole files only, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from loaders import warehouse
from tests.support import archive
from tests.support.archive import TRADES, text, write, write_zip
from tests.support.warehouse import Warehouse

# More of them: python benchmarks/long_runs.py kills
KILLS = int(os.environ.get("LOAD_KILLS", "12"))


def fill(house: Warehouse, *, price: int = 100) -> None:
    """Files enough for a load of about a second: small ones that share transactions, and larger ones alone."""
    for month in (1, 2):
        for day in range(1, 15):
            date = f"2024-{month:02}-{day:02}"
            write(house.place(f"BTCUSDT-5m-{date}.csv"), text(archive.kline_rows(date, price=price)))
    for day in range(1, 5):
        date = f"2024-01-{day:02}"
        rows = text(archive.trade_rows(date, 5_000, 1 + day * 5_000), TRADES)
        write_zip(house.place(f"BTCUSDT-aggTrades-{date}.zip", "aggTrades/BTCUSDT"), rows)


def start(house: Warehouse) -> subprocess.Popen[bytes]:
    """The command line in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "loaders",
        "--warehouse",
        str(house.path),
        "load",
        "--data-dir",
        str(house.data),
    ]
    environment = {**os.environ, "LOADERS_BATCH_FILES": "4"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_loads_leave_whole_files_and_go_on(tmp_path: Path) -> None:
    expected = Warehouse(tmp_path / "expected")
    house = Warehouse(tmp_path / "killed")
    for one in (expected, house):
        fill(one)
        one.load()
        fill(one, price=200)
    began = time.monotonic()
    expected.load()
    seconds = time.monotonic() - began
    chance = random.Random(20240305)
    for kill in range(KILLS):
        process = start(house)
        # The interpreter needs a good third of a second before it opens the warehouse.
        time.sleep(0.3 + chance.random() * (seconds + 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        house.consistent()
        if kill == KILLS // 2:
            # What has come in by now would leave nothing to do for the other half.
            fill(house, price=100)
            start(house).wait()
            fill(house, price=200)
    assert start(house).wait() == 0
    found, wanted = house.contents(), expected.contents()
    for ledger in (found, wanted):
        ledger["files"] = [row[1:] for row in ledger["files"] if "loaded" in row]
    assert found == wanted
    house.consistent()
    assert house.query("select count(*) from ops.ingestion_jobs where status = 'running'") == [(0,)]


@pytest.mark.parametrize("moment", ["before_truncate", "before_header", "after_free_list_write", "before_wal_finish"])
def test_an_aborted_checkpoint_loses_nothing(house: Warehouse, moment: str) -> None:
    fill(house)
    house.load()
    before = house.contents()
    with warehouse.writer(house.settings, house.path, readable=[house.data]):
        pass
    connection = duckdb.connect(house.path)
    connection.execute("insert into ops.schema_version values (1, now()::timestamp)")
    connection.execute(f"set debug_checkpoint_abort = '{moment}'")
    with pytest.raises(duckdb.Error):
        connection.execute("checkpoint")
    connection.close()
    assert house.contents() == before
    assert house.load().totals.files_skipped == len(before["files"])
    house.consistent()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_between_files(tmp_path: Path, number: signal.Signals) -> None:
    house = Warehouse(tmp_path)
    fill(house)
    command = [sys.executable, "-m", "loaders", "--warehouse", str(house.path)]
    process = subprocess.Popen(
        [*command, "load", "--data-dir", str(house.data), "--throttle-ms", "50"], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    scratch = house.path.with_name(house.path.name + ".tmp")
    # An archive is inflated there once files are being landed; the name of the lock's holder stands there before.
    while {path.name for path in scratch.rglob("*")} <= {"holder.json"} and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "between files" in output
    house.consistent()
    (job,) = house.query("select job_id, status from ops.ingestion_jobs")
    assert job[1] == "interrupted"
    assert (
        subprocess.run([*command, "load", "--resume", job[0]], check=False, stdout=subprocess.DEVNULL).returncode == 0
    )
    assert house.query("select count(*) from ops.ingestion_files where status = 'loaded'") == [(32,)]
