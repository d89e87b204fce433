"""Landing against the bare engine: the figures of a load, as ratios of things measured in the same run.

    python benchmarks/landing.py FOLDER [trades|long|small|day]

`trades`: 10 daily files of 2 M trades, as CSV and as zip, against a bare INSERT of read_csv into a table of the same
columns without a key, and against INSERT OR IGNORE into one with a key. `long`: 200 M rows in 100 files; last ten
against first ten, memory against a load of 10 files, and then one day through the staging view against a plain table.
`small`: 2,131 files of one day's metrics against the bare insert of each in its own transaction, and all of it again,
unchanged. Loads run as a user runs them, `python -m loaders load`, apart from the last, which is timed inside the
process; FOLDER takes about 15 GB for `long`.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

ROOT = Path(__file__).resolve().parents[1]
ROWS = 2_000_000
FIRST_DAY = date(2024, 1, 1)
TRADES = {
    "agg_trade_id": "BIGINT",
    "price": "DECIMAL(18, 8)",
    "quantity": "DECIMAL(18, 8)",
    "first_trade_id": "BIGINT",
    "last_trade_id": "BIGINT",
    "transact_time": "BIGINT",
    "is_buyer_maker": "BOOLEAN",
}
METRICS = {"create_time": "TIMESTAMP", "symbol": "VARCHAR"} | dict.fromkeys(
    (
        "sum_open_interest",
        "sum_open_interest_value",
        "count_toptrader_long_short_ratio",
        "sum_toptrader_long_short_ratio",
        "count_long_short_ratio",
        "sum_taker_long_short_vol_ratio",
    ),
    "DECIMAL(38, 16)",
)
RAW_TRADES = """
    market varchar, symbol varchar, agg_trade_id bigint, price decimal(18, 8), quantity decimal(38, 8),
    first_trade_id bigint, last_trade_id bigint, transact_time timestamp, is_buyer_maker boolean, file_id bigint
"""
RAW_METRICS = f"market varchar, {', '.join(f'{name} {kind}' for name, kind in METRICS.items())}, file_id bigint"


def trades_of_day(number: int, rows: int = ROWS, missing: str = "false") -> str:
    """SQL of a day of trades, spread over it, whose ids have no gap but those of the rows (SQL, of i) `missing`."""
    day = FIRST_DAY + timedelta(days=number)
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    return f"""
        select
            {number * rows} + i as agg_trade_id,
            cast(60000 + hash(i) % 100000 / 10 as decimal(18, 2)) as price,
            cast(hash(i + 7) % 100000 / 1000 as decimal(18, 3)) + 0.001 as quantity,
            {number * rows * 3} + i * 3 as first_trade_id,
            {number * rows * 3} + i * 3 + 2 as last_trade_id,
            {start} + i * 86400000 // {rows} as transact_time,
            hash(i + 9) % 2 = 0 as is_buyer_maker
        from range({rows}) as numbers (i)
        where not ({missing})
    """


def trades_file(folder: Path, number: int, rows: int = ROWS, missing: str = "false") -> Path:
    """The file of such a day, as the archive has it."""
    day = FIRST_DAY + timedelta(days=number)
    target = folder / f"data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{day}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"copy ({trades_of_day(number, rows, missing)}) to '{target}' (header true)")
    return target


class Took(NamedTuple):
    """What a process took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def watched(arguments: list[str], told: str = "") -> Took:
    """Runs a process to its end; `told` is its standard input."""
    before = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(told)
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{arguments[:2]} ended with {process.returncode}"
    return Took(time.perf_counter() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def load(folder: Path, warehouse: Path) -> Took:
    """One load, as a user runs it."""
    return watched(["-m", "loaders", "--warehouse", str(warehouse), "load", "--data-dir", str(folder)])


def bare(files: list[Path], target: Path, table: str, insert: str) -> Took:
    """A bare insert, file by file, as a process of its own like the load."""
    for path in (target, target.with_name(target.name + ".wal")):
        path.unlink(missing_ok=True)
    program = """
import duckdb, json, sys
target, table, insert, files = json.load(sys.stdin)
with duckdb.connect(target, config={"storage_compatibility_version": "v1.5.0"}) as connection:
    connection.execute(table)
    for file in files:
        connection.execute(insert, [file])
"""
    return watched(["-c", program], json.dumps([str(target), table, insert, [str(file) for file in files]]))


def columns_of(columns: dict[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"


def insert_of(verb: str, symbol: str = "'um', 'BTCUSDT', ") -> str:
    return (
        f"{verb} into t select {symbol}* replace (make_timestamp(transact_time * 1000) as transact_time), 1 "
        f"from read_csv(?, header = true, columns = {columns_of(TRADES)})"
    )


def fresh(path: Path) -> Path:
    """A warehouse that does not exist yet."""
    for leftover in path.parent.glob(path.name + "*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    return path


def compare(folder: Path, runs: int = 3) -> None:
    """Ten files as CSV and zip against the bare engine."""
    plain, zipped = folder / "csv", folder / "zip"
    files = [trades_file(plain, number) for number in range(10)]
    for file in files:
        target = zipped / file.relative_to(plain).with_suffix(".zip")
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(file, file.name)
    took: dict[str, list[Took]] = {name: [] for name in ("load", "load of zips", "bare", "bare with key")}
    for _ in range(runs):
        took["load"].append(load(plain, fresh(folder / "load.duckdb")))
        took["bare"].append(bare(files, folder / "bare.duckdb", f"create table t ({RAW_TRADES})", insert_of("insert")))
        took["load of zips"].append(load(zipped, fresh(folder / "load.duckdb")))
        took["bare with key"].append(
            bare(
                files,
                folder / "bare.duckdb",
                f"create table t ({RAW_TRADES}, primary key (symbol, agg_trade_id))",
                insert_of("insert or ignore"),
            )
        )
    seconds = {name: statistics.median(one.seconds for one in each) for name, each in took.items()}
    cpu = {name: statistics.median(one.cpu_seconds for one in each) for name, each in took.items()}
    for name, each in took.items():
        all_seconds = ", ".join(f"{one.seconds:.2f}" for one in each)
        rate = 10 * ROWS / seconds[name] / 1e6
        print(f"{name:15} {seconds[name]:7.2f} s ({all_seconds})   {cpu[name]:6.2f} s of CPU   {rate:5.2f} M rows/s")
    for what, name, other, wanted in (
        ("load ÷ bare insert", "load", "bare", 0.9),
        ("load ÷ insert or ignore", "load", "bare with key", 2.0),
        ("load of zips ÷ bare insert", "load of zips", "bare", 0.7),
    ):
        ratio = f"{seconds[other] / seconds[name]:.2f} (CPU {cpu[other] / cpu[name]:.2f})"
        print(f"rows/s, {what:28} {ratio}   (to reach: {wanted})")


def grow(folder: Path) -> None:
    """200 M rows: does it slow down, does it grow; then one day through the staging view."""
    short, long = folder / "short", folder / "long"
    for number in range(10):
        trades_file(short, number)
    memory_short = load(short, fresh(folder / "short.duckdb")).peak_mb
    shutil.rmtree(short)
    for number in range(100):
        trades_file(long, number)
    warehouse = fresh(folder / "long.duckdb")
    seconds, _, memory_long = load(long, warehouse)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        ends = [
            row[0] for row in connection.execute("select finished_at from ops.ingestion_files order by 1").fetchall()
        ]
    steps = [(late - early).total_seconds() for early, late in itertools.pairwise(ends)]
    print(f"200 M rows: {seconds:.0f} s, {warehouse.stat().st_size / 2**30:.2f} GiB")
    print(f"time of the last ten files ÷ the first ten  {sum(steps[-10:]) / sum(steps[:10]):.2f}   (to reach: 1.10)")
    print(f"peak memory at 200 M ÷ 20 M rows            {memory_long / memory_short:.2f}   (to reach: 1.10)")
    print(f"peak memory                                 {memory_long:.0f} MB   (to reach: 1536)")
    # A tenth of the rows once more, in monthly files, as people have them who keep both.
    month = FIRST_DAY + timedelta(days=31)
    monthly = long / f"data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{month:%Y-%m}.csv"
    monthly.parent.mkdir(parents=True)
    with monthly.open("wb") as target:
        for number in range(31, 41):
            lines = (long / trades_name(number)).read_bytes()
            target.write(lines if number == 31 else lines.partition(b"\n")[2])
    load(long, warehouse)
    shutil.rmtree(long)
    one_day(warehouse)


def trades_name(number: int) -> str:
    return f"data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{FIRST_DAY + timedelta(days=number)}.csv"


def one_day(warehouse: Path) -> None:
    """One day of one symbol through the staging view against the same from a plain table."""
    dbt = [str(Path(sys.executable).with_name("dbt")), "run", "--quiet", "--select", "+stg_binance__agg_trades"]
    subprocess.run(dbt, cwd=ROOT, env={**os.environ, "LOADERS_WAREHOUSE": str(warehouse)}, check=True)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("set threads = 2")
        if not connection.execute("select 1 from duckdb_tables() where table_name = 'plain'").fetchall():
            connection.execute("""
                create table main.plain as
                select symbol, agg_trade_id, price, quantity, transact_time as traded_at
                from raw.binance_agg_trades
                where file_id not in (select max(file_id) from ops.ingestion_files)
            """)
        for name, number in (("a day in one file", 5), ("a day in two files", 35)):
            day = FIRST_DAY + timedelta(days=number)
            medians = {}
            for relation in ("main.plain", "staging.stg_binance__agg_trades"):
                query = f"""
                    select count(*), sum(price), sum(quantity), max(agg_trade_id) from {relation}
                    where symbol = 'BTCUSDT' and traded_at >= '{day}' and traded_at < date '{day}' + 1
                """
                times = []
                for _ in range(7):
                    before = time.perf_counter()
                    (row,) = connection.execute(query).fetchall()
                    times.append(time.perf_counter() - before)
                    assert row[0] == ROWS, row
                medians[relation] = statistics.median(times)
            plain, view = medians.values()
            print(
                f"{name:20} view {view * 1000:.1f} ms ÷ plain {plain * 1000:.1f} ms"
                f" = {view / plain:.1f}   (to reach: 5)"
            )


def many_small(folder: Path, files: int = 2131) -> None:
    """One file of 288 snapshots for each day, then all of it again."""
    data = folder / "small"
    paths = []
    for number in range(files):
        day = FIRST_DAY - timedelta(days=number)
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        lines = [",".join(METRICS)]
        for step in range(288):
            contracts = 80_000 + (number * 288 + step) % 977 / 8
            ratios = "1.25000000,1.10000000,0.98000000,1.02000000"
            at = f"{start + timedelta(minutes=5 * step):%Y-%m-%d %H:%M:%S}"
            lines.append(f"{at},BTCUSDT,{contracts:.16f},{contracts * 60_000:.16f},{ratios}")
        path = data / f"data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        paths.append(path)
    insert = f"insert into t select 'um', *, 1 from read_csv(?, header = true, columns = {columns_of(METRICS)})"
    loads, bares = [], []
    for _ in range(3):
        warehouse = fresh(folder / "small.duckdb")
        loads.append(load(data, warehouse).seconds)
        bares.append(bare(paths, folder / "bare.duckdb", f"create table t ({RAW_METRICS})", insert).seconds)
    ratio = statistics.median(bares) / statistics.median(loads)
    print(f"{files} files: load {loads} s, bare inserts {bares} s")
    print(f"files/s, load ÷ bare insert                 {ratio:.2f}   (to reach: 0.5)")
    first, again = inside_the_process(data, fresh(folder / "small.duckdb"))
    print(f"again, unchanged ÷ first load               {again / first:.3f}   ({again:.3f} s; to reach: 0.05)")


def inside_the_process(data: Path, warehouse: Path) -> tuple[float, float]:
    """Seconds of a first and a second load, without the start of Python."""
    from click.testing import CliRunner

    from loaders.cli.group import cli

    seconds: list[float] = []
    for _ in range(2):
        before = time.perf_counter()
        result: Any = CliRunner().invoke(cli, ["--warehouse", str(warehouse), "load", "--data-dir", str(data)])
        seconds.append(time.perf_counter() - before)
        assert result.exit_code == 0, result.output
    return seconds[0], seconds[1]


def run() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[Path], object]] = {
        "trades": compare,
        "small": many_small,
        "long": grow,
        "day": lambda at: one_day(at / "long.duckdb"),
    }
    wanted = sys.argv[2:] or ["trades", "small", "long"]
    for name in wanted:
        parts[name](folder)


if __name__ == "__main__":
    run()
