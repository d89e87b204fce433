"""Promise 3: any order, any split, the same tables.

Each test lands a history in pieces, builds after them, and compares with one full build of a new warehouse.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.support import archive, commands
from tests.support.warehouse import MARTS, PROJECT, Warehouse

#: Writes files into a data folder.
Step = Callable[[Path], None]


#: All models, those too that judge the map against recordings.
EVERYTHING = ("--select", "fqn:*")


def assert_like_one_full_build(warehouse: Warehouse, *options: str) -> None:
    """The marts are what a new warehouse has that saw only the files as they are now."""
    fresh = Warehouse(warehouse.folder / "fresh")
    fresh.load(warehouse.data)
    fresh.build_untested(*options)
    assert_equal_marts(warehouse, fresh)


def assert_equal_marts(warehouse: Warehouse, fresh: Warehouse) -> None:
    """Both have the same marts with the same rows."""
    assert warehouse.query(MARTS) == fresh.query(MARTS)
    assert_same_marts(warehouse, fresh)


def assert_same_marts(warehouse: Warehouse, fresh: Warehouse) -> None:
    """The marts of a warehouse have the rows that they have in another one, which may have more marts."""
    found, expected = warehouse.marts(), fresh.marts()
    assert expected["klines_5m"], "the comparison must not be one of empty tables"
    for name, rows in found.items():
        assert rows == expected[name], name


def first_days(data: Path) -> None:
    """Two days of one symbol, from five-minute files."""
    for of in ("2024-03-02", "2024-03-03"):
        archive.klines(data, "AAAUSDT", of)
        archive.metrics(data, "AAAUSDT", of)


def late_days(data: Path) -> None:
    """The day before, which arrives last: candles from one-minute files, snapshots with a gap."""
    archive.klines(data, "AAAUSDT", "2024-03-01", interval=1)
    archive.metrics(data, "AAAUSDT", "2024-03-01", keep=lambda time: not 600 <= time.hour * 60 + time.minute < 630)


def second_symbol_years_later(data: Path) -> None:
    """A symbol that appears long after the first."""
    archive.klines(data, "BBBUSDT", "2027-01-01")
    archive.metrics(data, "BBBUSDT", "2027-01-01")


def old_symbol_after_a_young_one(data: Path) -> None:
    """A symbol whose history lies long before what was built."""
    archive.klines(data, "CCCUSDT", "2020-01-31")
    archive.metrics(data, "CCCUSDT", "2020-01-31")


def shrunken_file(data: Path) -> None:
    """A day published again without an hour, and with other prices."""
    archive.klines(data, "AAAUSDT", "2024-03-02", keep=lambda time: time.hour != 7)
    archive.metrics(data, "AAAUSDT", "2024-03-02", keep=lambda time: time.hour != 9)


def overlapping_month(data: Path) -> None:
    """A month over the daily files, which disagrees with them and lacks some of their rows."""
    archive.klines(
        data,
        "AAAUSDT",
        "2024-03",
        keep=lambda time: time.day < 6 and time.hour != 5,
        shift=Decimal("1.00"),
    )


def trades_of_a_day(data: Path) -> None:
    """Trades of a day without candles; one is missing at noon."""
    noon = archive.day("2024-03-04") + timedelta(hours=12)
    archive.agg_trades(data, "AAAUSDT", "2024-03-04", first_id=100_000, keep=lambda time: time != noon)


def trades_of_the_day_before(data: Path) -> None:
    """Trades that join the ones above without a gap."""
    archive.agg_trades(data, "AAAUSDT", "2024-03-03", first_id=100_000 - 8640)


@pytest.fixture(scope="module")
def first_once(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The first days, built. Do not change it: take `first`."""
    warehouse = Warehouse(tmp_path_factory.mktemp("first"))
    first_days(warehouse.data)
    warehouse.load()
    warehouse.build_untested(*EVERYTHING)
    return warehouse


@pytest.fixture
def first(first_once: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy of it."""
    return first_once.copy(tmp_path)


@pytest.fixture(scope="module")
def with_late_days(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """One full build of the first days and the late ones."""
    warehouse = Warehouse(tmp_path_factory.mktemp("late"))
    first_days(warehouse.data)
    late_days(warehouse.data)
    warehouse.load()
    warehouse.build_untested(*EVERYTHING)
    return warehouse


def test_any_order_and_split_gives_the_same_marts(warehouse: Warehouse) -> None:
    """Tables that were built empty; a month before its days; a young symbol before an old one; days that come late; a
    file published again with fewer rows."""
    batches: list[list[Step]] = [
        [],
        [trades_of_a_day],
        [overlapping_month, second_symbol_years_later],
        [first_days, trades_of_the_day_before, old_symbol_after_a_young_one],
        [late_days, shrunken_file],
    ]
    for batch in batches:
        for step in batch:
            step(warehouse.data)
        warehouse.load()
        warehouse.build_untested()
    # Candles came before any snapshot: a symbol without levels is no reason to build it from the beginning.
    assert warehouse.query("select model, symbol from state.rebuilds where year(rebuild_from) = 1970") == []
    assert_like_one_full_build(warehouse)


@pytest.mark.parametrize("rows_at_once", [1, 12_900])
def test_symbols_built_some_at_a_time_make_the_same_marts(warehouse: Warehouse, rows_at_once: int) -> None:
    """Each symbol is a part of its own: on a first build, on one over part of the history, and on a full one; or two of
    three share a part, on the full one alone."""
    in_parts = (*EVERYTHING, "--vars", f"{{rebuild_rows_at_once: {rows_at_once}}}")
    batches: list[list[Step]] = [
        [first_days, second_symbol_years_later, trades_of_a_day],
        [late_days, shrunken_file, old_symbol_after_a_young_one],
    ]
    for batch in batches:
        for step in batch:
            step(warehouse.data)
        warehouse.load()
        warehouse.build_untested(*in_parts)
    planned = "select symbol, rebuild_from from state.rebuild_plan where model = 'liquidation_levels' order by all"
    assert [symbol for symbol, _ in warehouse.query(planned)] == ["AAAUSDT", "CCCUSDT"]
    assert_like_one_full_build(warehouse, *EVERYTHING)
    before = warehouse.marts()
    warehouse.build("--resource-type", "model", *in_parts, "--full-refresh")
    (ran,) = (warehouse.folder / "target/run").rglob("klines_5m.sql")
    assert "rebuild_parts" in ran.read_text(), "it was not built in parts"
    # A symbol counts as a thousand rows more than it has.
    weighed = warehouse.query(
        "select sum(rows_loaded) + 1000 from ops.ingestion_files"
        " where status = 'loaded' and dataset <> 'metrics' group by symbol order by symbol"
    )
    first, second, _ = (rows for (rows,) in weighed)
    assert rows_at_once == 1 or max(first, second * 10) <= rows_at_once <= first + second, "two are a part, one another"
    assert warehouse.marts() == before


def test_a_second_build_works_on_nothing_and_a_nightly_one_tests_what_it_made(passed: Warehouse) -> None:
    """A doubled row of an old day is for `dbt test`, and for any build that follows anything but a whole good one."""
    warehouse, tested = passed, "open_interest_5m"
    before = warehouse.marts()
    warehouse.build()
    assert warehouse.marts() == before
    assert warehouse.query("select * from state.rebuild_plan") == []
    archive.metrics(warehouse.data, "AAAUSDT", "2024-03-05")
    warehouse.load()
    warehouse.change(
        "insert into marts.open_interest_5m from marts.open_interest_5m"
        " where symbol = 'AAAUSDT' and snapshot_at = '2024-03-02 10:00'"
    )
    warehouse.build("--select", f"+{tested}")
    # That build left most of the project out, so what it did not test is in no plan: all rows are tested.
    printed = warehouse.build("--select", f"+{tested}", expect=1)
    assert "open_interest_5m_has_one_row_per_key" in printed
    assert "Got 1 result" in warehouse.dbt("test", "--select", tested, expect=1)
    warehouse.build("--select", f"+{tested}", "--full-refresh")
    warehouse.dbt("test", "--select", tested)


def test_only_the_touched_suffix_is_planned(warehouse: Warehouse) -> None:
    first_days(warehouse.data)
    second_symbol_years_later(warehouse.data)
    warehouse.load()
    warehouse.build_untested("--select", "+klines_5m")
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-03", keep=lambda time: time.hour != 7)
    warehouse.load()
    warehouse.build_untested("--select", "+klines_5m")
    planned = warehouse.query("select symbol, rebuild_from from state.rebuild_plan where model = 'klines_5m'")
    assert planned == [("AAAUSDT", (archive.day("2024-03-03") - timedelta(minutes=5)).replace(tzinfo=None))]


def test_a_model_alone_does_not_run_ahead_of_the_models_below_it(first: Warehouse, with_late_days: Warehouse) -> None:
    late_days(first.data)
    first.load()
    first.build_untested("--select", "candles_with_side")
    first.build_untested(*EVERYTHING)
    assert_equal_marts(first, with_late_days)


def test_a_symbol_that_was_forgotten_leaves_every_mart(warehouse: Warehouse) -> None:
    first_days(warehouse.data)
    second_symbol_years_later(warehouse.data)
    warehouse.load()
    warehouse.build_untested()
    assert commands.run(warehouse, "forget", "--symbol", "BBBUSDT")[0] == 0
    for path in warehouse.data.rglob("BBBUSDT*.csv"):
        path.unlink()
    warehouse.build_untested()
    assert_like_one_full_build(warehouse)


def test_a_changed_var_or_seed_rebuilds_what_stands_on_it(first: Warehouse) -> None:
    """A seed counts as it stands in its table: a new file that nobody seeded must not be written down as worked in."""
    of_close = first.marts()

    first.build_untested(*EVERYTHING, "--vars", "{liquidation_entry_price: vwap}")
    of_vwap = first.marts()
    assert of_vwap["liquidation_levels"] != of_close["liquidation_levels"]
    assert of_vwap["candles_with_side"] == of_close["candles_with_side"]
    first.build_untested(*EVERYTHING)
    assert first.marts() == of_close

    first.project = copied_project(first.folder / "project")
    seed = first.project / "seeds" / "leverage_weights.csv"
    text = seed.read_text()
    assert "0.15" in text
    assert "0.30" in text
    seed.write_text(text.replace("0.15", "0.20").replace("0.30", "0.25"))
    fingerprints = "select model, fingerprint from state.incremental_models order by model"
    before = first.query(fingerprints)
    first.dbt("run", *EVERYTHING)
    assert (first.marts(), first.query(fingerprints)) == (of_close, before)
    first.build_untested(*EVERYTHING)
    of_seed = first.marts()
    assert of_seed["liquidation_levels"] != of_close["liquidation_levels"]
    first.build_untested(*EVERYTHING, "--full-refresh")
    assert first.marts() == of_seed


def copied_project(target: Path) -> Path:
    """A copy of the dbt project, to be changed."""
    for folder in ("models", "macros", "seeds", "analyses", "tests/dbt"):
        shutil.copytree(PROJECT / folder, target / folder)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, target)
    return target


#: Model → what makes its table one of before: a column that carried-in rows are read from is missing or had another
#: name, a column had another type, a column has gone.
OLDER = {
    "int_liquidation_timeline": "alter table intermediate.int_liquidation_timeline drop column last_open_interest",
    "liquidation_levels": "alter table marts.liquidation_levels rename column log_share_at_open to log_share",
    "klines_5m": "alter table marts.klines_5m alter column volume type decimal(38, 4)",
    "open_interest_5m": "alter table marts.open_interest_5m add column old integer",
}


def test_a_table_whose_columns_are_not_those_described_is_built_anew(
    first: Warehouse, with_late_days: Warehouse
) -> None:
    """As a project meets it that was updated: the table is of before, its rows may not be carried in."""
    with duckdb.connect(str(first.path)) as connection:
        for change in OLDER.values():
            connection.execute(change)
    late_days(first.data)
    first.load()
    first.build_untested(*EVERYTHING)
    for model in OLDER:
        planned = f"select distinct rebuild_from from state.rebuild_plan where model = '{model}'"
        assert first.query(planned) == [(archive.day("1970-01-01").replace(tzinfo=None),)], model
    assert_equal_marts(first, with_late_days)
    first.build_untested(*EVERYTHING)
    assert first.query("select * from state.rebuild_plan") == []
