"""Trades rolled up to five-minute candles: two Spark executors against one, and against DuckDB on as many cores.

    .venv-spark/bin/python benchmarks/executors.py FOLDER [MILLIONS]

MILLIONS of trades (200 unless told) lie as `loaders export` lays them: Parquet, zstd, a file for each day of 2 M. Spark
runs as a cluster on this machine, each executor a process with one core and 1 GB; an answer about one day comes before
the one that counts, and compiles what it needs. All must give the same candles. FOLDER takes 25 MB for each million.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb
from landing import FIRST_DAY, ROWS, trades_of_day

# The same words mean the same in both engines but for the bucket.
CANDLES = """
select
    symbol, {bucket} as open_time,
    min_by(price, agg_trade_id) as open, max(price) as high, min(price) as low,
    max_by(price, agg_trade_id) as close, sum(quantity) as volume,
    cast(sum(price * quantity) as decimal(38, 8)) as quote_volume,
    sum(last_trade_id - first_trade_id + 1) as trade_count
from trades
group by symbol, {bucket}
order by symbol, open_time
"""
DUCKDB_BUCKET = "epoch_ms(traded_at) // 300000"
SPARK_BUCKET = "unix_millis(cast(traded_at as timestamp)) div 300000"

SPARK = """
import json, sys, time
from pyspark.sql import SparkSession
executors, zone, day, query = sys.argv[1:]
spark = (
    SparkSession.builder.master(f"local-cluster[{executors}, 1, 1024]")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    .config("spark.executor.memory", "1g").config("spark.ui.enabled", "false")
    .config("spark.ui.showConsoleProgress", "false").config("spark.log.level", "ERROR")
    .config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "4")
    .config("spark.sql.parquet.inferTimestampNTZ.enabled", "false")
    .config("spark.sql.decimalOperations.allowPrecisionLoss", "false").getOrCreate()
)
trades = spark.read.option("basePath", zone)
# Compiles what the answer needs.
trades.parquet(day).createOrReplaceTempView("trades")
spark.sql(query).collect()
trades.parquet(zone).createOrReplaceTempView("trades")
before = time.perf_counter()
rows = spark.sql(query).collect()
seconds = time.perf_counter() - before
print(json.dumps([seconds, [[str(value) for value in row] for row in rows]]))
spark.stop()
"""


def write_zone(zone: Path, days: int) -> None:
    """A file for each day."""
    with duckdb.connect() as connection:
        for number in range(days):
            day = FIRST_DAY + timedelta(days=number)
            folder = zone / "exchange=binance" / "symbol=BTCUSDT" / f"date={day}"
            folder.mkdir(parents=True)
            connection.execute(f"""
                copy (
                    select
                        * exclude (transact_time) replace (
                            cast(price as decimal(18, 8)) as price, cast(quantity as decimal(38, 8)) as quantity
                        ),
                        make_timestamp(transact_time * 1000) as traded_at
                    from ({trades_of_day(number)})
                ) to '{folder}/rows.parquet' (format parquet, compression zstd)
            """)


def by_duckdb(zone: Path, threads: int) -> tuple[float, list[list[str]]]:
    """Seconds, the best of two, and the candles."""
    with duckdb.connect(config={"threads": threads, "memory_limit": f"{threads}GB"}) as connection:
        connection.execute(f"create view trades as from read_parquet('{zone}/**/*.parquet', hive_partitioning = true)")
        seconds = []
        for _ in range(2):
            before = time.perf_counter()
            rows = connection.execute(CANDLES.format(bucket=DUCKDB_BUCKET)).fetchall()
            seconds.append(time.perf_counter() - before)
    return min(seconds), [[str(value) for value in row] for row in rows]


def by_spark(zone: Path, executors: int) -> tuple[float, list[list[str]]]:
    """Seconds and the candles."""
    found = find_spec("pyspark")
    assert found is not None, "run it with .venv-spark (make engines)"
    home = Path(str(found.origin)).parent
    day = min(zone.rglob("*.parquet")).parent
    done = subprocess.run(
        [sys.executable, "-c", SPARK, str(executors), str(zone), str(day), CANDLES.format(bucket=SPARK_BUCKET)],
        cwd=zone.parent,
        env={**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds, rows = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), rows


def main() -> None:
    """Prints seconds and ratios."""
    folder = Path(sys.argv[1]).absolute() / "executors"
    millions = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    shutil.rmtree(folder, ignore_errors=True)
    zone = folder / "zone"
    write_zone(zone, millions * 1_000_000 // ROWS)
    found = {
        "one executor": by_spark(zone, 1),
        "two executors": by_spark(zone, 2),
        "DuckDB, one thread": by_duckdb(zone, 1),
        "DuckDB, two threads": by_duckdb(zone, 2),
    }
    first, *others = (rows for _, rows in found.values())
    print(f"{millions} M trades, {len(first):,} candles")
    for name, (seconds, _) in found.items():
        print(f"    {name:20} {seconds:6.1f} s  {millions / seconds:6.1f} M rows/s")
    print(f"two executors ÷ one, rows/s                 {found['one executor'][0] / found['two executors'][0]:.2f}")
    print(
        f"two executors ÷ DuckDB with two threads     {found['DuckDB, two threads'][0] / found['two executors'][0]:.2f}"
    )
    print(f"the same candles: {all(rows == first for rows in others)}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
