"""The export of trades against the engine's own partitioned COPY, and what a kill leaves.

    python benchmarks/export.py FOLDER [DAYS [KILLS]]

DAYS files (100 unless told) of 2 M trades are landed and staged. Then, each as a process of its own: `COPY ...
PARTITION_BY (symbol, date)` of the bare raw table, zstd, unsorted; `loaders export --only raw` into an empty folder;
the same again; and after one day was published again. KILLS times (30 unless told) an export is killed at a random
moment, begun from an empty folder each tenth time: after each, every file that readers see must be one of the calm
export's, and the last one, which is not killed, must leave just these. FOLDER takes about 200 MB for each day.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from landing import FIRST_DAY, ROOT, ROWS, fresh, load, trades_file


@dataclass(frozen=True, slots=True)
class Run:
    """A command that ended: seconds by the clock and of all cores, peak megabytes, stdout."""

    seconds: float
    cpu: float
    memory: float
    printed: str

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.cpu:.1f} s of CPU), {self.memory:.0f} MB of memory"


def timed(command: list[str], warehouse: Path) -> Run:
    """Runs a command to its end."""
    before = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "LOADERS_WAREHOUSE": str(warehouse), "DBT_TARGET_PATH": f"{warehouse}.target"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command} ended with {status}\n{printed}"
    cpu = usage.ru_utime + usage.ru_stime
    return Run(time.perf_counter() - before, cpu, usage.ru_maxrss / 1024, printed)


def stage(warehouse: Path, *models: str) -> None:
    timed([sys.executable, "-m", "dbt.cli.main", "run", "--quiet", "--select", *models], warehouse)


def export_command(zone: Path) -> list[str]:
    return [sys.executable, "-m", "loaders", "--json", "export", "--only", "raw", "--to", str(zone)]


def bare_copy(warehouse: Path, folder: Path) -> Run:
    """The engine's partitioned COPY."""
    shutil.rmtree(folder, ignore_errors=True)
    program = f"""
import duckdb
with duckdb.connect("{warehouse}", read_only=True, config={{"memory_limit": "1GB"}}) as connection:
    connection.execute('''
        copy (select *, cast(transact_time as date) as date from raw.binance_agg_trades)
        to '{folder}' (format parquet, compression zstd, partition_by (symbol, date))
    ''')
"""
    return timed([sys.executable, "-c", program], warehouse)


def tree(zone: Path) -> dict[str, str]:
    """Hash of each table's file that readers see."""
    return {
        path.relative_to(zone).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in zone.rglob("*.parquet")
        if ".parts" not in path.parts
    }


def size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e6


def kills(warehouse: Path, zone: Path, calm: dict[str, str], seconds: float, times: int) -> None:
    chance = random.Random(16)
    killed, files = 0, []
    for number in range(times):
        if number % 10 == 0:
            shutil.rmtree(zone, ignore_errors=True)
        process = subprocess.Popen(
            export_command(zone),
            cwd=ROOT,
            env={**os.environ, "LOADERS_WAREHOUSE": str(warehouse)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds * chance.random())
        process.kill()
        killed += process.wait() != 0
        found = tree(zone)
        assert found.items() <= calm.items(), "a reader saw what no calm export writes"
        files.append(len(found))
    timed(export_command(zone), warehouse)
    assert tree(zone) == calm, "the zone differs from a calm export"
    print(f"killed {killed} of {times} runs, {min(files)} to {max(files)} of {len(calm)} files there: equal in the end")


def run() -> None:
    folder = Path(sys.argv[1])
    days = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    times = int(sys.argv[3]) if len(sys.argv) > 3 else 30
    data, zone = folder / "export-data", folder / "zone"
    data.mkdir(parents=True, exist_ok=True)
    warehouse = fresh(folder / "export.duckdb")
    for number in range(days):
        trades_file(data, number)
    load(data, warehouse)
    for number in range(1, days):
        (
            data / f"data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{FIRST_DAY + timedelta(days=number)}.csv"
        ).unlink()
    # The views alone: candles of trades are another benchmark's.
    stage(warehouse, "+base_binance__agg_trades")
    rows = days * ROWS
    copied = bare_copy(warehouse, folder / "bare")
    shutil.rmtree(zone, ignore_errors=True)
    exported = timed(export_command(zone), warehouse)
    again = timed(export_command(zone), warehouse)
    assert json.loads(again.printed)["partitions"]["written"] == 0
    print(f"{rows / 1e6:.0f} M trades")
    print(f"    bare COPY {copied}, {size(folder / 'bare'):.0f} MB of files")
    print(f"    export    {exported}, {size(zone):.0f} MB of files")
    print(f"rows/s, export ÷ bare COPY                  {copied.seconds / exported.seconds:.2f}   (to reach: 0.8)")
    print(f"the same by CPU                             {copied.cpu / exported.cpu:.2f}")
    print(f"again, nothing changed                      {again}")
    trades_file(data, 0, missing="i % 1000 = 999")
    load(data, warehouse)
    stage(warehouse, "base_binance__agg_trades")
    before = tree(zone)
    one = timed(export_command(zone), warehouse)
    changed = sorted(name for name, digest in tree(zone).items() if before[name] != digest)
    print(f"one day published again                     {one}, {json.dumps(json.loads(one.printed)['partitions'])}")
    print("\n".join(f"    {name}" for name in changed))
    shutil.rmtree(folder / "bare")
    # A file names the change it was written at: what a calm export of this state writes, in a folder of its own.
    shutil.rmtree(folder / "calm", ignore_errors=True)
    calm = timed(export_command(folder / "calm"), warehouse)
    if times:
        kills(warehouse, folder / "killed", tree(folder / "calm"), calm.seconds, times)


if __name__ == "__main__":
    run()
