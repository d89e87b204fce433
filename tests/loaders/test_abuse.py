"""What people do to a warehouse without meaning to: odd names, files in motion, places that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders import warehouse
from loaders.delivery import publish
from loaders.errors import FolderNotOurs, PathRefused, PlaceUnwritable
from loaders.files import discovery
from loaders.files.inspection import Prepared
from loaders.ingest import load as loading
from loaders.ingest.load import LoadResult, Request
from loaders.progress import Lines
from loaders.queries import coverage
from loaders.runs import notify
from loaders.selection import Selection
from loaders.validation import data_docs, runner
from loaders.warehouse import ledger, readiness
from tests.support import archive
from tests.support.archive import text, write
from tests.support.commands import run
from tests.support.warehouse import Warehouse

DAY = "2024-03-05"
NAME = f"BTCUSDT-5m-{DAY}.csv"


class House(Warehouse):
    """A warehouse whose loads may end with any status: what they say is what is looked at."""

    def load(self, *folders: Path, expect: int | None = None, **request: Any) -> LoadResult:
        """Lands the data folder, or those given, in this process."""
        wanted = Request(folders or (self.data,), Selection(), **{"retries": 0, **request})
        with warehouse.writer(self.settings, self.path, readable=wanted.folders) as opened:
            return loading.load(opened, self.settings, wanted, Lines())


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty warehouse and an empty data folder."""
    return House(tmp_path)


def candles(price: int = 100, day: str = DAY) -> str:
    return text(archive.kline_rows(day, price=price))


def prices(house: House) -> list[tuple[Any, ...]]:
    return house.query(
        "select path, min(open)::integer from raw.binance_klines join ops.ingestion_files using (file_id)"
        " where status = 'loaded' group by all order by all"
    )


# Paths are literal.


@pytest.mark.parametrize(
    ("odd", "plain"),
    [("[b]", "b"), ("a*c", "axc"), ("q?", "qq"), ("[!x]", "y"), ("**", "deep"), ("back\\s*", "backs"), ("a]b[", "ab")],
)  # fmt: skip
def test_a_folder_with_wildcards_in_its_name_is_only_itself(house: House, odd: str, plain: str) -> None:
    strange = write(house.data / odd / NAME, candles(200))
    write(house.data / plain / NAME, candles(100))
    # Several small files share a statement that joins them by their paths.
    others = [
        write(house.data / odd / f"BTCUSDT-5m-2024-03-0{day}.csv", candles(300, f"2024-03-0{day}")) for day in (6, 7)
    ]
    report = house.load(house.data / odd)
    assert not report.failures
    assert prices(house) == sorted([(str(strange), 200), *((str(path), 300) for path in others)])
    house.consistent()


@pytest.mark.parametrize("folder", ["sum_open_interest=5", "file_id=7", "symbol=ETHUSDT", "filename=x"])
def test_a_folder_that_looks_like_a_partition_is_a_folder(house: House, folder: str) -> None:
    for day in (5, 6):
        name = f"BTCUSDT-metrics-2024-03-0{day}.csv"
        write(house.data / folder / name, text(archive.metrics_rows(f"2024-03-0{day}"), archive.METRICS))
    # One of them row by row.
    rows = archive.metrics_rows("2024-03-07")
    rows[100] = rows[100].replace("100.5", "x")
    write(house.data / folder / "BTCUSDT-metrics-2024-03-07.csv", text(rows))
    report = house.load()
    assert not report.failures
    assert house.query("select distinct symbol from raw.binance_metrics") == [("BTCUSDT",)]
    assert house.query("select count(*) from raw.binance_metrics where sum_open_interest = 5") == [(0,)]
    house.consistent()


def test_a_warehouse_in_a_folder_with_wildcards_works(tmp_path: Path) -> None:
    odd = House(tmp_path / "w[b]*x=5")
    (tmp_path / "wb").mkdir()
    rows = archive.kline_rows(DAY)
    rows[100] = rows[100].replace(",7,", ",1.7,")
    write(odd.data / NAME, text(rows))
    report = odd.load()
    assert (report.totals.rows_loaded, report.totals.rows_rejected) == (287, 1)
    status, out, _ = run(odd, "status")
    assert status == 0
    assert "rows" in out


def test_status_shows_a_path_with_brackets_whole() -> None:
    assert "/data/[b]/x.csv" in coverage.text({"failures": [{"path": "/data/[b]/x.csv"}]})


# Files in motion.


def during(patch: pytest.MonkeyPatch, what: Callable[[Prepared], None]) -> None:
    """Does something between the hash of a file and its landing."""
    from loaders.files.inspection import prepare

    def and_then(*given: Any) -> Prepared:
        prepared = prepare(*given)
        what(prepared)
        return prepared

    patch.setattr("loaders.ingest.load.prepare", and_then)


@pytest.mark.parametrize("bad_row", [False, True], ids=["typed", "row by row"])
def test_an_edit_of_the_same_size_after_the_hash_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, bad_row: bool
) -> None:
    first = candles(100).replace(",7,4.5", ",x,4.5", 1) if bad_row else candles(100)
    path = write(house.data / NAME, first)
    status = path.stat()

    def edit(_: Prepared) -> None:
        path.write_bytes(first.replace(",10.5,", ",20.5,").encode())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    with monkeypatch.context() as patch:
        during(patch, edit)
        report = house.load()
    assert [failure.path for failure in report.failures] == [path]
    assert "changed while it was read" in report.failures[0].message
    assert prices(house) == []
    # The next load takes what is there now, under its own hash.
    house.load()
    assert house.query("select distinct volume = 20.5 from raw.binance_klines") == [(True,)]
    house.consistent()


def test_files_that_vanish_are_named_and_the_rest_lands(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(house.data / f"BTCUSDT-5m-2024-03-0{day}.csv", candles(100, f"2024-03-0{day}")) for day in (5, 6, 7)]
    gone = {paths[0]}

    def vanish(prepared: Prepared) -> None:
        if prepared.candidate.path in gone:
            prepared.candidate.path.unlink()

    with monkeypatch.context() as patch:
        during(patch, vanish)
        report = house.load()
    assert [failure.path for failure in report.failures] == [paths[0]]
    assert "has gone" in report.failures[0].message
    assert [path for path, _ in prices(house)] == [str(path) for path in paths[1:]]
    assert report.exit_status == 1
    house.consistent()


def test_files_and_folders_that_vanish_while_the_folder_is_listed_are_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = write(house.data / NAME, candles())
    gone = write(house.data / "BTCUSDT-5m-2024-03-06.csv", candles(100, "2024-03-06"))
    folder = write(house.data / "zzz" / "BTCUSDT-5m-2024-03-07.csv", candles(100, "2024-03-07")).parent
    look = discovery._look

    def and_lose(entry: os.DirEntry[str], *given: Any) -> Any:
        gone.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        return look(entry, *given)

    monkeypatch.setattr(discovery, "_look", and_lose)
    report = house.load()
    assert sorted(failure.path for failure in report.failures) == sorted([gone, folder])
    assert all("has gone" in failure.message for failure in report.failures)
    assert [path for path, _ in prices(house)] == [str(kept)]


def test_a_dry_run_over_a_folder_in_motion_names_what_went(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(house.data / NAME, candles())
    house.load()
    os.utime(path, (1, 1))
    survey = loading.survey

    def and_lose(*given: Any) -> Any:
        found = survey(*given)
        path.unlink()
        return found

    monkeypatch.setattr(loading, "survey", and_lose)
    status, out, _ = run(house, "--json", "load", "--data-dir", str(house.data), "--dry-run")
    assert status == 1
    assert [one["path"] for one in json.loads(out)["refused"]] == [str(path)]


# Names that are no text, or too long, or too deep.


@pytest.mark.parametrize("name", [b"\xff.csv", b"caf\xe9/BTCUSDT-5m-2024-03-06.csv", b"BTCUSDT-5m-2024-03-06\xff.CSV"])
def test_a_name_that_is_not_utf8_is_refused_and_the_rest_lands(house: House, name: bytes) -> None:
    good = write(house.data / NAME, candles())
    bad = os.path.join(os.fsencode(house.data), name)  # noqa: PTH118
    os.makedirs(os.path.dirname(bad), exist_ok=True)  # noqa: PTH103, PTH120
    with open(bad, "w") as file:  # noqa: PTH123
        file.write(candles(100, "2024-03-06"))
    status, out, _ = run(house, "--json", "load", "--data-dir", str(house.data))
    (failure,) = json.loads(out)["failures"]
    assert status == 1
    assert "not UTF-8" in failure["error"]
    assert "\\x" in failure["path"]
    assert [path for path, _ in prices(house)] == [str(good)]
    assert house.query("select path from ops.ingestion_files where status = 'failed'") == [(failure["path"],)]
    for command in (
        ["status"],
        ["load", "--data-dir", str(house.data), "--dry-run"],
        ["check", "--data-dir", str(house.data)],
    ):
        code, out, _ = run(house, *command)
        assert code in (0, 1)
        assert out


def test_a_data_folder_and_a_warehouse_that_are_not_utf8_are_refused(house: House) -> None:
    folder = Path(os.fsdecode(os.fsencode(house.data) + b"/\xff"))
    write(folder / NAME, candles())
    report = house.load(folder)
    assert [failure.message.split(",")[0] for failure in report.failures] == ["its name is not UTF-8"]
    with pytest.raises(PathRefused, match="not UTF-8"), warehouse.reader(folder / "w.duckdb"):
        pass


def test_long_names_and_deep_folders_end_no_load(house: House) -> None:
    good = write(house.data / NAME, candles())
    for ending in (".csv", ".zip", ".csv.gz"):
        write(house.data / ("x" * (255 - len(ending)) + ending), "1,2\n")
        symbol = "B" * (255 - len(f"-5m-{DAY}{ending}"))
        write(house.data / f"{symbol}-5m-{DAY}{ending}", "1,2\n")
    deep = os.open(house.data, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    try:
        report = house.load()
    finally:
        # Python's own removal goes down by calling itself, which pytest's would end in.
        subprocess.run(["rm", "-rf", house.data / "d"], check=True)
    assert [path for path, _ in prices(house)] == [str(good)]
    assert len(report.unrecognised) == 3
    assert sum("is no symbol" in failure.message for failure in report.failures) == 3


def test_the_case_of_an_ending_does_not_matter_and_nothing_is_passed_over(house: House) -> None:
    write(house.data / f"BTCUSDT-5m-{DAY}.CSV", candles())
    zipped = archive.write_zip(
        house.data / "BTCUSDT-5m-2024-03-06.ZIP", candles(100, "2024-03-06"), "BTCUSDT-5m-2024-03-06.csv"
    )
    packed = archive.write_gz(house.data / "BTCUSDT-5m-2024-03-07.csv.GZ", candles(100, "2024-03-07"))
    endings = (".csv.bz2", ".zip.part", ".gz", "", ".csv~")
    odd = ["BTCUSDT-5M-2026-06-28.CSV", "BTCUSDT-aggTrades-2024-03.txt"]
    odd += [f"BTCUSDT-5m-2024-03-08{ending}" for ending in endings]
    for name in (*odd, "README.md", f"BTCUSDT-5m-{DAY}.CSV.CHECKSUM"):
        write(house.data / name, "x")
    (house.data / f"BTCUSDT-5m-{DAY}.CSV.CHECKSUM").unlink()
    report = house.load()
    assert not report.failures
    assert {Path(path).name for path, _ in prices(house)} == {f"BTCUSDT-5m-{DAY}.CSV", zipped.name, packed.name}
    assert sorted(path.name for path in report.unrecognised) == sorted(odd)


# A file that is published replaces nothing else.


def test_publish_replaces_nothing_but_its_own_files(passed: Warehouse, tmp_path: Path) -> None:
    before = passed.path.read_bytes()
    link, hard = tmp_path / "link.duckdb", tmp_path / "hard.duckdb"
    link.symlink_to(passed.path)
    hard.hardlink_to(passed.path)
    mine = write(tmp_path / "notes.txt", "mine")
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("create table published as select 1 as published_at")
    write(tmp_path / "poetry.lock", "pinned")
    write(tmp_path / "thesis.part", "chapter 1")
    beside = [passed.path.with_name(passed.path.name + ending) for ending in (".lock", ".wal", ".tmp")]
    targets = [
        passed.path, passed.folder / "." / passed.path.name, passed.folder / "x" / ".." / passed.path.name, link, hard,
        *beside, beside[-1] / "x", passed.path.parent, passed.path / "below", mine, other,
        tmp_path / "poetry", tmp_path / "thesis",
    ]  # fmt: skip
    for target in targets:
        with pytest.raises((PathRefused, PlaceUnwritable)):
            publish.publish(passed.settings, passed.path, target)
    assert passed.path.read_bytes() == before
    assert mine.read_text() == "mine"
    assert (tmp_path / "poetry.lock").read_text() == "pinned"
    assert (tmp_path / "thesis.part").read_text() == "chapter 1"
    # The warehouse is what a publication on its way would be called.
    part = passed.folder / "m.duckdb.part"
    shutil.copy(passed.path, part)
    with pytest.raises(PathRefused):
        publish.publish(passed.settings, part, passed.folder / "m.duckdb")
    assert part.exists()
    ours = tmp_path / "marts.duckdb"
    for _ in range(2):
        assert publish.publish(passed.settings, passed.path, ours).path == ours
    status, out, _ = run_on(passed, "--json", "publish", "--to", str(passed.path))
    assert (status, json.loads(out)["exit_status"]) == (2, 2)


def run_on(built: Warehouse, *arguments: str) -> tuple[int, str, str]:
    """A command on a built warehouse."""
    house = House(built.folder / "house")
    house.path = built.path
    return run(house, *arguments)


@pytest.mark.parametrize("target", ["/proc/nowhere/x.duckdb", "/dev/null/x.duckdb", "/proc/x.duckdb"])
def test_places_that_cannot_be_written_are_messages(passed: Warehouse, target: str) -> None:
    status, out, err = run_on(passed, "--json", "publish", "--to", target)
    assert status == 1
    assert "cannot be written" in json.loads(out)["error"]
    assert "Traceback" not in err
    house = House(passed.folder / "another")
    house.path = Path(target)
    write(house.data / NAME, candles())
    for command in (["load", "--data-dir", str(house.data)], ["check", "--data-dir", str(house.data)], ["status"]):
        status, _, err = run(house, *command)
        assert status in (0, 1)
        assert "Traceback" not in err


def test_data_docs_never_empty_a_folder_that_holds_a_warehouse(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    write(folder / data_docs._MARK, "")
    data_docs.require_ours(folder, (tmp_path / "w.duckdb",))
    with pytest.raises(FolderNotOurs):
        data_docs.require_ours(folder, (folder / "w.duckdb",))


# Names of warehouses.


STEMS = "raw OPS marts staging intermediate state seeds main temp system memory my.ware published_before"


@pytest.mark.parametrize("stem", STEMS.split())
def test_a_warehouse_that_the_engine_would_mistake_is_refused_at_once(tmp_path: Path, stem: str) -> None:
    house = House(tmp_path)
    house.path = tmp_path / f"{stem}.duckdb"
    write(house.data / NAME, candles())
    for command in (["load", "--data-dir", str(house.data)], ["status"], ["publish"]):
        status, out, _ = run(house, "--json", *command)
        assert (status, json.loads(out)["exit_status"]) == (2, 2)
        assert "--warehouse" in json.loads(out)["error"]
    assert not house.path.exists()


# What is not found is said.


def test_forget_finds_a_file_however_it_is_spelled_and_says_what_it_does_not_find(house: House) -> None:
    good = [
        write(house.data / "in" / f"BTCUSDT-5m-2024-03-0{day}.csv", candles(100, f"2024-03-0{day}"))
        for day in (5, 6, 7)
    ]
    link = house.path.parent / "link"
    link.symlink_to(house.data)
    house.load()
    status, out, _ = run(house, "--json", "forget", "--file", str(house.data / "in" / ".." / "in" / good[0].name))
    assert (status, json.loads(out)["forgotten"]) == (0, [str(good[0])])
    status, out, _ = run(house, "--json", "forget", "--file", str(link / "in" / good[1].name), "--file", "typo")
    assert (status, json.loads(out)["forgotten"], json.loads(out)["not_found"]) == (1, [str(good[1])], ["typo"])
    status, out, _ = run(house, "--json", "forget", "--symbol", "BTCUSDT", "--symbol", "ETHUSDT", "--dry-run")
    assert (status, json.loads(out)["not_found"]) == (1, ["ETHUSDT"])
    status, out, _ = run(house, "--json", "forget", "--file", "typo")
    assert status == 1
    assert "typo" in json.loads(out)["error"]


# One JSON document, always.


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status"], 1),
        (["load"], 2),
        (["nonsense"], 2),
        (["load", "--symbol", "btc"], 2),
        (["load", "--data-dir", "/nowhere"], 2),
        (["load", "--throttle-ms", "x"], 2),
        (["forget"], 2),
        (["load", "--resume", "x", "--data-dir", "."], 1),
        (["validate"], 1),
        (["publish"], 1),
    ],
)
def test_an_error_is_one_json_document(house: House, arguments: list[str], expected: int) -> None:
    status, out, err = run(house, "--json", *arguments)
    answer = json.loads(out)
    assert (status, answer["exit_status"]) == (expected, expected)
    assert answer["error"]
    assert err


def test_busy_broken_settings_and_faults_of_ours_are_json_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with warehouse.write_lock(house.path):
        status, out, _ = run(house, "--json", "load", "--data-dir", str(house.data))
    assert (status, json.loads(out)["exit_status"]) == (75, 75)
    with monkeypatch.context() as patch:
        patch.setenv("LOADERS_THREADS", "many")
        status, out, _ = run(house, "--json", "status")
        assert (status, json.loads(out)["exit_status"]) == (2, 2)
        assert "LOADERS_THREADS" in json.loads(out)["error"]
    with monkeypatch.context() as patch:
        patch.setattr(loading, "survey", lambda *_: 1 / 0)
        status, out, err = run(house, "--json", "load", "--data-dir", str(house.data))
        assert (status, json.loads(out)["exit_status"]) == (1, 1)
        assert "ZeroDivisionError" in err


# What a killed command leaves, and clocks.


def test_a_killed_validation_leaves_nothing_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    program = (
        "import sys, pathlib, time; from loaders.validation import runner\n"
        "with runner._spill_folder(pathlib.Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with runner._spill_folder(path):
        # The other one lives: its folder stays.
        assert len(list(tmp_path.glob("w.duckdb.validate-*"))) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with runner._spill_folder(path):
        assert len(list(tmp_path.glob("w.duckdb.validate-*"))) == 1
    assert not list(tmp_path.glob("w.duckdb.validate-*"))


def test_a_webhook_is_one_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    monkeypatch.setattr(notify, "_request", lambda method, url, body: sent.append(url))
    monkeypatch.setattr(notify, "_call", lambda *_: pytest.fail("taken for a command"))
    for url in ("HTTP://host/x", "Https://host/x", " https://host/x"):
        notify.send_notice(url, {})
    assert sent == ["HTTP://host/x", "Https://host/x", "https://host/x"]


def test_a_clock_that_went_back_is_named(passed: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    passed.change("update state.builds set started_at = started_at + interval 1 day")
    with warehouse.reader(passed.path) as connection:
        trouble = readiness.state_of(lambda sql: connection.execute(sql).fetchall()).build_trouble
    assert trouble is not None
    assert "set the clock" in trouble
    # Loads go by what is there, not by when: nothing is lost or landed twice.
    house = House(passed.folder / "clock")
    write(house.data / NAME, candles())
    house.load()
    past = ledger.now() - timedelta(days=400)
    monkeypatch.setattr(ledger, "now", lambda: past)
    write(house.data / "BTCUSDT-5m-2024-03-06.csv", candles(100, "2024-03-06"))
    report = house.load()
    assert (report.totals.files_loaded, report.totals.files_skipped) == (1, 1)
    house.consistent()


def test_ten_thousand_symbols_in_one_folder_are_listed_in_seconds(tmp_path: Path) -> None:
    for number in range(10_000):
        write(tmp_path / f"S{number}USDT-5m-{DAY}.csv", "x")
    before = time.process_time()
    found = discovery.discover([tmp_path])
    assert len(found.candidates) == 10_000
    assert time.process_time() - before < 10
