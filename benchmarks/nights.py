"""What a night costs: the first run, a night that brings nothing, one that brings a day, and each against less history.

    python benchmarks/nights.py FOLDER [--days 1461] [--symbols 3] [--trades-a-day 55000]
                                       [--wide-symbols 30] [--wide-days 365] [--part long|wide]

`long`: candles and metrics of some symbols and trades of one more over years, and the same with a tenth of the days, so
that the last night of both can be compared. `wide`: candles and metrics of many symbols over a year. Files are written
as the archive has them, one for each symbol, kind and day; every step is `loaders run` as cron calls it, in a process
of its own, and its memory is that of its processes together. Defaults write about 13,000 and 22,000 files; a tenth of
the days shows the same ratios in minutes, and `--wide-symbols 300` writes 219,000 files (6 GB, in about two minutes).
FOLDER is left with the warehouses of the last run. `rehearsal.py` is the same over billions of trades.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from history import WALK
from rich.console import Console
from rich.table import Table
from trades_build import ROOT, memory_mb, spilled_mb

FIRST_DAY = date(2022, 1, 1)
TRADED = "TRADEUSDT"

_STEPS = f"""
create table if not exists "{{table}}" as
{WALK}
select
    *,
    cast(greatest(price, next_price) * 1.0005 as decimal(18, 1)) as high,
    cast(least(price, next_price) * 0.9995 as decimal(18, 1)) as low,
    epoch_ms(open_time) as open_ms
from pairs
where next_price is not null
"""

# The text of each day's file, without its header. A statement for each file would take most of the time of writing.
_DAYS = """
with lines as (
    select number, concat_ws(',', {cells}) as line
    from "{table}"
    where number >= {first} and number < {end} and {where}
)
select number // 288 as day, string_agg(line, chr(10) order by number)
from lines
group by day
"""

_KLINES = {
    "open_time": "open_ms",
    "open": "price",
    "high": "high",
    "low": "low",
    "close": "next_price",
    "volume": "100",
    "close_time": "open_ms + 299999",
    "quote_volume": "100 * next_price",
    "count": "10",
    "taker_buy_volume": "50",
    "taker_buy_quote_volume": "50 * next_price",
    "ignore": "0",
}

_METRICS = {
    "create_time": "strftime(open_time, '%Y-%m-%d %H:%M:%S')",
    "symbol": "$symbol",
    "sum_open_interest": "contracts",
    "sum_open_interest_value": "contracts * price",
    "count_toptrader_long_short_ratio": "1.5",
    "sum_toptrader_long_short_ratio": "1.2",
    "count_long_short_ratio": "1.1",
    "sum_taker_long_short_vol_ratio": "1.0",
}

#: Kind of file → its columns, as SQL over the steps of a symbol, and which steps are in it.
_KINDS = {"klines": (_KLINES, "true"), "metrics": (_METRICS, "hash(number, 'gap') % 500 > 0")}

_TRADES = """
copy (
    select
        {day} * {rows} + i as agg_trade_id,
        cast(60000 + 4000 * sin(({day} * {rows} + i) / 4e6) + hash(i) % 100 / 10 as decimal(18, 1)) as price,
        cast(hash(i + 7) % 100000 / 1000 as decimal(18, 3)) + 0.001 as quantity,
        ({day} * {rows} + i) * 3 as first_trade_id,
        ({day} * {rows} + i) * 3 + 2 as last_trade_id,
        {start} + i * 86400000 // {rows} as transact_time,
        hash(i + 9) % 2 = 0 as is_buyer_maker
    from range({rows}) as numbers (i)
) to '{file}' (header true)
"""


@dataclass
class Cost:
    """What a run took, in all and by step, and the sizes of its files after it; `said` are the lines of its steps.

    `cpu_seconds` are those of all its processes: what a busy machine makes longer least.
    """

    seconds: float = 0
    cpu_seconds: float = 0
    peak_mb: float = 0
    spill_mb: float = 0
    status: int = 0
    warehouse_mb: float = 0
    published_mb: float = 0
    steps: dict[str, float] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Time, memory and sizes in one line."""
        return (
            f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} s of CPU, {self.peak_mb:.0f} MB, "
            f"{self.spill_mb:.0f} MB spilled, warehouse {self.warehouse_mb:,.0f} MB, "
            f"published {self.published_mb:,.0f} MB"
        )


@dataclass(frozen=True)
class History:
    """Where the files and the warehouse lie, and what is in the files.

    `keep_steps`: the walks of all days are kept beside the data, for who writes them in many pieces.
    """

    folder: Path
    symbols: tuple[str, ...]
    days: int
    trades_a_day: int = 0
    keep_steps: bool = False

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def work(self) -> Path:
        """The folder of the warehouse and all that comes of it. The data are not in it: it is watched for spill."""
        return self.folder / "work"

    @property
    def warehouse(self) -> Path:
        """The warehouse."""
        return self.work / "warehouse.duckdb"

    def write(self, first_day: int, end_day: int) -> int:
        """Writes the files of these days; returns how many."""
        written = 0
        with duckdb.connect(self.folder / "steps.duckdb" if self.keep_steps else ":memory:") as connection:
            for symbol in self.symbols:
                connection.execute(_STEPS.format(table=symbol), {"symbol": symbol, "days": self.days + 2})
                for kind, (columns, where) in _KINDS.items():
                    query = _DAYS.format(
                        table=symbol,
                        cells=", ".join(columns.values()),
                        first=first_day * 288,
                        end=end_day * 288,
                        where=where,
                    )
                    parameters = {"symbol": symbol} if "$symbol" in query else None
                    for number, text in connection.execute(query, parameters).fetchall():
                        self._place(kind, symbol, number).write_text(f"{','.join(columns)}\n{text}\n")
                        written += 1
                if not self.keep_steps:
                    connection.execute(f'drop table "{symbol}"')
            for number in range(first_day, end_day) if self.trades_a_day else ():
                file = self._place("aggTrades", TRADED, number)
                start = (FIRST_DAY + timedelta(days=number) - date(1970, 1, 1)).days * 86_400_000
                connection.execute(_TRADES.format(day=number, rows=self.trades_a_day, start=start, file=file))
                written += 1
        return written

    def keep_newest_day(self) -> None:
        """Deletes all files but those of the newest day: what has landed keeps its rows without them."""
        files = list(self.data.rglob("*.csv"))
        newest = max(file.stem[-10:] for file in files)
        for file in files:
            if not file.stem.endswith(newest):
                file.unlink()

    def _place(self, kind: str, symbol: str, number: int) -> Path:
        day = FIRST_DAY + timedelta(days=number)
        interval = ("5m",) if kind == "klines" else ()
        folder = self.data.joinpath("data/futures/um/daily", kind, symbol, *interval)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{'-'.join((symbol, *(interval or (kind,))))}-{day}.csv"

    def run(self, *options: str) -> Cost:
        """`loaders run`, watched. Ends the benchmark where a step failed; a warning is none."""
        cost, told = self._watched("run", *options)
        for step in told.get("steps", ()):
            cost.steps[step["step"]] = step["seconds"]
            cost.said.append(f"{step['outcome']:8} {step['step']:8} {step['line']}")
        failed = any(step["outcome"] in ("failed", "skipped") for step in told.get("steps", ()))
        if cost.status not in (0, 1) or failed or not cost.said:
            raise SystemExit("\n".join([f"a run ended with {cost.status}: {self.work}/run.log", *cost.said]))
        return cost

    def load(self) -> Cost:
        """`loaders load`, watched. Ends the benchmark where anything was refused."""
        cost, told = self._watched("load")
        if cost.status:
            raise SystemExit(f"a load ended with {cost.status}: {self.work}/run.log")
        cost.said.append(f"{told['files_loaded']:,} files, {told['rows_loaded']:,} rows")
        return cost

    def _watched(self, *arguments: str) -> tuple[Cost, dict[str, Any]]:
        """A command in a process of its own: what it took, and what it answered."""
        self.work.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "LOADERS_WAREHOUSE": str(self.warehouse),
            "LOADERS_DATA_DIR": str(self.data),
            "LOADERS_DATA_DOCS": str(self.work / "docs"),
            "DBT_TARGET_PATH": str(self.work / "dbt" / "target"),
            "DBT_LOG_PATH": str(self.work / "dbt" / "logs"),
        }
        cost = Cost()
        before = time.perf_counter()
        with (self.work / "run.log").open("a") as log, (self.work / "run.json").open("w+") as answer:
            process = subprocess.Popen(
                [sys.executable, "-m", "loaders", "--json", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=answer,
                stderr=log,
            )
            ended = threading.Event()

            def watch() -> None:
                while not ended.wait(0.1):
                    # Processes and spilled files come and go while they are counted.
                    with contextlib.suppress(OSError):
                        cost.peak_mb = max(cost.peak_mb, memory_mb(process.pid))
                    with contextlib.suppress(OSError):
                        cost.spill_mb = max(cost.spill_mb, spilled_mb(self.work))

            watcher = threading.Thread(target=watch)
            watcher.start()
            _, status, usage = os.wait4(process.pid, 0)
            cost.seconds = time.perf_counter() - before
            cost.cpu_seconds = usage.ru_utime + usage.ru_stime
            cost.status = process.returncode = os.waitstatus_to_exitcode(status)
            ended.set()
            watcher.join()
            answer.seek(0)
            # A process that was killed has answered nothing.
            told: dict[str, Any] = json.loads(answer.read() or "{}")
        cost.warehouse_mb, cost.published_mb = (
            file.stat().st_size / 1e6 if file.exists() else 0
            for file in (self.warehouse, self.warehouse.with_name("marts.duckdb"))
        )
        return cost, told


def nights(history: History) -> dict[str, Cost]:
    """The first run, a night without files, one with a day more, and everything once more in full."""
    shutil.rmtree(history.folder, ignore_errors=True)
    history.work.mkdir(parents=True)
    before = time.perf_counter()
    files = history.write(0, history.days)
    print(f"{history.folder.name}: {files:,} files written in {time.perf_counter() - before:.0f} s", flush=True)
    costs = {}
    for name in ("first run", "nothing new", "one more day", "nothing new again", "in full"):
        if name == "one more day":
            history.write(history.days, history.days + 1)
        costs[name] = history.run(*(["--full"] if name == "in full" else []))
        cost = costs[name]
        print(f"{history.folder.name}, {name}: {cost.text}", *cost.said, sep="\n  ", flush=True)
    return costs


def table_of(title: str, costs: dict[str, Cost]) -> Table:
    """A row for each night, seconds by step; `file` is the warehouse after it, `out` the published file."""
    steps = list(dict.fromkeys(step for cost in costs.values() for step in cost.steps))
    table = Table("night", "seconds", "CPU s", "peak MB", "spill MB", "file MB", "out MB", *steps, title=title)
    for name, cost in costs.items():
        by_step = [f"{cost.steps.get(step, 0):.1f}" for step in steps]
        table.add_row(
            name,
            f"{cost.seconds:.1f}",
            f"{cost.cpu_seconds:.1f}",
            f"{cost.peak_mb:.0f}",
            f"{cost.spill_mb:.0f}",
            f"{cost.warehouse_mb:,.0f}",
            f"{cost.published_mb:,.0f}",
            *by_step,
        )
    return table


def main() -> None:
    """Measures what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=1461)
    parser.add_argument("--symbols", type=int, default=3)
    parser.add_argument("--trades-a-day", type=int, default=55_000)
    parser.add_argument("--wide-symbols", type=int, default=30)
    parser.add_argument("--wide-days", type=int, default=365)
    parser.add_argument("--part", choices=("long", "wide"), action="append")
    asked = parser.parse_args()
    folder = asked.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(width=140)
    if "long" in (asked.part or ("long",)):
        symbols = tuple(f"COIN{number}USDT" for number in range(asked.symbols))
        tenth = nights(History(folder / "tenth", symbols, max(asked.days // 10, 2), asked.trades_a_day))
        whole = nights(History(folder / "long", symbols, asked.days, asked.trades_a_day))
        console.print(table_of(f"{asked.days // 10} days, {asked.symbols} symbols and trades of one more", tenth))
        console.print(table_of(f"{asked.days} days, {asked.symbols} symbols and trades of one more", whole))
        for name in ("nothing new", "one more day"):
            seconds = whole[name].seconds / tenth[name].seconds
            cpu = whole[name].cpu_seconds / tenth[name].cpu_seconds
            print(f"{name}: whole history ÷ a tenth of it  {seconds:.2f} (CPU {cpu:.2f})   (to reach: 1.3)")
    if "wide" in (asked.part or ("wide",)):
        symbols = tuple(f"COIN{number}USDT" for number in range(asked.wide_symbols))
        wide = nights(History(folder / "wide", symbols, asked.wide_days))
        console.print(table_of(f"{asked.wide_days} days, {asked.wide_symbols} symbols", wide))
        day, first = wide["one more day"], wide["first run"]
        cpu = day.cpu_seconds / first.cpu_seconds
        ratio = f"{day.seconds / first.seconds:.3f} (CPU {cpu:.3f})"
        print(f"one more day ÷ first run  {ratio}   (to reach: 0.08 with 30 symbols, 0.05 with 300)")


if __name__ == "__main__":
    main()
