"""The command line: exit statuses, JSON, and commands that must change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import duckdb
import pytest

from loaders import warehouse
from loaders.cli import group
from loaders.warehouse import schema
from tests.support import archive
from tests.support.archive import text, write
from tests.support.commands import run
from tests.support.warehouse import PROJECT, TABLES, Warehouse

DAY = "2024-03-05"


@pytest.fixture
def filled(house: Warehouse) -> Warehouse:
    """Two files, not landed yet."""
    write(house.place(f"BTCUSDT-5m-{DAY}.csv"), text(archive.kline_rows(DAY)))
    write(house.place("BTCUSDT-5m-2024-03-06.csv"), text(archive.kline_rows("2024-03-06")))
    return house


def folder_state(house: Warehouse) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in house.path.parent.rglob("*")
        if path.is_file()
    }


def test_load_answers_with_one_json_document(filled: Warehouse) -> None:
    status, out, _ = run(filled, "--json", "load", "--data-dir", str(filled.data))
    result = json.loads(out)
    assert (status, result["files_loaded"], result["rows_loaded"], result["exit_status"]) == (0, 2, 576, 0)


def test_dry_run_touches_nothing(filled: Warehouse) -> None:
    before = folder_state(filled)
    status, out, _ = run(filled, "load", "--data-dir", str(filled.data), "--dry-run")
    assert (status, "2 files to land" in out) == (0, True)
    assert folder_state(filled) == before
    filled.load()
    write(filled.place(f"BTCUSDT-5m-{DAY}.csv"), text(archive.kline_rows(DAY, 5)))
    before = folder_state(filled)
    status, out, _ = run(filled, "--json", "load", "--data-dir", str(filled.data), "--dry-run")
    assert {step["action"] for step in json.loads(out)["steps"]} == {"replace", "skip"}
    assert folder_state(filled) == before


def test_a_failed_file_makes_status_1(filled: Warehouse) -> None:
    write(filled.place("BTCUSDT-5m-2024-03-07.csv"), "")
    status, out, err = run(filled, "load", "--data-dir", str(filled.data))
    assert (status, "2 files loaded" in out, "is empty" in err) == (1, True, True)
    status, out, _ = run(filled, "status")
    assert (status, "is empty" in out) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["load"], id="no data folder"),
        pytest.param(["load", "--data-dir", "/nowhere"], id="a folder that does not exist"),
        pytest.param(["load", "--data-dir", ".", "--symbol", "BTC'--"], id="a symbol with quotes"),
        pytest.param(["load", "--data-dir", ".", "--start", "yesterday"], id="a day that is none"),
        pytest.param(
            ["load", "--data-dir", ".", "--start", "2024-03-02", "--end", "2024-03-01"], id="an end before its start"
        ),
        pytest.param(["load", "--data-dir", ".", "--dataset", "trades"], id="an unknown dataset"),
        pytest.param(["forget"], id="nothing to forget"),
        pytest.param(["frobnicate"], id="an unknown command"),
    ],
)
def test_wrong_usage_is_status_2_and_makes_no_warehouse(house: Warehouse, arguments: list[str]) -> None:
    status, _, err = run(house, *arguments)
    assert (status, bool(err)) == (2, True)
    assert not house.path.exists()


def test_a_second_writer_gets_75_and_the_name_of_the_first(filled: Warehouse) -> None:
    with warehouse.writer(filled.settings, filled.path):
        command = [sys.executable, "-m", "loaders", "--warehouse", str(filled.path)]
        done = subprocess.run(
            [*command, "load", "--data-dir", str(filled.data), "--wait", "0.5"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 75
    assert "process " in done.stderr
    assert "--wait" in done.stderr


def test_a_reader_of_the_engine_makes_the_writer_wait(filled: Warehouse) -> None:
    filled.load()
    program = (
        f"import duckdb, time; c = duckdb.connect({str(filled.path)!r}, read_only=True); "
        "print(1, flush=True); time.sleep(30)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        status, _, err = run(filled, "load", "--data-dir", str(filled.data))
    finally:
        process.kill()
        process.wait()
    assert (status, str(process.pid) in err) == (75, True)


def test_check_names_what_is_wrong(filled: Warehouse) -> None:
    status, out, _ = run(filled, "--json", "check", "--data-dir", str(filled.data))
    assert (status, json.loads(out)["passed"]) == (0, True)
    assert not filled.path.exists()
    write(filled.place("BTCUSDT-5m-2024-03-07.csv"), "<html>")
    status, out, _ = run(filled, "check", "--data-dir", str(filled.data))
    assert (status, "web page" in out) == (1, True)


def test_forget_takes_rows_and_ledger(filled: Warehouse) -> None:
    filled.load()
    status, out, _ = run(filled, "--json", "forget", "--start", DAY, "--end", DAY)
    assert (status, json.loads(out)["rows"]) == (0, 288)
    assert filled.query("select count(*) from raw.binance_klines") == [(288,)]
    assert filled.query("select count(*) from ops.ingestion_files") == [(1,)]
    filled.consistent()
    status, _, err = run(filled, "forget", "--symbol", "NOSUCHUSDT")
    assert (status, "no landed file matches" in err) == (1, True)


def test_a_newer_warehouse_is_refused_and_an_older_one_migrated(filled: Warehouse) -> None:
    trades = filled.data / "data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-03-07.csv"
    write(trades, text(archive.trade_rows("2024-03-07")))
    filled.load()
    with duckdb.connect(filled.path) as connection:
        for table in ("ops.ingestion_files", "ops.ingestion_changes"):
            connection.execute(f"alter table {table} drop column exchange")
        connection.execute("alter table ops.ingestion_files drop column origin")
        connection.execute("alter table ops.ingestion_files drop column first_id")
        connection.execute("alter table ops.ingestion_files drop column last_id")
        connection.execute("update ops.schema_version set version = 0")
    write(filled.place("BTCUSDT-5m-2024-03-07.csv"), text(archive.kline_rows("2024-03-07")))
    assert run(filled, "load", "--data-dir", str(filled.data))[0::2] == (0, "")
    assert filled.query("select max(version) from ops.schema_version") == [(schema.VERSION,)]
    for table in ("ops.ingestion_files", "ops.ingestion_changes"):
        assert filled.query(f"select distinct exchange from {table}") == [("binance",)]
    assert filled.query("select count(*) from raw.binance_klines") == [(864,)]
    filled.consistent()
    with duckdb.connect(filled.path) as connection:
        connection.execute("insert into ops.schema_version values (99, now()::timestamp)")
    status, _, err = run(filled, "load", "--data-dir", str(filled.data))
    assert (status, "version 99" in err) == (1, True)


def test_every_command_has_help() -> None:
    for name, command in group.cli.commands.items():
        assert command.help, name
        for option in command.params:
            assert getattr(option, "help", None), f"{name} {option.name}"


def test_the_real_records_land_as_their_readme_says(house: Warehouse) -> None:
    records = PROJECT.parent / "shared" / "data"
    if not records.is_dir():
        pytest.skip("the real records are not here (../shared/data)")
    report = house.load(records / "binance" / "data", records / "kraken", records / "liquidations")
    assert report.totals.files_loaded == 22
    query = 'select market, symbol, "interval", count(*) from raw.binance_klines group by all order by all'
    assert house.query(query) == [
        ("spot", "BTCUSDT", "1h", 2158),
        ("spot", "BTCUSDT", "5m", 576),
        ("spot", "ETHUSDT", "1h", 2158),
        ("um", "AVAXUSDT", "1m", 40320),
        ("um", "BTCUSDT", "1m", 4320),
        ("um", "BTCUSDT", "5m", 576),
        ("um", "LINKUSDT", "1m", 40320),
    ]
    counts = [house.query(f"select count(*) from raw.{table}")[0][0] for table in TABLES[1:]]
    assert counts == [10447, 499, 7, 456, 50378 + 2058, 0]
    assert house.load(records / "binance" / "data").totals.files_skipped == 19


def test_the_groups_options_may_stand_after_the_command(filled: Warehouse) -> None:
    status, out, _ = run(filled, "load", "--data-dir", str(filled.data), "--json")
    assert (status, json.loads(out)["files_loaded"]) == (0, 2)
    other = filled.path.with_name("other.duckdb")
    status, _, err = run(filled, "status", "--warehouse", str(other))
    assert status == 1
    assert f"{other} does not exist" in err


def test_the_environment_does_not_override_the_command_line(filled: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADERS_WAREHOUSE", str(filled.path.with_name("environment.duckdb")))
    status, _, err = run(filled, "status")
    assert status == 1
    assert f"{filled.path} does not exist" in err


def test_the_version_is_told(house: Warehouse) -> None:
    assert run(house, "--version")[:2] == (0, f"loaders {version('loaders')}\n")


def test_a_run_that_cannot_start_is_told(house: Warehouse, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    save = f"{sys.executable} -c \"import sys; open(sys.argv[1], 'w').write(sys.stdin.read())\" '{told}'"
    status, _, err = run(house, "run", "--data-dir", str(tmp_path / "not mounted"), "--notify", save)
    assert status == 2
    assert "does not exist" in err
    assert json.loads(told.read_text())["exit_status"] == 2
    assert "not mounted" in json.loads(told.read_text())["text"]
    told.unlink()
    status, _, _ = run(house, "run", "--notify", save)
    assert (status, json.loads(told.read_text())["exit_status"]) == (2, 2)
