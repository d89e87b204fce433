"""The same models give the same rows on Spark: an archive is landed and built on DuckDB, exported, and built on Spark.

Two warehouses export at once, each some of the symbols, into the zone that Spark reads: it must hold what one has.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders.delivery import export
from loaders.runs import sample
from tests.support import archive
from tests.support.warehouse import PROJECT, Warehouse

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(
        shutil.which("java") is None or importlib.util.find_spec("pyspark") is None,
        reason="Spark needs Java and the extra `spark`",
    ),
]

#: Real market records, where they are.
RECORDS = PROJECT.parent / "shared" / "data"

#: Amounts that come from a logarithm and its inverse, in which C and Java differ in a double's last bit, and how far
#: they may lie apart, as a share of the larger one.
FROM_LOGARITHMS = {
    "liquidation_levels": ("liquidated_volume_usd", "log_share_at_open"),
    "liquidation_map": ("volume_usd", "cumulative_volume_usd", "quantity"),
    "liquidation_heatmap": ("volume_usd",),
    "liquidation_backtest": ("lift_low", "lift_high"),
    "liquidation_backtest_external": ("lift_low", "lift_high"),
    "liquidation_crossings": ("ratio", "ratio_low", "ratio_high", "crossed_usd"),
}
NEARLY = 1e-12
#: Ratios are rounded to six digits after the point.
NEARLY_RATIO = 1e-6

#: A small job is planned and compiled for longer than it runs. With one level of compilers, Java keeps little room for
#: what they make; once that is full, all is interpreted, and a deep plan then overflows the stack.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m -XX:+UseSerialGC"
FOR_SMALL_DATA = {
    "spark.master": "local[2]",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}

WRITE_VIEW = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.enableHiveSupport().config(map=dict(
    (one.split("=", 1) for one in sys.argv[3:]))).getOrCreate()
for name in sys.argv[2].split(","):
    spark.table("marts." + name).write.parquet(f"{sys.argv[1]}/{name}")
"""


def write_files(data: Path) -> None:
    """The sample, and what it lacks: recorded liquidations, external levels, candles of Kraken with a gap."""
    sample.write_archive(data)
    for of in ("2026-06-27", "2026-06-28"):
        archive.some_liquidations(data, "AAAUSDT", of)
        archive.some_levels(data, "AAAUSDT", of)
        archive.klines(data, "AAAUSDT", of)
        archive.metrics(data, "AAAUSDT", of, keep=lambda time: time.hour != 7)
    hours = range(archive.day_ms("2026-06-27") // 1000, archive.day_ms("2026-06-28") // 1000, 3600)
    minutes = [f"{second},100.0,101.0,99.0,100.0,1.5,7" for second in hours if second % 86400 != 7200]
    archive.write(data / "kraken" / "XBTUSD_60.csv", minutes)
    archive.write(data / "kraken" / "XBTUSD_1440.csv", [f"{hours[0]},100.0,101.0,99.0,100.0,36.0,168"])


class Spark:
    """dbt and Spark on a zone; tables lie in a folder of their own."""

    def __init__(self, folder: Path, zone: Path) -> None:
        self.folder = folder
        configuration = folder / "conf"
        configuration.mkdir(parents=True)
        (configuration / "spark-defaults.conf").write_text(
            "".join(f"{name} {value}\n" for name, value in FOR_SMALL_DATA.items())
        )
        self.environment = {
            **os.environ,
            "LOADERS_ZONE": str(zone),
            "LOADERS_SPARK_WAREHOUSE": str(folder / "tables"),
            "LOADERS_SPARK_PARTITIONS": "1",
            "SPARK_CONF_DIR": str(configuration),
            "JAVA_TOOL_OPTIONS": QUICK_JAVA,
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        return done.stdout

    def dbt(self, command: str, *options: str) -> None:
        self.run("-m", "dbt.cli.main", command, "--target", "spark", "--quiet", *options)

    def build(self) -> dict[str, Any]:
        """Seeds and models; gives the project as dbt sees it for Spark."""
        self.dbt("build", "--resource-type", "seed", "--resource-type", "model")
        manifest: dict[str, Any] = json.loads((self.folder / "target" / "manifest.json").read_text())
        return manifest

    def files(self, mart: str) -> str:
        """Where a mart's files lie."""
        return f"{self.folder}/tables/marts.db/{mart}/*.parquet"

    def write_views(self, names: list[str]) -> None:
        """Gives views files, too, where those of tables lie."""
        tables = f"{self.folder}/tables"
        self.run(
            "-c",
            WRITE_VIEW,
            f"{tables}/marts.db",
            ",".join(names),
            f"spark.sql.warehouse.dir={tables}",
            f"spark.hadoop.javax.jdo.option.ConnectionURL=jdbc:derby:;databaseName={tables}/metastore",
            f"spark.driver.extraJavaOptions=-Xss8m -Dderby.stream.error.file={tables}/derby.log",
            "spark.sql.session.timeZone=UTC",
            "spark.sql.parquet.inferTimestampNTZ.enabled=false",
        )


Built = tuple[Warehouse, Spark, list[str]]


def export_by_two(warehouse: Warehouse, zone: Path) -> None:
    """Every other symbol is exported by another warehouse, at the same time."""
    other = warehouse.another(warehouse.folder / "other")
    # A recording is one file of many symbols; the ledger's changes name each.
    landed = "select distinct symbol from ops.ingestion_changes where symbol is not null order by symbol"
    symbols = [name for (name,) in warehouse.query(landed)]
    assert len(symbols) > 1
    with ThreadPoolExecutor(2) as both:
        runs = [
            both.submit(export.export, one.settings, one.path, str(zone), areas=("raw",), symbols=names)
            for one, names in ((warehouse, symbols[::2]), (other, symbols[1::2]))
        ]
        assert sum(run.result().symbols for run in runs) == len(symbols)


def build_both(warehouse: Warehouse, folder: Path) -> Built:
    """Both builds of what was landed, and the marts that Spark has."""
    warehouse.build("--resource-type", "seed", "--resource-type", "model")
    zone = warehouse.folder / "zone"
    export_by_two(warehouse, zone)
    spark = Spark(folder, zone)
    manifest = spark.build()
    marts = [node for node in manifest["nodes"].values() if node["resource_type"] == "model" and "marts" in node["fqn"]]
    spark.write_views([node["name"] for node in marts if node["config"]["materialized"] == "view"])
    return warehouse, spark, sorted(node["name"] for node in marts)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    warehouse = Warehouse(tmp_path_factory.mktemp("engines") / "warehouse")
    write_files(warehouse.data)
    warehouse.load()
    return build_both(warehouse, tmp_path_factory.mktemp("spark"))


def test_every_mart_has_the_same_rows_on_both_engines(built: Built) -> None:
    warehouse, spark, marts = built
    assert differing_marts(warehouse, spark, marts) == {}
    assert [mart for mart in marts if is_empty(warehouse, mart)] == []


def test_the_same_tests_pass_on_spark(built: Built) -> None:
    _, spark, _ = built
    spark.dbt("test", "--exclude-resource-type", "unit_test")


def test_what_spark_does_not_build_is_the_gate_and_the_model_in_python(built: Built) -> None:
    warehouse, _, marts = built
    assert set(warehouse.marts()) - set(marts) == {"quality_checks", "symbol_status", "liquidation_added_r2"}


@pytest.mark.skipif(not RECORDS.is_dir(), reason="no market records at ../shared/data")
def test_every_mart_of_real_records_has_the_same_rows_on_both_engines(tmp_path: Path) -> None:
    landed = Warehouse(tmp_path / "warehouse")
    landed.load(RECORDS)
    warehouse, spark, marts = build_both(landed, tmp_path / "spark")
    assert differing_marts(warehouse, spark, marts) == {}
    with_rows = {mart for mart in marts if not is_empty(warehouse, mart)}
    assert with_rows > {
        "candles_with_side",
        "data_gaps",
        "liquidation_heatmap",
        "liquidation_levels",
        "liquidation_map",
    }


def is_empty(warehouse: Warehouse, mart: str) -> bool:
    return not warehouse.query(f"select 1 from marts.{mart} limit 1")


def differing_marts(warehouse: Warehouse, spark: Spark, marts: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Some rows by which marts differ between the engines."""
    found = {mart: differences(warehouse, spark, mart) for mart in marts}
    return {mart: rows for mart, rows in found.items() if rows}


def differences(warehouse: Warehouse, spark: Spark, mart: str) -> list[tuple[Any, ...]]:
    """Rows of either engine that the other one lacks, but for the last digits of what comes from logarithms."""
    nearly = FROM_LOGARITHMS.get(mart, ())
    with duckdb.connect(str(warehouse.path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        types = connection.execute(f"select column_name, column_type from (describe marts.{mart})").fetchall()
        typed = ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in types)
        exact = ", ".join(f'"{name}"' for name, _ in types if name not in nearly)
        sides = (f"select {typed} from marts.{mart}", f"select {typed} from read_parquet('{spark.files(mart)}')")
        found = [
            row
            for one, other in (sides, sides[::-1])
            for row in connection.execute(
                f"(select {exact} from ({one})) except all (select {exact} from ({other})) order by all limit 3"
            ).fetchall()
        ]
        if found or not nearly:
            return found
        allowed = NEARLY_RATIO if {"ratio", "lift_low"} & set(nearly) else NEARLY
        apart = " or ".join(_apart(name, kind, allowed) for name, kind in types if name in nearly)
        return connection.execute(
            f"""
            with duckdb as (select *, row_number() over (order by {exact}) as row from ({sides[0]})),
            spark as (select *, row_number() over (order by {exact}) as row from ({sides[1]}))
            select * from duckdb as one join spark as other using (row) where {apart} order by row limit 3
            """
        ).fetchall()


def _apart(column: str, kind: str, allowed: float) -> str:
    """Whether two decimals differ by more than is allowed, and by more than two units in the last decimal place.

    As doubles: a little more than two units, for what they cannot hold.
    """
    digits = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", kind)
    assert digits is not None, (column, kind)
    one, other = (f'cast({side}."{column}" as double)' for side in ("one", "other"))
    tolerated = f"greatest({allowed} * greatest(abs({one}), abs({other})), 2.01e-{digits[1]})"
    return f"({one} is null) <> ({other} is null) or abs({one} - {other}) > {tolerated}"
