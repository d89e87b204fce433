"""A bad table fails, and a question that could not be asked is no pass."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from loaders import warehouse
from loaders.delivery import publish
from loaders.errors import FolderNotOurs, NotBuilt, WarehouseBusy, WarehouseMissing, WarehouseRenamed
from loaders.validation import runner
from loaders.validation.runner import Validation
from loaders.validation.suites import Expectation, Suite, suites
from loaders.warehouse.keyed import Keyed
from tests.support import commands
from tests.support.warehouse import PROJECT, Warehouse

# Columns of a backtest.
IMPOSSIBLE_RATES = (
    "'AAAUSDT' as symbol, 'long' as side, 60 as horizon, 0.001 as tolerance, 2 as events, 1.5 as hit_rate, "
    "0.1 as coverage_share, 0.5 as null_hit_rate, 3 as lift"
)


def suite_of(table: str) -> Suite:
    return next(suite for suite in suites(PROJECT) if suite.table.full_name == table)


def validated(warehouse: Warehouse, *asked: Suite) -> Validation:
    return runner.validate(warehouse.settings, warehouse.path, asked=asked or None)


def failures(validation: Validation) -> dict[str, str]:
    return {f"{result.table} {result.expectation}": result.status for result in validation.failures}


def told(validation: Validation) -> str:
    """What did not pass, and why, whole."""
    return "\n".join(f"{one.table} {one.expectation} {one.status}: {one.detail}" for one in validation.failures)


def test_a_good_warehouse_passes_and_the_results_are_kept(passed: Warehouse) -> None:
    validation = validated(passed)
    assert validation.passed
    assert failures(validation) == {}
    kept = passed.query(
        f"""
        select table_name, expectation, status, unexpected_rows, detail, build_id = (select build_id from state.builds),
            change_id = (select max(change_id) from ops.ingestion_changes)
        from ops.validation_results
        where job_id = '{validation.job_id}'
        order by all
        """
    )
    asked = [(suite.table.full_name, one.name) for suite in suites(PROJECT) for one in suite.expectations]
    assert kept == [(table, name, "pass", 0, None, True, True) for table, name in sorted(asked)]
    assert validation.data_docs is not None
    first_page = validation.data_docs.read_text()
    links = re.findall('href="([^"]+)"', first_page)
    assert len(links) == len(suites(PROJECT))
    assert all((validation.data_docs.parent / link).is_file() for link in links)
    for page in validation.data_docs.parent.rglob("*.html"):
        assert not re.search(r"(?:src=|<link[^>]+href=|url\()[\"']?https?:", page.read_text()), (
            f"{page} needs a network"
        )
    with warehouse.writer(passed.settings, passed.path):
        pass  # nothing of Great Expectations has the file open any more


@pytest.mark.parametrize(
    "job_id",
    [
        # In zones of more than a day, as dateutil reads them.
        "20261128T203938Z-7357ad",
        "20261128T091835Z-91a10a",
    ],
)
def test_a_job_may_be_named_like_any_time(passed: Warehouse, job_id: str) -> None:
    validation = runner.validate(
        passed.settings, passed.path, asked=[suite_of("marts.data_gaps")], full=True, job_id=job_id
    )
    assert validation.passed, told(validation)


def test_every_landed_table_and_every_mart_has_a_suite(passed: Warehouse) -> None:
    tables = passed.query(
        "select table_schema || '.' || table_name from information_schema.tables where table_schema in ('raw', 'marts')"
    )
    assert {suite.table.full_name for suite in suites(PROJECT)} == {name for (name,) in tables}
    for suite in suites(PROJECT):
        names = [one.name for one in suite.expectations]
        assert {"key_is_unique", "key_is_complete"} <= set(names)
        assert len(names) == len(set(names))


BAD_TABLES: list[tuple[str, str, set[str], str]] = [
    (
        "raw.binance_klines",
        "insert into raw.binance_klines from raw.binance_klines limit 1",
        {"key_is_unique", "files_are_what_the_ledger_says"},
        "a row of a file stands twice",
    ),
    (
        "raw.binance_klines",
        "update raw.binance_klines set high = low - 1 where open_time = '2024-03-02 10:00:00'",
        {"rows_are_within_limits"},
        "high is below low",
    ),
    (
        "raw.binance_klines",
        "update raw.binance_klines set open_time = open_time + interval 1 minute where open_time::time = '10:00'",
        {"rows_are_within_limits"},
        "a candle opens beside the grid",
    ),
    (
        "raw.binance_agg_trades",
        "delete from raw.binance_agg_trades where agg_trade_id = 100",
        {"files_are_what_the_ledger_says"},
        "a landed row went away",
    ),
    (
        "raw.binance_metrics",
        "update raw.binance_metrics set symbol = 'CCCUSDT' where symbol = 'AAAUSDT'",
        {"files_are_what_the_ledger_says"},
        "rows of another symbol than the file's",
    ),
    (
        "raw.binance_metrics",
        "update raw.binance_metrics set create_time = null where create_time::time = '10:00'",
        {"key_is_complete"},
        "a key is not complete",
    ),
    (
        "marts.klines_5m",
        "insert into marts.klines_5m from marts.klines_5m limit 1",
        {"key_is_unique", "rows_are_those_that_were_built"},
        "a candle stands twice",
    ),
    (
        "marts.klines_5m",
        "delete from marts.klines_5m where symbol = 'AAAUSDT' and open_time = '2024-03-02 10:00:00'",
        {"no_landed_candle_is_lost", "rows_are_those_that_were_built"},
        "a candle is lost on the way",
    ),
    (
        "marts.klines_5m",
        "update marts.klines_5m set close = close + 1 where open_time = '2024-03-02 10:00:00'",
        {"candles_are_what_their_source_says"},
        "prices are not those that were landed",
    ),
    (
        "marts.klines_5m",
        "update marts.klines_5m set taker_buy_volume = 0 where open_time = '2024-03-02 10:00:00'",
        {"candles_are_what_their_source_says"},
        "volumes are not those that were landed",
    ),
    (
        "marts.klines_5m",
        "insert into marts.klines_5m select * replace ('DDDUSDT' as symbol) from marts.klines_5m "
        "where symbol = 'AAAUSDT'",
        {"candles_are_what_their_source_says", "rows_are_those_that_were_built"},
        "candles of a symbol that is no perpetual",
    ),
    (
        "marts.open_interest_5m",
        "update marts.open_interest_5m set oi_delta = 1 where snapshot_at = '2024-03-02 08:00:00'",
        {"changes_are_of_one_step"},
        "a change over a gap",
    ),
    (
        "marts.open_interest_5m",
        "update marts.open_interest_5m set open_interest = 0, oi_delta = null where snapshot_at::time = '10:00'",
        {"changes_are_of_one_step", "snapshots_are_those_that_were_landed"},
        "an unknown open interest is a zero",
    ),
    (
        "marts.open_interest_5m",
        "update marts.open_interest_5m set open_interest_usd = 1 where snapshot_at::time = '10:00'",
        {"snapshots_are_those_that_were_landed"},
        "a value that was never landed",
    ),
    (
        "marts.open_interest_5m",
        "delete from marts.open_interest_5m where symbol = 'AAAUSDT'",
        {"no_symbol_is_lost", "snapshots_are_those_that_were_landed", "rows_are_those_that_were_built"},
        "a whole symbol is lost",
    ),
    (
        "marts.open_interest_5m",
        "delete from marts.data_gaps",
        {"gaps_are_named"},
        "a gap in the snapshots that nobody names",
    ),
    (
        "marts.candles",
        "delete from marts.data_gaps",
        {"gaps_are_named"},
        "a gap in the candles that nobody names",
    ),
    (
        "marts.candles",
        "update marts.data_gaps set missing = missing + 1",
        {"gaps_are_named"},
        "a gap of another length than is said",
    ),
    (
        "marts.candles",
        "delete from raw.binance_klines where market = 'spot'",
        {"no_series_is_lost"},
        "a series of candles is lost",
    ),
    (
        "marts.data_gaps",
        "update marts.data_gaps set missing = 0 where symbol = 'AAAUSDT'",
        {"gaps_have_a_length"},
        "a gap in which nothing is missing",
    ),
    (
        "marts.liquidation_backtest",
        f"insert into marts.liquidation_backtest by name select {IMPOSSIBLE_RATES}",
        {"rates_are_shares", "rows_are_those_that_were_built", "scores_are_those_that_were_worked_out"},
        "more hits than events",
    ),
    (
        "marts.liquidation_backtest_external",
        f"insert into marts.liquidation_backtest_external by name select 'vendor' as provider, {IMPOSSIBLE_RATES}",
        {"rates_are_shares", "rows_are_those_that_were_built"},
        "more hits than events, external levels",
    ),
    (
        "marts.data_completeness",
        "update marts.data_completeness set present = present + 1",
        {"days_add_up"},
        "a day that has more than it should",
    ),
    (
        "marts.candles_with_side",
        "update marts.candles_with_side set volume = volume + 1 where open_time = '2024-03-02 10:00:00'",
        {"candles_are_those_of_klines_5m"},
        "two marts disagree about a candle",
    ),
    (
        "marts.candles_with_side",
        "update marts.candles_with_side set position_event = 'none' where oi_delta is null",
        {"events_follow_price_and_open_interest"},
        "an unknown change is called none",
    ),
    (
        "marts.candles_with_side",
        "update marts.candles_with_side set inferred_side = 'long' where position_event = 'short_open'",
        {"events_follow_price_and_open_interest"},
        "a side that its event contradicts",
    ),
    (
        "marts.candles_with_side",
        "update marts.candles_with_side set oi_delta_usd = oi_delta_usd * 2 where oi_delta <> 0",
        {"changes_are_those_at_the_end"},
        "a change that no snapshot has",
    ),
    (
        "marts.liquidation_levels",
        "update marts.liquidation_levels set quantity = quantity * 2",
        {"levels_hold_what_was_opened"},
        "levels hold more than was opened",
    ),
    (
        "marts.liquidation_levels",
        "update marts.liquidation_levels set liquidation_price = liquidation_price * 0.9999 where leverage = 10",
        {"prices_follow_their_bracket"},
        "levels at another price than the bracket gives",
    ),
    (
        "marts.liquidation_levels",
        "update marts.liquidation_levels set side = case side when 'long' then 'short' else 'long' end",
        {
            "levels_are_opened_by_a_candle",
            "prices_follow_their_bracket",
            "no_opening_lacks_its_levels",
            "levels_hold_what_was_opened",
        },
        "levels on the wrong side",
    ),
    (
        "marts.quality_checks",
        "update marts.quality_checks set status = 'fail' where symbol = 'AAAUSDT'",
        {"every_failure_withholds"},
        "a check that fails withholds nothing",
    ),
    (
        "marts.liquidation_map",
        "update marts.liquidation_map set quantity = quantity * 1000",
        {"what_stands_is_within_open_interest"},
        "more stands than is open",
    ),
    (
        "marts.liquidation_map",
        "update marts.liquidation_map set last_price = last_price + 1",
        {"prices_are_the_last_ones"},
        "a map of another price",
    ),
    (
        "marts.liquidation_heatmap",
        "update marts.liquidation_heatmap set volume_usd = volume_usd + 1",
        {"newest_step_is_the_map", "steps_follow_from_those_before"},
        "heatmap and map disagree",
    ),
    (
        "marts.liquidation_heatmap",
        "update marts.liquidation_heatmap set volume_usd = volume_usd * 1.01"
        " where side = 'long' and bucket_at = '2024-03-02 10:00'",
        {"steps_follow_from_those_before"},
        "an old step of the heatmap is another",
    ),
]


@pytest.mark.parametrize(("table", "fault", "caught_by"), [pytest.param(*case[:3], id=case[3]) for case in BAD_TABLES])
def test_a_bad_table_fails(passed: Warehouse, table: str, fault: str, caught_by: set[str]) -> None:
    asked = suite_of(table)
    expected = {f"{table} {name}" for name in caught_by}
    passed.change(fault)
    validation = validated(passed, asked)
    assert failures(validation) == dict.fromkeys(expected, "fail"), told(validation)
    assert expected
    assert not validation.passed
    (first, *_) = validation.failures
    assert first.unexpected_rows
    assert json.loads(first.detail or "")


@pytest.mark.parametrize(
    ("table", "caught_by"),
    [
        ("klines_5m", "no_landed_candle_is_lost"),
        ("open_interest_5m", "snapshots_are_those_that_were_landed"),
        ("candles_with_side", "candles_are_those_of_klines_5m"),
        ("liquidation_levels", "no_opening_lacks_its_levels"),
        ("liquidation_map", "map_holds_what_stands"),
        ("liquidation_heatmap", "rows_are_those_that_were_built"),
    ],
)
def test_rows_deleted_from_a_mart_are_missed_by_what_it_is_made_of(
    passed: Warehouse, table: str, caught_by: str
) -> None:
    passed.change(f"delete from marts.{table} where rowid % 7 = 3")
    assert f"marts.{table} {caught_by}" in failures(validated(passed, suite_of(f"marts.{table}")))


def test_rows_deleted_from_any_mart_are_missed(passed: Warehouse) -> None:
    tables = {name for (name,) in passed.query("select table_name from duckdb_tables() where schema_name = 'marts'")}
    marts = [suite for suite in suites(PROJECT) if suite.table.schema == "marts" and suite.table.name in tables]
    with_rows = {
        suite.table.full_name
        for suite in marts
        if passed.query(f"select count(*) from {suite.table.full_name}") != [(0,)]
    }
    assert len(with_rows) >= 7
    passed.change(*(f"delete from {name} where rowid = (select max(rowid) from {name})" for name in with_rows))
    found = failures(validated(passed, *marts))
    assert {name for name in with_rows if f"{name} rows_are_those_that_were_built" in found} == with_rows


def test_every_expectation_is_seen_to_fail() -> None:
    names = {one.name for suite in suites(PROJECT) for one in suite.expectations}
    of_deleted_rows = {"map_holds_what_stands", "no_whole_candle_is_lost", "candles_are_those_that_were_landed"}
    assert names - of_deleted_rows == {name for _, _, caught_by, _ in BAD_TABLES for name in caught_by}


def test_a_missing_table_is_an_error_for_each_of_its_expectations(passed: Warehouse) -> None:
    passed.change("drop table marts.liquidation_map")
    asked = suite_of("marts.liquidation_map")
    validation = validated(passed, asked)
    assert failures(validation) == {f"marts.liquidation_map {one.name}": "error" for one in asked.expectations}
    assert not validation.passed
    assert passed.query("select distinct status, unexpected_rows from ops.validation_results where detail is not null")


def test_an_errored_expectation_is_no_pass_and_spoils_no_other(passed: Warehouse) -> None:
    table = Keyed("marts", "klines_5m", ("symbol", "open_time"))
    asked = Suite(
        table,
        (
            Expectation("good", "Holds.", "select * from marts.klines_5m where symbol is null"),
            Expectation("no_such_column", "Is unknown.", "select * from marts.klines_5m where no_such_column > 0"),
            Expectation(
                "fails_on_a_row", "Fails on the way.", "select * from marts.klines_5m where symbol::integer = 1"
            ),
            Expectation("no_sql", "Is no question.", "select from where"),
        ),
    )
    validation = validated(passed, asked)
    assert {result.expectation: result.status for result in validation.results} == {
        "good": "pass",
        "no_such_column": "error",
        "fails_on_a_row": "error",
        "no_sql": "error",
    }
    assert "no_such_column" in (validation.results[1].detail or "")
    assert not validation.passed


EXCEPTION = {"raised_exception": True, "exception_message": "out of memory"}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param({"success": True, "result": {"observed_value": 0}}, "pass", id="no row"),
        pytest.param({"success": False, "result": {"observed_value": 3}}, "fail", id="three rows"),
        pytest.param(None, "error", id="no answer"),
        pytest.param({"success": True, "result": {}}, "error", id="success without a count"),
        pytest.param({"success": True, "result": {"observed_value": 3}}, "error", id="success with rows"),
        pytest.param({"success": False, "result": {"observed_value": 0}}, "error", id="failure without rows"),
        pytest.param(
            {"success": True, "result": {"observed_value": 0}, "exception_info": EXCEPTION},
            "error",
            id="success with an exception",
        ),
        pytest.param(
            {"success": True, "result": {"observed_value": 0}, "exception_info": {"a metric": EXCEPTION}},
            "error",
            id="success with an exception of one metric",
        ),
    ],
)
def test_only_a_count_of_zero_without_an_exception_is_a_pass(answer: dict[str, Any] | None, status: str) -> None:
    assert runner.judged("t", Expectation("e", "Holds.", "select 1"), answer).status == status


def test_a_validation_without_any_result_did_not_pass(passed: Warehouse) -> None:
    nothing = Suite(Keyed("marts", "klines_5m", ("symbol", "open_time")), ())
    assert not validated(passed, nothing).passed


def test_the_command_prints_a_table_or_json_and_ends_with_1(passed: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    passed.environment["LOADERS_DATA_DOCS"] = str(passed.folder / "docs")
    passed.lend_environment(monkeypatch)
    passed.change("update marts.liquidation_map set last_price = 1")
    status, text, _ = commands.run(passed, "validate")
    assert status == 1
    # What somebody needs who must act: how many rows, of which symbol and day, how to see them, what to do.
    assert "fail marts.liquidation_map prices_are_the_last_ones: " in text
    assert "AAAUSDT, BBBUSDT, 2024-03-03" in " ".join(text.split())
    assert "remedy for marts.liquidation_map: `dbt build --full-refresh`" in " ".join(text.split())
    query = passed.folder / "docs" / "queries" / "marts.liquidation_map.prices_are_the_last_ones.sql"
    assert {row[0] for row in passed.query(query.read_text())} == {"AAAUSDT", "BBBUSDT"}
    assert (passed.folder / "docs" / "index.html").exists()
    status, printed, _ = commands.run(passed, "--json", "validate")
    assert status == 1
    answer = json.loads(printed)
    assert (answer["passed"], answer["failed"], answer["errors"]) == (False, 1, 0)
    bad = [one for one in answer["results"] if one["status"] != "pass"]
    assert [(one["table"], one["expectation"]) for one in bad] == [
        ("marts.liquidation_map", "prices_are_the_last_ones")
    ]


def test_before_a_build_and_under_another_name_the_remedy_is_named(passed: Warehouse, house: Warehouse) -> None:
    house.load()
    with pytest.raises(NotBuilt, match="run `dbt build`"):
        validated(house)
    renamed = passed.path.rename(passed.path.with_name("renamed.duckdb"))
    with pytest.raises(WarehouseRenamed, match=r"built as warehouse\.duckdb"):
        runner.validate(passed.settings, renamed)
    with pytest.raises(WarehouseRenamed, match="rename it back, or run `dbt build`"):
        publish.publish(passed.settings, renamed, passed.folder / "marts.duckdb")


def test_pages_replace_those_of_the_last_run_and_nothing_else(passed: Warehouse, tmp_path: Path) -> None:
    settings = passed.settings
    asked = [suite_of("marts.liquidation_map")]
    for _ in range(2):
        runner.validate(settings, passed.path, asked=asked)
    pages = list((passed.folder / "data_docs" / "validations").rglob("*.html"))
    assert len(pages) == 1
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("Dear")
    with pytest.raises(FolderNotOurs):
        runner.validate(attrs.evolve(settings, data_docs=letters), passed.path, asked=asked)
    assert (letters / "dear.txt").read_text() == "Dear"


def test_a_missing_or_busy_warehouse_is_named(passed: Warehouse, tmp_path: Path) -> None:
    settings = passed.settings
    with pytest.raises(WarehouseMissing):
        runner.validate(settings, tmp_path / "nothing.duckdb")
    with passed.held_by_another_process(), pytest.raises(WarehouseBusy):
        runner.validate(settings, passed.path)
