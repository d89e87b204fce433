"""Gaps among trades: the time it takes to find them ÷ the time it took to land them.

    python benchmarks/gaps.py FOLDER [ROWS]

Lands ROWS trades (default 4 M; 200 M take 15 GB of FOLDER) in daily files of up to 2 M, in which numbers are missing on
purpose: in each file one, a thousand, and all of ten minutes; and of one day the whole file. Then it builds the models
that tell of gaps, asks `loaders gaps`, and does both again after one more file. Every command is a process of its own,
as its users call it; what dbt takes to start is shown apart, since it does not grow with the trades.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from landing import ROOT, ROWS, fresh, load, trades_file

# Place of each gap in a file, as a share of its rows, and its length in rows of a file of so many.
PLACES = (0.25, 0.4, 0.7)


def gaps_of(rows: int) -> list[tuple[int, int]]:
    """First row and length of each gap in a file: one trade, a thousand, ten minutes."""
    lengths = (1, 1000, rows // 144)
    return [(int(place * rows), length) for place, length in zip(PLACES, lengths, strict=True)]


def write(folder: Path, number: int, rows: int) -> None:
    """A day of trades with its gaps."""
    missing = " or ".join(f"i between {first} and {first + length - 1}" for first, length in gaps_of(rows))
    trades_file(folder, number, rows, missing)


def run(warehouse: Path, *command: str) -> tuple[float, str]:
    """Seconds of a command, and what it printed."""
    before = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "LOADERS_WAREHOUSE": str(warehouse), "DBT_TARGET_PATH": str(warehouse.parent / "dbt")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - before, done.stdout


def find(warehouse: Path) -> tuple[float, float, float, list[dict[str, Any]]]:
    """Seconds of dbt, of its models alone, of `loaders gaps`, and the gaps."""
    dbt = str(Path(sys.executable).with_name("dbt"))
    only = ("--resource-type", "model", "--resource-type", "seed")
    build, _ = run(warehouse, dbt, "build", "--quiet", "--select", "+data_gaps", *only)
    results = json.loads((warehouse.parent / "dbt" / "run_results.json").read_text())["results"]
    models = sum(one["execution_time"] for one in results)
    ask, printed = run(warehouse, sys.executable, "-m", "loaders", "--json", "gaps", "--dataset", "aggTrades")
    return build, models, ask, json.loads(printed)["gaps"]


def main() -> int:
    """Prints the figures; 1 if a gap was not found, or one too many."""
    folder = Path(sys.argv[1]).absolute()
    total = int(sys.argv[2]) if len(sys.argv) > 2 else 4_000_000
    rows = min(ROWS, total // 4)
    days = total // rows
    # Takes away the warehouse of an earlier run, too.
    data, warehouse = fresh(folder / "gaps"), folder / "gaps.duckdb"
    # The day after the first one has no file.
    numbers = [0, *range(2, days + 1)]
    for number in numbers:
        write(data, number, rows)
    wanted = sorted([length for _ in numbers for _, length in gaps_of(rows)] + [rows])
    landing = load(data, warehouse).seconds
    build, models, ask, gaps = find(warehouse)
    found = sorted(gap["missing"] for gap in gaps)
    first_complete = found == wanted
    print(f"{len(numbers) * rows:,} numbers in {len(numbers)} files, {len(wanted)} gaps planted")
    print(f"landing                       {landing:8.1f} s")
    print(f"models of the gaps            {models:8.1f} s of {build:.1f} s that dbt took")
    print(f"loaders gaps                  {ask:8.1f} s")
    print(f"time ÷ landing time           {(build + ask) / landing:8.2f}")
    print(f"gaps found                    {'all' if first_complete else 'NOT ALL'}: {len(found)} of {len(wanted)}")

    write(data, days + 1, rows)
    again = load(data, warehouse).seconds
    build, models, ask, more = find(warehouse)
    wanted = sorted([*wanted, *(length for _, length in gaps_of(rows))])
    found_more = sorted(gap["missing"] for gap in more)
    print(f"one more file: landing        {again:8.1f} s")
    print(f"models of the gaps            {models:8.1f} s of {build:.1f} s that dbt took")
    print(f"loaders gaps                  {ask:8.1f} s")
    complete = found_more == wanted
    print(f"gaps found                    {'all' if complete else 'NOT ALL'}: {len(found_more)} of {len(wanted)}")
    return 0 if complete and first_complete else 1


if __name__ == "__main__":
    sys.exit(main())
