"""The project's generic tests, tested on literal rows: each passes what is right and names what is wrong."""

from __future__ import annotations

import json

import pytest

from tests.marts.test_rebuild import copied_project
from tests.support import archive
from tests.support.warehouse import Warehouse

LITERAL_ROWS = {
    "key_right": "select 'A' as symbol, 1 as number union all select 'A', 2 union all select 'B', 1",
    "key_doubled": "select 'A' as symbol, 1 as number union all select 'A', 1 union all select 'B', 1",
    "key_null": "select 'A' as symbol, null as number union all select 'B', 1",
    "value_right": "select 1 as number union all select 2",
    "value_wrong": "select 1 as number union all select -2",
    "value_null": "select 1 as number union all select null",
}
TESTS = """
models:
  - name: key_right
    data_tests: [&key {unique_combination_of_columns: {arguments: {combination_of_columns: [symbol, number]}}}]
  - name: key_doubled
    data_tests: [*key]
  - name: key_null
    data_tests: [*key]
  - name: value_right
    data_tests: [&value {expression_is_true: {arguments: {expression: number > 0}}}]
  - name: value_wrong
    data_tests: [*value]
  - name: value_null
    data_tests: [*value]
  - name: grid_right
    data_tests: [&grid {no_gaps_on_grid: {arguments: {time_column: open_time, dataset: klines}}}]
  - name: grid_with_a_gap
    data_tests: [*grid]
  - name: grid_that_stopped
    data_tests: [*grid]
  - name: grid_empty
    data_tests: [*grid]
"""
GRID = "select symbol, open_time from {{{{ ref('stg_binance__klines') }}}} where {condition}"
GRID_ROWS = {
    "grid_right": GRID.format(condition="true"),
    "grid_with_a_gap": GRID.format(condition="open_time != '2024-03-01 05:00'"),
    "grid_that_stopped": GRID.format(condition="open_time < '2024-03-02 05:00'"),
    "grid_empty": GRID.format(condition="false"),
}


@pytest.fixture(scope="module", params=["at once", "in pieces"])
def failures(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, int]:
    """Number of failing rows that the test of each model found, over all rows at once or some symbols at a time."""
    warehouse = Warehouse(tmp_path_factory.mktemp("literal"))
    in_pieces = ("--vars", "{rebuild_rows_at_once: 1}") if request.param == "in pieces" else ()
    for of in ("2024-03-01", "2024-03-02"):
        archive.klines(warehouse.data, "AAAUSDT", of)
        if in_pieces:
            # It is what cuts: A comes before the end of the first piece, B after it.
            archive.metrics(warehouse.data, "BBBUSDT", of)
    warehouse.load()
    warehouse.project = copied_project(warehouse.folder / "project")
    models = warehouse.project / "models" / "intermediate"
    for name, sql in {**LITERAL_ROWS, **GRID_ROWS}.items():
        (models / f"{name}.sql").write_text(sql)
    (models / "_literal.yml").write_text(TESTS)
    names = [*LITERAL_ROWS, *GRID_ROWS]
    warehouse.build("--select", "+stg_binance__klines", *names, *in_pieces, expect=1)
    results = json.loads((warehouse.folder / "target" / "run_results.json").read_text())["results"]
    found = {}
    for name in names:
        (found[name],) = [
            result["failures"]
            for result in results
            if result["unique_id"].startswith("test.") and f"_{name}_" in result["unique_id"]
        ]
    return found


@pytest.mark.parametrize(
    ("model", "failing_rows"),
    [
        pytest.param("key_right", 0, id="unique_combination_of_columns passes keys that differ in one column"),
        pytest.param("key_doubled", 1, id="unique_combination_of_columns finds a key that stands twice"),
        pytest.param("key_null", 1, id="unique_combination_of_columns finds a NULL in a key"),
        pytest.param("value_right", 0, id="expression_is_true passes what is true of every row"),
        pytest.param("value_wrong", 1, id="expression_is_true finds the row it is false of"),
        pytest.param("value_null", 1, id="expression_is_true finds the row it is unknown of"),
        pytest.param("grid_right", 0, id="no_gaps_on_grid passes a whole series"),
        pytest.param("grid_with_a_gap", 1, id="no_gaps_on_grid finds a missing step"),
        pytest.param("grid_that_stopped", 1, id="no_gaps_on_grid finds a series that stopped"),
        pytest.param("grid_empty", 2, id="no_gaps_on_grid finds both days of an empty series"),
    ],
)
def test_a_generic_test_finds_what_it_is_for(failures: dict[str, int], model: str, failing_rows: int) -> None:
    assert failures[model] == failing_rows
