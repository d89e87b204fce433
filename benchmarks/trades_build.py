"""What a build over many trades takes: peak memory, spill and time at two sizes, and their ratio.

    python benchmarks/trades_build.py FOLDER [MILLIONS MILLIONS]

Lands days of 2 M trades each in loads of ten files, which are deleted once they have landed, then runs `dbt build` and
`loaders validate` on them and prints for each the peak memory of its processes (sum of the tree, sampled), the most
that lay in its temporary folders, and the seconds. The last two days overlap: they were published again as part of a
month, which lacks trades. Sizes are 100 and 500 million trades unless told; 500 M take about 7 GB below FOLDER.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from landing import FIRST_DAY, ROOT, ROWS, fresh, load, trades_file

#: Files that land in one load.
BATCH = 10


@dataclass
class Cost:
    """What a process and its children took."""

    seconds: float
    peak_mb: float
    spill_mb: float


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree(int(child))


def memory_mb(pid: int) -> float:
    """Resident memory of a process and all below it."""
    total = 0
    for one in list(tree(pid)):
        lines = Path(f"/proc/{one}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total / 1024


def spilled_mb(folder: Path) -> float:
    """Size of the engine's temporary files below a folder."""
    total = 0
    for path in folder.rglob("*.tmp"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total / 1e6


def measured(arguments: list[str], warehouse: Path) -> Cost:
    """Runs a command on the warehouse, and watches it."""
    log = warehouse.with_suffix(".log")
    environment = {
        **os.environ,
        "LOADERS_WAREHOUSE": str(warehouse),
        "DBT_TARGET_PATH": str(warehouse.parent / "dbt" / "target"),
        "DBT_LOG_PATH": str(warehouse.parent / "dbt" / "logs"),
    }
    before = time.perf_counter()
    with log.open("a") as output:
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=output, stderr=output)
    peaks = Cost(0, 0, 0)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            try:
                peaks.peak_mb = max(peaks.peak_mb, memory_mb(process.pid))
            except OSError:
                continue
            peaks.spill_mb = max(peaks.spill_mb, spilled_mb(warehouse.parent))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    peaks.seconds = time.perf_counter() - before
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with {status}: {log}")
    return peaks


def landed(folder: Path, millions: int) -> Path:
    """A warehouse with that many trades, landed in pieces."""
    warehouse: Path = fresh(folder / f"trades_{millions}.duckdb")
    data = folder / "files"
    shutil.rmtree(data, ignore_errors=True)
    days = millions * 1_000_000 // ROWS
    before, memory = time.perf_counter(), 0.0
    for first in range(0, days, BATCH):
        for number in range(first, min(first + BATCH, days)):
            trades_file(data, number)
        memory = max(memory, load(data, warehouse).peak_mb)
        shutil.rmtree(data)
    # Two days once more, as people have them who keep months, too; some trades are missing there.
    month = FIRST_DAY + timedelta(days=days - 2)
    monthly = data / f"data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{month:%Y-%m}.csv"
    monthly.parent.mkdir(parents=True)
    with monthly.open("wb") as target:
        for number in (days - 2, days - 1):
            day = FIRST_DAY + timedelta(days=number)
            if (day.year, day.month) == (month.year, month.month):
                lines = trades_file(data, number, missing="i % 1000 = 7").read_bytes()
                target.write(lines if target.tell() == 0 else lines.partition(b"\n")[2])
    shutil.rmtree(data / "data/futures/um/daily")
    memory = max(memory, load(data, warehouse).peak_mb)
    shutil.rmtree(data)
    seconds = time.perf_counter() - before
    size = warehouse.stat().st_size / 2**30
    print(
        f"{millions:5} M trades landed: {seconds:7.1f} s with writing the files, {memory:6.0f} MB, {size:.2f} GiB",
        flush=True,
    )
    return warehouse


def run() -> None:
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [int(size) for size in sys.argv[2:]] or [100, 500]
    dbt = [str(Path(sys.executable).with_name("dbt"))]
    commands = {
        "dbt build": [*dbt, "build", "--quiet"],
        "validate": [sys.executable, "-m", "loaders", "validate"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for millions in sizes:
        warehouse = landed(folder, millions)
        for name, arguments in commands.items():
            cost = measured(arguments, warehouse)
            seconds[name].append(cost.seconds)
            print(
                f"{millions:5} M trades, {name:10} {cost.seconds:7.1f} s   peak {cost.peak_mb:6.0f} MB (to reach: 2048)"
                f"   spill {cost.spill_mb:.0f} MB (to reach: 0)",
                flush=True,
            )
        fresh(warehouse)
    for name, (first, *_, last) in seconds.items():
        print(f"time of {name}, {sizes[-1]} M ÷ {sizes[0]} M trades   {last / first:.2f}   (to reach: 5.5)")


if __name__ == "__main__":
    run()
