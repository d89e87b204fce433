"""The build of a night leaves out what nothing changed below, and ends in the tables that a full build gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loaders.runs import dbt
from loaders.runs.dbt import Built
from loaders.runs.dbt_process import BuildRequest
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


def test_a_build_that_was_not_whole_or_of_another_project_is_made_up_for(
    passed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed.lend_environment(monkeypatch)
    monkeypatch.setattr(dbt, "_build", lambda project, path, reporter, told, request: request)

    def asked(*statements: str) -> object:
        passed.change("update state.builds set project_hash = 'one', nodes_failed = 0, nodes_left_out = 0", *statements)
        return dbt.build(passed.project, passed.path)

    monkeypatch.setattr(dbt, "project_hash", lambda project: "one")
    nothing_changed = asked()
    archive.klines(passed.data, "CCCUSDT", "2024-03-02")
    passed.load()
    candles = {("binance", "klines")}
    changed = asked()
    assert isinstance(changed, BuildRequest)
    assert (changed.changed, ("binance", "metrics") in changed.landed) == (candles, True)
    everything = BuildRequest()
    assert nothing_changed == everything
    for trouble in ("nodes_failed = 1", "nodes_left_out = 1", "finished_at = null", "project_hash = 'another'"):
        assert asked(f"update state.builds set {trouble}") == everything, trouble
        passed.change("update state.builds set finished_at = started_at")
    full: object = dbt.build(passed.project, passed.path, full=True)
    assert full == BuildRequest(test_everything=True)


def test_what_is_about_recordings_has_no_rows_without_them(passed: Warehouse) -> None:
    """`meta.empty_without`, of a warehouse that has everything else."""
    listed = passed.dbt(
        "ls",
        *("--select", "config.meta.empty_without:liquidations", "--resource-type", "model"),
        *("--output", "json", "--output-keys", "schema", "alias"),
    )
    models = [json.loads(line) for line in listed.splitlines()]
    assert {"liquidation_backtest", "liquidation_crossings"} <= {model["alias"] for model in models}
    for model in models:
        assert passed.query(f"select count(*) from {model['schema']}.{model['alias']}") == [(0,)], model
