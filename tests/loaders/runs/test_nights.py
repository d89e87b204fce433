"""The build of a night leaves out what nothing changed below, and ends in the tables that a full build gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from loaders.progress import Reporter
from loaders.runs import dbt
from loaders.runs.dbt import Built
from loaders.runs.dbt_process import BuildEnded, BuildRequest
from loaders.selection import Selection
from tests.support import archive, commands
from tests.support.warehouse import MARTS, Warehouse

pytestmark = pytest.mark.usefixtures("forked_dbt")

DAYS = ("2024-03-02", "2024-03-03")


def first_day(data: Path) -> None:
    """Candles, snapshots and trades of a symbol, candles of another one."""
    archive.klines(data, "AAAUSDT", DAYS[0])
    archive.metrics(data, "AAAUSDT", DAYS[0])
    archive.agg_trades(data, "AAAUSDT", DAYS[0], first_id=1, keep=lambda time: time.hour < 2)
    archive.klines(data, "BBBUSDT", DAYS[0])


def snapshots_of_the_other(data: Path) -> None:
    """What two models wait for, of which one has seen the last change and the other has not."""
    archive.metrics(data, "BBBUSDT", DAYS[0])


def next_candles(data: Path) -> None:
    """A day without snapshots, and mark prices."""
    archive.klines(data, "AAAUSDT", DAYS[1])
    archive.klines(data, "AAAUSDT", DAYS[1], kind="markPriceKlines")


def recorded_liquidations(data: Path) -> None:
    """The first of their kind: what is about them is empty before."""
    archive.some_liquidations(data, "AAAUSDT", DAYS[0])


def published_again(data: Path) -> None:
    """A day that lacks an hour now."""
    archive.metrics(data, "AAAUSDT", DAYS[0], keep=lambda time: time.hour != 9)


def another_exchange(data: Path) -> None:
    """What has nothing to do with perpetuals."""
    day = archive.day_ms(DAYS[1]) // 1000
    archive.write(data / "kraken" / "XBTUSD_1440.csv", [f"{day},100.0,101.0,99.0,100.0,1.5,7"])


NIGHTS: tuple[Callable[[Path], None], ...] = (
    first_day,
    snapshots_of_the_other,
    next_candles,
    recorded_liquidations,
    published_again,
    another_exchange,
)


def build(warehouse: Warehouse) -> Built:
    """A build of `loaders run`, which must pass."""
    built = dbt.build(warehouse.project, warehouse.path)
    assert built.status == 0, (built.failures, built.printed)
    return built


def test_nights_of_some_datasets_give_the_marts_of_one_full_build(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.lend_environment(monkeypatch)
    costs = {}
    for night in NIGHTS:
        night(warehouse.data)
        warehouse.load()
        costs[night.__name__] = build(warehouse)
    status, _, said = commands.run(warehouse, "forget", "--dataset", "liquidations")
    assert status == 0, said
    costs["forgotten"] = build(warehouse)

    whole = costs["first_day"].nodes
    assert costs["first_day"].unchanged == 0
    assert {name: one.nodes + one.unchanged == whole for name, one in costs.items()} == dict.fromkeys(costs, True)
    assert {name for name, one in costs.items() if one.nodes < whole / 2} == {*costs} - {"first_day"}

    fresh = Warehouse(warehouse.folder / "fresh")
    left = Selection(datasets=frozenset({"klines", "metrics", "aggTrades", "ohlcvt"}))
    fresh.load(warehouse.data, selection=left)
    fresh.build_untested("--select", "fqn:*")
    assert warehouse.query(MARTS) == fresh.query(MARTS)
    found, expected = warehouse.marts(), fresh.marts()
    assert expected["liquidation_levels"]
    for name, rows in expected.items():
        assert found[name] == rows, name


class Asked:
    """In the place of dbt: keeps what it was asked for, and does nothing."""

    requests: ClassVar[list[BuildRequest]] = []

    def __init__(self, project: Path, path: Path) -> None:
        self.project_hash = dbt.project_hash(project)
        self.closed = False

    def build(self, request: BuildRequest, reporter: Reporter | None) -> tuple[int, str, BuildEnded]:
        assert not self.closed
        self.requests.append(request)
        return 0, "", BuildEnded()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[BuildRequest]:
    """What dbt was asked for, by a project whose hash is `one`."""
    monkeypatch.setattr(dbt, "DbtProcess", Asked)
    monkeypatch.setattr(dbt, "project_hash", lambda project: "one")
    monkeypatch.setattr(Asked, "requests", [])
    return Asked.requests


def test_a_build_that_was_not_whole_or_of_another_project_is_made_up_for(
    passed: Warehouse, asked: list[BuildRequest]
) -> None:
    good = (
        "update state.builds set project_hash = 'one', finished_at = started_at, nodes_failed = 0, nodes_left_out = 0"
    )
    ((worked_in,),) = passed.query("select max(change_id) from state.builds")
    archive.klines(passed.data, "CCCUSDT", "2024-03-02")
    passed.load()
    for trouble in (
        "project_hash = 'another'",
        "project_hash = null",
        "finished_at = null",
        "nodes_failed = 1",
        "nodes_left_out = 1",
        "change_id = null",
    ):
        passed.change(good, f"update state.builds set {trouble}")
        dbt.build(passed.project, passed.path)
        assert asked[-1].changed is None, trouble
        passed.change(f"update state.builds set change_id = {worked_in}")
    passed.change(good)
    dbt.build(passed.project, passed.path, full=True)
    assert (asked[-1].changed, asked[-1].test_everything) == (None, True)
    dbt.build(passed.project, passed.path)
    assert (asked[-1].changed, asked[-1].test_everything) == ({("binance", "klines")}, False)
    assert ("kraken", "ohlcvt") in asked[-1].landed


def test_a_file_that_was_refused_is_told_by_a_whole_build(passed: Warehouse, asked: list[BuildRequest]) -> None:
    passed.change("update state.builds set project_hash = 'one'")
    archive.klines(passed.data, "CCCUSDT", "2024-03-02").write_text("this is no candle\n" * 300)
    passed.load(expect=1)
    dbt.build(passed.project, passed.path)
    assert asked[-1].changed is None


def test_a_dbt_that_began_with_another_project_is_not_used(passed: Warehouse, asked: list[BuildRequest]) -> None:
    same, other = Asked(passed.project, passed.path), Asked(passed.project, passed.path)
    other.project_hash = "another"
    dbt.build(passed.project, passed.path, begun=other)  # type: ignore[arg-type]
    dbt.build(passed.project, passed.path, begun=same)  # type: ignore[arg-type]
    assert len(asked) == 2
    assert (other.closed, same.closed) == (True, True)


def test_a_full_build_tests_all_rows_and_a_night_those_that_were_built(
    passed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed.lend_environment(monkeypatch)

    def queries(request: BuildRequest) -> dict[str, str]:
        with closing(dbt.DbtProcess(passed.project, passed.path)) as process:
            status, printed, ended = process.build(request, None)
        assert status == 0, printed
        return {one["unique_id"].split(".")[2]: one["compiled_code"] for one in ended.results}

    key_of_candles = "klines_5m_has_one_row_per_key"
    assert "rows_to_test" not in queries(BuildRequest(test_everything=True))[key_of_candles]
    candles = frozenset({("binance", "klines")})
    night = queries(BuildRequest(candles, candles))
    assert "rows_to_test" in night[key_of_candles]
    assert "ledger_has_one_row_per_file_id" in night
    assert not {"unique_symbols_symbol", "stg_binance__klines", "int_ohlcvt_proofs"} & {*night}


def test_what_is_about_recordings_has_no_rows_without_them(passed: Warehouse) -> None:
    """`meta.empty_without`, of a warehouse that has everything else."""
    passed.dbt("parse")
    nodes = json.loads((passed.folder / "target" / "manifest.json").read_text())["nodes"]
    tables = [
        f"{node['schema']}.{node['alias']}"
        for node in nodes.values()
        if node["config"].get("meta", {}).get("empty_without") == ["liquidations"]
    ]
    assert {"marts.liquidation_backtest", "marts.liquidation_crossings", "intermediate.int_verdict_spans"} <= {*tables}
    assert {table: passed.query(f"select count(*) from {table}") for table in tables} == {one: [(0,)] for one in tables}
