"""No query gathers a raw table before it does anything else.

A correlated subquery becomes a delim join, which takes in every row below it first. Below it may stand what is small,
such as the ledger, but never a table of trades or candles: memory would grow with the history.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from loaders.validation.suites import suites
from tests.support import archive
from tests.support.warehouse import PROJECT, Warehouse

Plan = dict[str, Any]


def with_overlaps(warehouse: Warehouse) -> Warehouse:
    """Days, and a month over them that disagrees and lacks rows, for every dataset that has both lengths."""
    for of in ("2024-03-01", "2024-03-02"):
        archive.klines(warehouse.data, "AAAUSDT", of)
        archive.metrics(warehouse.data, "AAAUSDT", of)
        archive.some_liquidations(warehouse.data, "AAAUSDT", of)
        archive.some_levels(warehouse.data, "AAAUSDT", of)
    archive.klines(warehouse.data, "AAAUSDT", "2024-03", keep=lambda time: time.day < 3 and time.hour != 5)
    first_of_march = archive.day("2024-03-01")
    for of in ("2024-03-01", "2024-03-02"):
        first_id = int((archive.day(of) - first_of_march).total_seconds()) // 10 + 1
        archive.agg_trades(warehouse.data, "AAAUSDT", of, first_id, keep=lambda time: time.hour not in (3, 4))
    archive.agg_trades(
        warehouse.data, "AAAUSDT", "2024-03", 1, keep=lambda time: time.day < 3 and time.hour not in (4, 5)
    )
    hours = range(archive.milliseconds(first_of_march) // 1000, archive.milliseconds(archive.day("2024-03-03")) // 1000)
    for folder in ("full", "quarter"):
        lines = [f"{second},100.0,101.0,99.0,100.0,1.5,7" for second in hours[::3600]]
        archive.write(warehouse.data / folder / "XBTUSD_60.csv", lines if folder == "full" else lines[24:])
    return warehouse


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A built warehouse whose files overlap."""
    warehouse = with_overlaps(Warehouse(tmp_path_factory.mktemp("plans")))
    warehouse.load()
    warehouse.build_untested("--select", "fqn:*")
    return warehouse


def queries(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """Every query over the warehouse, by name: models as an incremental build runs them, tests, views, expectations."""
    warehouse.dbt("compile")
    nodes = json.loads((warehouse.folder / "target" / "manifest.json").read_text())["nodes"]
    for result in json.loads((warehouse.folder / "target" / "run_results.json").read_text())["results"]:
        # A model in Python has no query of its own.
        in_sql = nodes.get(result["unique_id"], {}).get("language", "sql") == "sql"
        if in_sql and result["compiled_code"] and result["unique_id"].split(".")[0] in ("model", "test", "analysis"):
            yield result["unique_id"], result["compiled_code"]
    for (name,) in warehouse.query(
        "select schema_name || '.' || view_name from duckdb_views() where not internal and database_name = 'warehouse'"
    ):
        yield name, f"select * from {name}"
    for suite in suites(PROJECT):
        for one in suite.expectations:
            sql = one.sql.replace("{batch}", suite.table.full_name)
            yield f"{suite.table.full_name} {one.name}", f"select count(*) from ({sql}) as unexpected"


def raw_tables_below_delim_joins(plan: Plan, *, below: bool = False) -> Iterator[str]:
    """Raw tables that a delim join gathers."""
    below = below or "DELIM_JOIN" in plan["name"]
    table = str(plan.get("extra_info", {}).get("Table", ""))
    if below and ".raw." in f".{table}":
        yield table
    for child in plan["children"]:
        yield from raw_tables_below_delim_joins(child, below=below)


def plan_of(connection: duckdb.DuckDBPyConnection, sql: str) -> Plan:
    """The physical plan."""
    (row,) = connection.execute(f"explain (format json) {sql}").fetchall()
    (plan,) = json.loads(row[1])
    assert isinstance(plan, dict)
    return plan


def test_no_query_has_a_delim_join_above_a_raw_table(overlapping: Warehouse) -> None:
    found = {}
    asked = list(queries(overlapping))
    with duckdb.connect(str(overlapping.path), read_only=True) as connection:
        for name, sql in asked:
            plan = plan_of(connection, sql)
            if tables := set(raw_tables_below_delim_joins(plan)):
                found[name] = tables
    assert len(asked) > 150
    assert found == {}


def test_the_search_for_delim_joins_finds_one(overlapping: Warehouse) -> None:
    """What a row of trades was asked one by one before; else the test above would pass on plans it cannot read."""
    with duckdb.connect(str(overlapping.path), read_only=True) as connection:
        plan = plan_of(
            connection,
            """
            select * from raw.binance_agg_trades as landed
            where not exists (
                select 1 from staging.base_ops__superseded_ids as ids
                where ids.file_id = landed.file_id and landed.agg_trade_id between ids.first_id and ids.last_id
            )
            """,
        )
    assert set(raw_tables_below_delim_joins(plan))
