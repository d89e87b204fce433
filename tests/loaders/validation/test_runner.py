"""A bad table fails, and a question that could not be asked is no pass."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loaders import warehouse
from loaders.errors import FolderNotOurs, WarehouseBusy, WarehouseMissing
from loaders.validation import runner
from loaders.validation.runner import Validation
from loaders.validation.suites import Expectation, Keyed, Suite, suites
from tests.support.warehouse import PROJECT, Warehouse


def suite_of(table: str) -> Suite:
    return next(suite for suite in suites(PROJECT) if suite.table.full_name == table)


def validated(warehouse: Warehouse, *asked: Suite) -> Validation:
    return runner.validate(warehouse.settings, warehouse.path, asked=asked or None)


def failures(validation: Validation) -> dict[str, str]:
    return {f"{result.table} {result.expectation}": result.status for result in validation.failures}


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


def test_every_landed_table_and_every_mart_has_a_suite(passed: Warehouse) -> None:
    tables = passed.query(
        "select table_schema || '.' || table_name from information_schema.tables where table_schema in ('raw', 'marts')"
    )
    assert {suite.table.full_name for suite in suites(PROJECT)} == {name for (name,) in tables}
    for suite in suites(PROJECT):
        names = [one.name for one in suite.expectations]
        assert {"key_is_unique", "key_is_complete"} <= set(names)
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("table", "fault", "caught_by"),
    [
        pytest.param(
            "raw.binance_klines",
            "insert into raw.binance_klines from raw.binance_klines limit 1",
            {"key_is_unique", "files_are_what_the_ledger_says"},
            id="a row of a file stands twice",
        ),
        pytest.param(
            "raw.binance_klines",
            "update raw.binance_klines set high = low - 1 where open_time = '2024-03-02 10:00:00'",
            {"rows_are_within_limits"},
            id="high is below low",
        ),
        pytest.param(
            "raw.binance_klines",
            "update raw.binance_klines set open_time = open_time + interval 1 minute where open_time::time = '10:00'",
            {"rows_are_within_limits"},
            id="a candle opens beside the grid",
        ),
        pytest.param(
            "raw.binance_agg_trades",
            "delete from raw.binance_agg_trades where agg_trade_id = 100",
            {"files_are_what_the_ledger_says"},
            id="a landed row went away",
        ),
        pytest.param(
            "raw.binance_metrics",
            "update raw.binance_metrics set symbol = 'CCCUSDT' where symbol = 'AAAUSDT'",
            {"files_are_what_the_ledger_says"},
            id="rows of another symbol than the file's",
        ),
        pytest.param(
            "raw.binance_metrics",
            "update raw.binance_metrics set create_time = null where create_time::time = '10:00'",
            {"key_is_complete"},
            id="a key is not complete",
        ),
        pytest.param(
            "marts.klines_5m",
            "insert into marts.klines_5m from marts.klines_5m limit 1",
            {"key_is_unique", "rows_are_those_that_were_built"},
            id="a candle stands twice",
        ),
        pytest.param(
            "marts.klines_5m",
            "delete from marts.klines_5m where symbol = 'AAAUSDT' and open_time = '2024-03-02 10:00:00'",
            {"no_landed_candle_is_lost", "rows_are_those_that_were_built"},
            id="a candle is lost on the way",
        ),
        pytest.param(
            "marts.klines_5m",
            "update marts.klines_5m set close = close + 1 where open_time = '2024-03-02 10:00:00'",
            {"candles_are_what_their_source_says"},
            id="prices are not those that were landed",
        ),
        pytest.param(
            "marts.klines_5m",
            "update marts.klines_5m set taker_buy_volume = 0 where open_time = '2024-03-02 10:00:00'",
            {"candles_are_what_their_source_says"},
            id="volumes are not those that were landed",
        ),
        pytest.param(
            "marts.klines_5m",
            "insert into marts.klines_5m select * replace ('DDDUSDT' as symbol) from marts.klines_5m "
            "where symbol = 'AAAUSDT'",
            {"candles_are_what_their_source_says", "rows_are_those_that_were_built"},
            id="candles of a symbol that is no perpetual",
        ),
        pytest.param(
            "marts.open_interest_5m",
            "update marts.open_interest_5m set oi_delta = 1 where snapshot_at = '2024-03-02 08:00:00'",
            {"changes_are_of_one_step"},
            id="a change over a gap",
        ),
        pytest.param(
            "marts.open_interest_5m",
            "update marts.open_interest_5m set open_interest = 0, oi_delta = null where snapshot_at::time = '10:00'",
            {"open_interest_is_known_or_null", "changes_are_of_one_step", "snapshots_are_those_that_were_landed"},
            id="an unknown open interest is a zero",
        ),
        pytest.param(
            "marts.open_interest_5m",
            "update marts.open_interest_5m set open_interest_usd = 1 where snapshot_at::time = '10:00'",
            {"snapshots_are_those_that_were_landed"},
            id="a value that was never landed",
        ),
        pytest.param(
            "marts.open_interest_5m",
            "delete from marts.open_interest_5m where symbol = 'AAAUSDT'",
            {"no_symbol_is_lost", "snapshots_are_those_that_were_landed", "rows_are_those_that_were_built"},
            id="a whole symbol is lost",
        ),
        pytest.param(
            "marts.open_interest_5m",
            "delete from marts.data_gaps",
            {"holes_are_named"},
            id="a gap in the snapshots that nobody names",
        ),
        pytest.param(
            "marts.candles",
            "delete from marts.data_gaps",
            {"holes_are_named"},
            id="a gap in the candles that nobody names",
        ),
        pytest.param(
            "marts.candles",
            "update marts.data_gaps set missing = missing + 1",
            {"holes_are_named"},
            id="a gap of another length than is said",
        ),
        pytest.param(
            "marts.quality_checks",
            "update marts.quality_checks set status = 'fail' where check_name = 'freshness'",
            {"no_check_fails"},
            id="a check that fails",
        ),
        pytest.param(
            "marts.data_completeness",
            "update marts.data_completeness set present = present + 1",
            {"days_add_up"},
            id="a day that has more than it should",
        ),
        pytest.param(
            "marts.candles_with_side",
            "update marts.candles_with_side set volume = volume + 1 where open_time = '2024-03-02 10:00:00'",
            {"candles_are_those_of_klines_5m"},
            id="two marts disagree about a candle",
        ),
        pytest.param(
            "marts.candles_with_side",
            "update marts.candles_with_side set position_event = 'none' where oi_delta is null",
            {"events_follow_price_and_open_interest"},
            id="an unknown change is called none",
        ),
        pytest.param(
            "marts.candles_with_side",
            "update marts.candles_with_side set inferred_side = 'long' where position_event = 'short_open'",
            {"events_follow_price_and_open_interest"},
            id="a side that its event contradicts",
        ),
        pytest.param(
            "marts.candles_with_side",
            "update marts.candles_with_side set oi_delta_usd = oi_delta_usd * 2 where oi_delta <> 0",
            {"changes_are_those_at_the_end"},
            id="a change that no snapshot has",
        ),
        pytest.param(
            "marts.liquidation_levels",
            "update marts.liquidation_levels set quantity = quantity * 2",
            {"levels_hold_what_was_opened"},
            id="levels hold more than was opened",
        ),
        pytest.param(
            "marts.liquidation_levels",
            "update marts.liquidation_levels set liquidation_price = liquidation_price * 0.9999 where leverage = 10",
            {"prices_follow_their_bracket"},
            id="levels at another price than the bracket gives",
        ),
        pytest.param(
            "marts.liquidation_levels",
            "update marts.liquidation_levels set side = case side when 'long' then 'short' else 'long' end",
            {"levels_are_opened_by_a_candle", "prices_follow_their_bracket", "no_opening_lacks_its_levels"},
            id="levels on the wrong side",
        ),
        pytest.param(
            "marts.liquidation_map",
            "update marts.liquidation_map set quantity = quantity * 1000",
            {"what_stands_is_within_open_interest"},
            id="more stands than is open",
        ),
        pytest.param(
            "marts.liquidation_map",
            "update marts.liquidation_map set last_price = last_price + 1",
            {"prices_are_the_last_ones"},
            id="a map of another price",
        ),
        pytest.param(
            "marts.liquidation_heatmap",
            "update marts.liquidation_heatmap set volume_usd = volume_usd + 1",
            {"newest_step_is_the_map"},
            id="heatmap and map disagree",
        ),
    ],
)
def test_a_bad_table_fails(passed: Warehouse, table: str, fault: str, caught_by: set[str]) -> None:
    asked = suite_of(table)
    # What needs a mart that this version of the project does not have is not asked.
    expected = {f"{table} {name}" for name in caught_by & {one.name for one in asked.expectations}}
    passed.change(fault)
    validation = validated(passed, asked)
    assert failures(validation) == dict.fromkeys(expected, "fail")
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
            Expectation("good", "Holds.", "select * from {batch} where symbol is null"),
            Expectation("no_such_column", "Cannot be asked.", "select * from {batch} where no_such_column > 0"),
            Expectation("fails_on_a_row", "Fails on the way.", "select * from {batch} where symbol::integer = 1"),
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


def test_the_command_prints_a_table_or_json_and_ends_with_1(passed: Warehouse) -> None:
    passed.environment["LOADERS_DATA_DOCS"] = str(passed.folder / "docs")
    passed.change("update marts.liquidation_map set last_price = 1")
    text = passed.run(sys.executable, "-m", "loaders", "validate", expect=1)
    assert "prices_are_the_last_ones" in text
    assert (passed.folder / "docs" / "index.html").exists()
    answer = json.loads(passed.run(sys.executable, "-m", "loaders", "--json", "validate", expect=1))
    assert (answer["passed"], answer["failed"], answer["errors"]) == (False, 1, 0)
    bad = [one for one in answer["results"] if one["status"] != "pass"]
    assert [(one["table"], one["expectation"]) for one in bad] == [
        ("marts.liquidation_map", "prices_are_the_last_ones")
    ]


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
        runner.validate(settings.model_copy(update={"data_docs": letters}), passed.path, asked=asked)
    assert (letters / "dear.txt").read_text() == "Dear"


def test_a_missing_or_busy_warehouse_is_named(passed: Warehouse, tmp_path: Path) -> None:
    settings = passed.settings
    with pytest.raises(WarehouseMissing):
        runner.validate(settings, tmp_path / "nothing.duckdb")
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(passed.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(WarehouseBusy):
            runner.validate(settings, passed.path)
        other.communicate()
