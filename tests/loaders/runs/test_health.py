"""`status` answers whether the warehouse is healthy, and names what somebody must look at."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders import warehouse as warehouses
from loaders.delivery import publish
from loaders.runs import health, last_run
from loaders.runs.health import Health
from loaders.warehouse import ledger
from tests.support import archive
from tests.support.commands import run
from tests.support.warehouse import PROJECT, Warehouse


def examined(house: Warehouse, max_age: timedelta | None = None) -> Health:
    with warehouses.reader(house.path) as connection:
        return health.examine(house.settings, house.path, connection, max_age)


def about(house: Warehouse, max_age: timedelta | None = None) -> list[str]:
    """What the problems are about."""
    return [name for name, _ in examined(house, max_age).problems]


def test_healthy_is_what_passed_and_is_published(passed: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert about(passed) == ["published"]
    publish.publish(passed.settings, passed.path, passed.folder / "marts.duckdb")
    found = examined(passed)
    assert found.healthy
    shown = health.text(found)
    assert shown.splitlines()[0] == "healthy: yes"
    assert max(len(line) for line in shown.splitlines() if "/" not in line) <= 80
    assert found.publication is not None
    assert found.build is not None
    assert found.validation is not None
    assert found.publication["data_until"] == archive.utc(2024, 3, 3)
    assert (found.build["failed"], found.validation["failed"]) == (0, 0)
    assert found.warehouse["bytes"] == passed.path.stat().st_size
    assert found.disk["free_bytes"] > 0
    # Old data are no fault, unless somebody says that they are.
    assert about(passed, timedelta(days=2)) == ["age"]


def test_what_went_wrong_is_in_the_first_lines(passed: Warehouse) -> None:
    target = passed.folder / "marts.duckdb"
    publish.publish(passed.settings, passed.path, target)
    # A run that failed after that.
    last_run.record_run(
        passed.path,
        {"finished_at": ledger.now(), "exit_status": 1, "steps": {"load": "ok", "build": "failed"}},
    )
    found = examined(passed)
    assert [name for name, _ in found.problems] == ["last run"]
    assert "build failed" in found.problems[0][1]
    assert health.text(found).splitlines()[0] == "healthy: no, 1 thing to look at"
    # Whoever publishes by hand has dealt with it.
    publish.publish(passed.settings, passed.path, target, full=True)
    assert about(passed) == []
    passed.change("update ops.validation_results set status = 'fail' where expectation = 'key_is_unique'")
    assert about(passed) == ["validation"]
    passed.change("update state.builds set nodes_failed = 1")
    assert about(passed) == ["build"]
    passed.change(
        "insert into ops.ingestion_files (file_id, path, status, error_message) values (999, '/x', 'failed', 'empty')",
        "update ops.ingestion_jobs set status = 'interrupted'",
        "update marts.symbol_status set is_published = false, reasons = 'jumps' where symbol = 'AAAUSDT'",
    )
    assert about(passed) == ["load", "files", "build", "withheld"]


def test_status_of_a_warehouse_that_was_only_loaded(house: Warehouse) -> None:
    archive.klines(house.data, "AAAUSDT", "2024-03-02")
    house.load()
    status, out, _ = run(house, "status")
    assert (status, out.splitlines()[0]) == (0, "healthy: no, 1 thing to look at")
    assert "run `dbt build`" in out
    status, out, _ = run(house, "--json", "status")
    answer = json.loads(out)
    assert (answer["healthy"], answer["publication"], answer["last_run"]) == (False, None, None)
    status, out, _ = run(house, "status", "--symbol", "AAA")
    assert (status, "did you mean AAAUSDT?" in out) == (1, True)


MARTS = """
create schema marts;
create table marts.data_completeness as
select
    if(symbol = 'XBTUSD', 'kraken', 'binance') as exchange, if(symbol = 'XBTUSD', 'ohlcvt', 'klines') as dataset,
    if(symbol = 'XBTUSD', 'spot', 'um') as market, symbol, if(symbol = 'HOURSUSDT', '1h', '5m') as "interval",
    1::bigint as present
from (values
    ('FINEUSDT'), ('HELDUSDT'), ('HOURSUSDT'), ('NOOIUSDT'), ('NEWUSDT'), ('APARTUSDT'), ('FALLUSDT'), ('LOWUSDT'),
    ('GONEUSDT'), ('XBTUSD'), ('BTCUSDT_240329')
) as symbols (symbol);
create table marts.liquidation_map as select 'FINEUSDT' as symbol;
create table marts.liquidation_levels as select unnest(['FINEUSDT', 'GONEUSDT']) as symbol;
create table marts.symbol_status as select 'binance' as exchange, 'HELDUSDT' as symbol, false as is_published;
create table marts.candles_with_side as
select symbol, time as open_time, delta as oi_delta, side as inferred_side
from (values
    ('FINEUSDT', timestamp '2024-03-02', 1, 'long'), ('HELDUSDT', timestamp '2024-03-02', 1, 'long'),
    ('NOOIUSDT', timestamp '2024-03-02', null, null), ('NEWUSDT', timestamp '2024-03-02', null, null),
    ('APARTUSDT', timestamp '2024-03-02', null, null), ('FALLUSDT', timestamp '2024-03-02', -1, null),
    ('LOWUSDT', timestamp '2024-03-02', 1, 'long'), ('GONEUSDT', timestamp '2024-03-02', 1, 'short')
) as candles (symbol, time, delta, side);
create table marts.open_interest_5m as
select symbol, unnest([timestamp '2023-01-01', timestamp '2023-01-02']) as snapshot_at, 1 as open_interest
from (values ('FINEUSDT'), ('APARTUSDT'), ('FALLUSDT'), ('LOWUSDT'), ('GONEUSDT')) as symbols (symbol)
union all
select 'NEWUSDT', timestamp '2024-03-02', 1;
"""


def test_symbols_without_levels_are_explained() -> None:
    """The analysis that `status` shows, on one symbol for each reason."""
    with duckdb.connect() as connection:
        connection.execute(MARTS)
        query = (PROJECT / "analyses" / "symbols_without_levels.sql").read_text()
        reasons: dict[str, Any] = {row[2]: row[3] for row in connection.execute(query).fetchall()}
    assert {symbol: reason.partition(":")[0] for symbol, reason in reasons.items()} == {
        "HELDUSDT": "withheld",
        "HOURSUSDT": "no five-minute candles",
        "NOOIUSDT": "no open interest",
        "NEWUSDT": "younger than two snapshots of open interest",
        "APARTUSDT": "candles and open interest do not meet",
        "FALLUSDT": "open interest never rose during a candle that moved",
        "LOWUSDT": "no bracket allows a leverage of seeds/leverage_weights.csv, or the price is too low for a level",
        "GONEUSDT": "no level stands",
        "XBTUSD": "levels are made for USD-M perpetuals only",
        "BTCUSDT_240329": "levels are made for USD-M perpetuals only",
    }
    assert "(there are 1h)" in reasons["HOURSUSDT"]
    assert reasons["APARTUSDT"].endswith("candles 2024-03-02 to 2024-03-02, open interest 2023-01-01 to 2023-01-02")


def test_a_file_of_another_run_that_cannot_be_read_is_no_run(passed: Warehouse, tmp_path: Path) -> None:
    last_run.last_run_path(passed.path).write_text("{")
    assert examined(passed).last_run is None
