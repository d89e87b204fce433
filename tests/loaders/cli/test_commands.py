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


def checked(house: Warehouse, *options: str) -> tuple[int, dict[str, str]]:
    """Exit status of `check`, and the details of what failed."""
    status, out, _ = run(house, "--json", "check", *options)
    return status, {one["name"]: one["detail"] for one in json.loads(out)["checks"] if not one["passed"]}


def test_a_folder_that_is_not_mounted_is_not_green(filled: Warehouse, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    write(mount / "lost+found" / "notes.txt", "x")
    status, bad = checked(filled, "--data-dir", str(filled.data), "--data-dir", str(mount))
    assert (status, list(bad)) == (1, ["folders"])
    assert f"{mount} holds no file of a dataset: is the disk mounted" in bad["folders"]
    # Nothing is built or published again from what was landed before.
    status, out, _ = run(filled, "--json", "run", "--data-dir", str(mount))
    steps = {step["step"]: step["outcome"] for step in json.loads(out)["steps"]}
    assert (status, steps["check"], steps["load"]) == (1, "failed", "skipped")
    _, out, _ = run(filled, "load", "--data-dir", str(mount))
    assert f"{mount} holds no file of a dataset" in out


def test_data_older_than_asked_for_are_told(filled: Warehouse) -> None:
    folder = ("--data-dir", str(filled.data))
    assert checked(filled, *folder) == (0, {})
    # As far as names tell, before the files are landed and after.
    for newest in ("2024-03-07 00:00", "2024-03-06 23:55"):
        status, bad = checked(filled, *folder, "--max-age", "3d")
        assert (status, list(bad)) == (1, ["age"])
        assert f"data until {newest}, " in bad["age"]
        assert checked(filled, *folder, "--max-age", "99999d") == (0, {})
        filled.load()
    status, _, err = run(filled, "check", *folder, "--max-age", "soon")
    assert (status, "write it as 36h or 3d" in err) == (2, True)


def test_a_symbol_that_nothing_has_is_named_with_what_was_meant(filled: Warehouse) -> None:
    folder = ("--data-dir", str(filled.data))
    for command in (("load", "--dry-run"), ("load",), ("check",), ("run", "--dry-run")):
        status, out, _ = run(filled, *command, *folder, "--symbol", "BTC")
        assert (status, "did you mean BTCUSDT?" in " ".join(out.split())) == (1, True), command
    filled.load()
    status, _, err = run(filled, "forget", "--symbol", "BTC")
    assert (status, "BTC (did you mean BTCUSDT?)" in err) == (1, True)


def test_what_is_no_file_of_a_dataset_is_not_recorded(filled: Warehouse, tmp_path: Path) -> None:
    """A folder of a system: links that lead outward, whatever they are called, and things nobody knows."""
    outside = write(tmp_path / "outside" / "passwd", "x")
    for name in ("mtab", "hosts.csv", "gone.zip", "etc", "BTCUSDT-5m-2024-03-07.csv"):
        (filled.data / name).symlink_to(outside.parent if name == "etc" else outside)
    write(filled.data / "table.csv", "x")
    (filled.data / "folder.csv").mkdir()
    status, out, _ = run(filled, "--json", "load", "--data-dir", str(filled.data))
    answer = json.loads(out)
    told = {Path(one["path"]).name for one in answer["failures"]}
    # A folder that is not followed may hold data, so it is told each time; a record for ever it makes none.
    assert (status, told) == (1, {"etc", "BTCUSDT-5m-2024-03-07.csv"})
    assert {Path(path).name for path in answer["unrecognised"]} == {"hosts.csv", "gone.zip", "table.csv"}
    recorded = filled.query("select path from ops.ingestion_files where status = 'failed'")
    assert recorded == [(str(filled.data / "BTCUSDT-5m-2024-03-07.csv"),)]


def test_what_is_recorded_can_be_forgotten(filled: Warehouse) -> None:
    bad = [write(filled.place(f"BTCUSDT-5m-2024-03-1{day}.csv"), "") for day in range(3)]
    wrong = write(filled.place("BTC!USDT-5m-2024-03-05.csv"), "x")
    filled.load(expect=1)
    failed = "select path from ops.ingestion_files where status = 'failed' order by path"
    assert len(filled.query(failed)) == 4
    _, out, _ = run(filled, "--json", "status")
    listed = [one["path"] for one in json.loads(out)["failures"]]
    for path in (str(bad[0]), str(wrong)):
        assert path in listed
        status, out, _ = run(filled, "--json", "forget", "--file", path)
        assert (status, json.loads(out)["failed"]) == (0, [path])
    status, out, _ = run(filled, "--json", "forget", "--failed", "--end", "2024-03-11")
    assert (status, json.loads(out)["failed"], json.loads(out)["forgotten"]) == (0, [str(bad[1])], [])
    assert run(filled, "forget", "--symbol", "BTCUSDT")[0] == 0
    assert filled.query("select count(*) from ops.ingestion_files") == [(0,)]
    filled.consistent()


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
