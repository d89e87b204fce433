"""Only a state that passed everything is published, and readers never see half of it."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from loaders.delivery import publish
from loaders.delivery.publish import Publication
from loaders.errors import NotPublishable, PlaceUnwritable, PublishedBusy, WarehouseBusy, WarehouseMissing
from tests.support import commands
from tests.support.warehouse import Warehouse

PUBLISHES = 20


def target_of(warehouse: Warehouse) -> Path:
    return warehouse.folder / "marts.duckdb"


def published(
    warehouse: Warehouse,
    job_id: str | None = None,
    target: Path | None = None,
    *,
    full: bool = False,
    begun: publish.Begun | None = None,
) -> Publication:
    return publish.publish(
        warehouse.settings,
        warehouse.path,
        target or target_of(warehouse),
        job_id=job_id,
        wait_seconds=10,
        full=full,
        begun=begun,
    )


def another_build(warehouse: Warehouse, *statements: str, models: Iterable[tuple[str, str, str]] = ()) -> None:
    """Changes tables as a build does that passed. `models` are those rebuilt: model, symbol, and from when on."""
    rebuilds = [
        f"""
        insert into state.rebuilds by name
        select (select coalesce(max(rebuild_id), 0) + 1 from state.rebuilds) as rebuild_id, '{model}' as model,
            'binance' as exchange, '{symbol}' as symbol, timestamp '{since}' as rebuild_from
        """
        for model, symbol, since in models
    ]
    of_now = "uuid()::varchar as build_id, now()::timestamp as started_at, now()::timestamp as finished_at"
    last_change = "(select max(change_id) from ops.ingestion_changes)"
    warehouse.change(
        *statements,
        *rebuilds,
        f"""
        insert into state.builds
        select * replace ({of_now}, {last_change} as change_id) from state.builds
        where command = 'build' order by started_at desc limit 1
        """,
        f"""
        update ops.validation_results
        set build_id = (select max_by(build_id, started_at) from state.builds), change_id = {last_change}
        """,
    )


@pytest.fixture(scope="module")
def published_once(built_once: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `passed` publishes first. Do not change it."""
    return published(built_once, target=tmp_path_factory.mktemp("published") / "marts.duckdb").path


def beside(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir() if path.name.startswith(target.name)}


def test_the_published_file_holds_every_mart_row_for_row(passed: Warehouse) -> None:
    publication = published(passed)
    marts = passed.marts()
    with duckdb.connect(str(publication.path), read_only=True) as connection:
        tables = connection.execute(
            "select table_name, table_type from information_schema.tables where table_schema = 'main' order by 1"
        ).fetchall()
        assert tables == [(name, "BASE TABLE") for name in sorted([*marts, "published", "quality_checks_history"])]
        for name, rows in marts.items():
            # Both ways of writing a table work, though the file is called like the schema.
            for written in (name, f"marts.{name}"):
                found = connection.execute(f"select * from {written} order by all nulls last").fetchall()
                assert found == rows, written
    assert marts["klines_5m"]
    assert {name: count for name, count in publication.rows.items() if "." not in name} == {
        name: len(rows) for name, rows in marts.items()
    }


def test_what_people_ask_beside_the_marts_is_in_it_row_for_row(passed: Warehouse) -> None:
    publication = published(passed)
    with duckdb.connect(str(publication.path), read_only=True) as connection:
        for schema, name in publish.COMPANIONS:
            query = f"select * from {schema}.{name} order by all nulls last"
            assert connection.execute(query).fetchall() == passed.query(query), (schema, name)
        uncommented = connection.execute(
            """
            select schema_name, table_name, column_name from duckdb_columns()
            where not internal and comment is null and table_name not in ('published', 'quality_checks_history')
            """
        ).fetchall()
    assert uncommented == []


def test_the_checks_history_holds_each_change_of_a_status(passed: Warehouse) -> None:
    first = published(passed)
    checks = passed.query("select count(*) from marts.quality_checks")[0][0]
    second = published(passed, full=True)
    another_build(passed, "update marts.quality_checks set status = 'fail' where check_name = 'freshness'")
    changed = passed.query("select count(*) from marts.quality_checks where check_name = 'freshness'")[0][0]
    third = published(passed)
    with duckdb.connect(str(third.path), read_only=True) as connection:
        history = connection.execute(
            "select published_at, count(*) from quality_checks_history group by all order by all"
        ).fetchall()
    assert history == [(first.published_at, checks), (third.published_at, changed)]
    assert second.published_at not in dict(history)


@pytest.mark.parametrize("analysis", sorted(Path("analyses").glob("*.sql")), ids=lambda path: path.stem)
def test_analyses_run_as_they_stand_on_warehouse_and_published_file(built_once: Warehouse, analysis: Path) -> None:
    target = target_of(built_once)
    if not target.exists():
        published(built_once)
    query = analysis.read_text(encoding="utf-8")
    with duckdb.connect(str(target), read_only=True) as connection:
        found = connection.execute(query).fetchall()
    assert sorted(map(str, found)) == sorted(map(str, built_once.query(query)))


def test_a_file_of_another_name_has_a_schema_marts(passed: Warehouse) -> None:
    publication = published(passed, target=passed.folder / "for clients.duckdb")
    queries = ("select count(*) from klines_5m", "select count(*) from marts.klines_5m")
    with duckdb.connect(str(publication.path), read_only=True) as connection:
        assert len({connection.execute(query).fetchone() for query in queries}) == 1
    with duckdb.connect() as connection:
        connection.execute(f"attach '{publication.path}' as theirs (read_only)")
        assert connection.execute("select count(*) > 0 from theirs.marts.klines_5m").fetchone() == (True,)


def test_it_says_when_it_was_published_from_which_job_and_by_what(passed: Warehouse) -> None:
    publication = published(passed)
    validation, build = passed.query(
        "select any_value(job_id), any_value(build_id) from ops.validation_results where status = 'pass'"
    )[0]
    with duckdb.connect(str(publication.path), read_only=True) as connection:
        row = connection.execute(
            "select published_at, job_id, build_id, change_id, duckdb_version, storage_version from published"
        ).fetchall()
        storage = connection.execute(
            "select tags['storage_version'] from duckdb_databases() where database_name = current_database()"
        ).fetchone()
    last_change = passed.query("select max(change_id) from ops.ingestion_changes")[0][0]
    assert row == [(publication.published_at, validation, build, last_change, duckdb.__version__, "v1.0.0")]
    assert storage == ("v1.0.0+",)
    # Number of the storage format in the file's header: 64 is that of DuckDB 0.9 to 1.1, which later ones read.
    assert int.from_bytes(publication.path.read_bytes()[12:20], "little") == 64


def test_nobody_can_write_to_it_and_nothing_is_left_beside_it(passed: Warehouse) -> None:
    publication = published(passed)
    another_build(passed)
    published(passed)
    assert stat.S_IMODE(publication.path.stat().st_mode) == 0o444
    assert beside(publication.path) == {"marts.duckdb", "marts.duckdb.lock"}


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        pytest.param("drop table state.builds", "not built this warehouse", id="dbt never ran"),
        pytest.param("update state.builds set finished_at = null", "did not end", id="dbt was killed"),
        pytest.param("update state.builds set nodes_failed = 1", "1 models or tests failed", id="a test failed"),
        pytest.param("update state.builds set nodes_left_out = 2", "left out 2", id="a part was built"),
        pytest.param("update state.builds set change_id = null", "landed or forgotten", id="a file came while dbt ran"),
        pytest.param(
            "insert into ops.ingestion_changes by name select 1000000 as change_id",
            "landed or forgotten",
            id="a file came after the build",
        ),
        pytest.param(
            "insert into state.builds by name select 'x' as build_id, 'test' as command, "
            "now()::timestamp as started_at, now()::timestamp as finished_at, 1 as nodes_failed",
            "1 models or tests failed",
            id="a later run of the tests failed",
        ),
        pytest.param("delete from ops.validation_results", "nothing was validated", id="never validated"),
        pytest.param(
            "update ops.validation_results set build_id = 'x'", "saw another build", id="validated before the build"
        ),
        pytest.param(
            "update ops.validation_results set status = 'fail' where expectation = 'key_is_complete'",
            "did not pass",
            id="an expectation failed",
        ),
        pytest.param(
            "update ops.validation_results set status = 'error' where table_name = 'marts.klines_5m'",
            "did not pass",
            id="an expectation could not be asked",
        ),
    ],
)
def test_what_did_not_pass_is_not_published_and_the_last_file_stays(
    passed: Warehouse, published_once: Path, statement: str, why: str
) -> None:
    target = target_of(passed)
    shutil.copy(published_once, target)
    before = target.read_bytes()
    passed.change(statement)
    with pytest.raises(NotPublishable, match=why):
        published(passed)
    assert target.read_bytes() == before
    assert beside(target) == {"marts.duckdb", "marts.duckdb.lock"}


def test_a_later_run_of_passing_tests_changes_nothing(passed: Warehouse) -> None:
    passed.change(
        "insert into state.builds by name select 'x' as build_id, 'test' as command, now()::timestamp as started_at, "
        "now()::timestamp as finished_at, 0 as nodes_failed, 9 as nodes_left_out",
    )
    published(passed)


def test_a_publication_that_breaks_off_leaves_the_last_file(passed: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    target = published(passed).path
    before = target.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(publish, "_sync", full)
    with pytest.raises(PlaceUnwritable, match="no space left"):
        published(passed, full=True)
    assert target.read_bytes() == before
    assert beside(target) == {"marts.duckdb", "marts.duckdb.lock"}
    monkeypatch.undo()
    # A killed process leaves the beginning of a database.
    (target.parent / "marts.duckdb.part").write_bytes(before[: len(before) // 2])
    assert published(passed, full=True).written


def test_two_do_not_publish_at_once(passed: Warehouse) -> None:
    settings, target = passed.settings, target_of(passed)
    with FileLock(f"{target}.lock"), pytest.raises(PublishedBusy):
        publish.publish(settings, passed.path, target)
    with pytest.raises(WarehouseMissing):
        publish.publish(settings, passed.folder / "nothing.duckdb", target)


@pytest.mark.parametrize("copied_by", ["the system", "hand", "both in turn"])
def test_a_publication_that_was_begun_leaves_nothing_where_it_does_not_come(
    passed: Warehouse, monkeypatch: pytest.MonkeyPatch, copied_by: str
) -> None:
    """The copy is taken away, and others may publish; as long as it is there, they may not."""
    target = target_of(passed)
    within_the_system, pieces = os.copy_file_range, itertools.count()

    def copy_file_range(source: int, copy: int, count: int) -> int:
        is_odd = next(pieces) % 2
        if copied_by == "hand" or (copied_by == "both in turn" and is_odd):
            raise OSError("not from this disk to that")
        return within_the_system(source, copy, count)

    monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    monkeypatch.setattr(publish, "_COPIED_AT_ONCE", 1 << 18)
    assert publish.begin(passed.path, target) is None
    before = published(passed).path.read_bytes()
    # What lies there is replaced, not written into: it may be a link.
    theirs = passed.folder / "theirs.duckdb"
    theirs.write_bytes(before)
    theirs.chmod(0o444)
    (target.parent / "marts.duckdb.part").symlink_to(theirs)
    begun = publish.begin(passed.path, target)
    assert begun is not None
    assert begun.is_copy_of(target)
    part = target.parent / "marts.duckdb.part"
    assert not part.is_symlink()
    assert part.read_bytes() == before
    assert next(pieces) > 2
    assert publish.begin(passed.path, target) is None
    with pytest.raises(PublishedBusy):
        publish.publish(passed.settings, passed.path, target)
    another_build(passed, "delete from ops.validation_results")
    with pytest.raises(NotPublishable):
        published(passed, begun=begun)
    begun.close()
    begun.close()
    assert target.read_bytes() == before
    assert beside(target) == {"marts.duckdb", "marts.duckdb.lock"}
    with FileLock(f"{target}.lock", timeout=0):
        pass
    # A place that is refused is left to the publication to tell.
    assert publish.begin(passed.path, passed.path) is None


def test_a_copy_that_does_not_stand_is_made_again(passed: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it failed or ended early, where another file was put there meanwhile, and where it was to go elsewhere."""
    target = published(passed).path

    def rebuilt(begun: publish.Begun | None) -> Publication:
        assert begun is not None
        another_build(passed, models=[("klines_5m", "AAAUSDT", "2024-03-02 23:55:00")])
        found = published(passed, begun=begun)
        begun.close()
        assert "klines_5m" in found.changed
        assert beside(target) == {"marts.duckdb", "marts.duckdb.lock"}
        return found

    plain_open = Path.open

    def full(self: Path, *arguments: Any, **more: Any) -> Any:
        if self.suffix == ".part":
            raise OSError("no space left")
        return plain_open(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        begun = publish.begin(passed.path, target)
        assert begun is not None
        assert not begun.is_copy_of(target)
    rebuilt(begun)
    with monkeypatch.context() as patch:
        patch.setattr(publish, "_copy_piece", lambda *_: 0)
        begun = publish.begin(passed.path, target)
        assert begun is not None
        assert not begun.is_copy_of(target)
    rebuilt(begun)
    begun = publish.begin(passed.path, target)
    assert begun is not None
    assert begun.is_copy_of(target)
    target.replace(passed.folder / "moved.duckdb")
    assert not begun.is_copy_of(target)
    shutil.copy(passed.folder / "moved.duckdb", target)
    assert not begun.is_copy_of(target)
    rebuilt(begun)
    begun = publish.begin(passed.path, target)
    other = published(passed, target=passed.folder / "other.duckdb", begun=begun)
    assert other.path.name == "other.duckdb"
    rebuilt(begun)


@pytest.mark.parametrize("comes", ["and writes", "and is killed", "and stays"])
def test_a_writer_that_comes_between_two_tables_is_noticed(
    passed: Warehouse, monkeypatch: pytest.MonkeyPatch, comes: str
) -> None:
    """The warehouse, here behind a link, is opened anew for each large table; what is published is of one state, or
    nothing is."""
    disk = passed.folder / "disk"
    disk.mkdir()
    passed.path.symlink_to(passed.path.rename(disk / passed.path.name))
    target = published(passed).path
    before = target.read_bytes()
    another_build(passed, models=[("klines_5m", "AAAUSDT", "2024-03-02 23:55:00")])
    attach, times = publish._Source.attach, itertools.count()

    def attach_late(source: publish._Source) -> None:
        if next(times) != 2:
            attach(source)
        elif comes == "and writes":
            passed.change("update marts.klines_5m set open = open + 1")
            attach(source)
        elif comes == "and is killed":
            write = "import duckdb, os, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2]); os._exit(1)"
            change = "update marts.klines_5m set open = open + 1"
            subprocess.run([sys.executable, "-c", write, str(passed.path), change], check=False)
            attach(source)
        else:
            with passed.held_by_another_process():
                attach(source)

    monkeypatch.setattr(publish._Source, "attach", attach_late)
    with pytest.raises(WarehouseBusy):
        published(passed)
    assert next(times) == 3
    assert target.read_bytes() == before
    assert beside(target) == {"marts.duckdb", "marts.duckdb.lock"}


def test_the_warehouse_stays_open_where_a_loader_waits_for_it(
    passed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(passed)
    another_build(passed, models=[("klines_5m", "AAAUSDT", "2024-03-02 23:55:00")])
    attach, times = publish._Source.attach, itertools.count()

    def attach_counted(source: publish._Source) -> None:
        next(times)
        attach(source)

    monkeypatch.setattr(publish._Source, "attach", attach_counted)
    with FileLock(f"{passed.path}.lock"):
        assert published(passed).changed
    assert next(times) == 1


def test_the_command_says_what_it_did_or_why_not(passed: Warehouse) -> None:
    command = ("publish", "--to", str(passed.folder / "theirs.duckdb"))
    status, printed, _ = commands.run(passed, *command)
    assert status == 0
    assert "for DuckDB v1.0.0 and later" in printed
    passed.change("update state.builds set nodes_failed = 1")
    assert commands.run(passed, *command)[0] == 1


# A reader as clients are: opens, asks twice, closes, without any care. Every publication has one number in all tables.
# It is half of its time in the file, and leaves the other half to the publications.
READER = """
import sys, time, duckdb
path, numbers = sys.argv[1], set()
print("ready", flush=True)
reads = 0
while reads == 0 or max(numbers) < int(sys.argv[2]):
    with duckdb.connect(path, read_only=True) as connection:
        seen = set()
        for _ in range(2):
            seen |= set(connection.execute('''
                select replace(job_id, 'job-', '')::bigint from published
                union all select distinct trade_count from klines_5m
                union all select distinct trade_count from marts.candles_with_side
            ''').fetchall())
    assert len(seen) == 1, f"a mixture: {seen}"
    numbers.add(seen.pop()[0])
    reads += 1
    time.sleep(0.02)
print(reads, len(numbers))
"""


def test_a_reader_sees_no_error_and_no_mixture_while_20_runs_publish(passed: Warehouse) -> None:
    def publish_number(number: int) -> None:
        another_build(
            passed,
            f"update marts.klines_5m set trade_count = {number}",
            f"update marts.candles_with_side set trade_count = {number}",
            models=[
                (mart, symbol, "1970-01-01")
                for mart in ("klines_5m", "candles_with_side")
                for symbol in ("AAAUSDT", "BBBUSDT")
            ],
        )
        published(passed, job_id=f"job-{number}")

    publish_number(0)
    target = target_of(passed)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(target), str(PUBLISHES)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        with duckdb.connect(str(target), read_only=True) as held:
            for number in range(1, PUBLISHES + 1):
                assert reader.poll() is None, "the reader ended early"
                publish_number(number)
            # Who opened the first file still has it, whole.
            assert held.execute(
                "select job_id, (select max(trade_count) from klines_5m) from published"
            ).fetchall() == [("job-0", 0)]
        printed, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    reads, numbers = map(int, printed.split())
    assert reads > PUBLISHES / 2
    assert numbers > PUBLISHES / 4


def test_a_state_that_is_published_already_is_left_as_it_is(passed: Warehouse) -> None:
    first = published(passed)
    before = first.path.read_bytes()
    second = published(passed, job_id="another job")
    assert (second.written, second.job_id, second.published_at, second.rows) == (
        False,
        first.job_id,
        first.published_at,
        first.rows,
    )
    assert first.path.read_bytes() == before
    assert "nothing changed since it was published" in publish.text(second)
    assert published(passed, full=True).written
    # The same state under another name is another file; what somebody wrote into one is no publication of it.
    assert published(passed, target=passed.folder / "theirs.duckdb").written
    (passed.folder / "theirs.duckdb.wal").touch()
    assert published(passed, target=passed.folder / "theirs.duckdb").written


#: How a build may leave rows of a symbol from a time on, by incremental mart.
REBUILDS = {
    "klines_5m": ("open_time", "update {rows} set close = close + 1 where {of}"),
    "open_interest_5m": ("snapshot_at", "delete from {rows} where {of} and hash(snapshot_at) % 3 = 0"),
    "candles_with_side": ("open_time", "insert into {rows} select * from {rows} where {of} limit 5"),
    # Earlier levels, too: of those that had not ended before, one ends that stood, and one stands that had ended.
    "liquidation_levels": (
        "opened_at",
        "update {rows} set quantity = 1 where {of};"
        "update {rows} set liquidated_at = null, closed_at = case when coalesce(liquidated_at, closed_at) is null"
        " then greatest({since}, opened_at + interval '9 hours') end"
        " where symbol = '{symbol}' and coalesce(liquidated_at, closed_at, timestamp '9999-12-31') >= {since}"
        " and hash(opened_at) % 3 > 0",
    ),
    "int_liquidation_timeline": ("step_at", "delete from {rows} where {of}"),
}


@pytest.mark.parametrize("seed", range(3))
def test_a_publication_of_changes_has_the_tables_of_a_full_one(passed: Warehouse, seed: int) -> None:
    """Symbols rebuilt from some time on, files landed behind a view, withheld and let in again, publications missed."""
    chance = random.Random(seed)
    by_change, full = passed.folder / "by_change.duckdb", passed.folder / "full.duckdb"
    published(passed, target=by_change)
    changed: set[str] = set()
    for number in range(3):
        for _ in range(chance.randrange(1, 4)):
            mart = chance.choice(list(REBUILDS))
            time, statement = REBUILDS[mart]
            symbol, since = chance.choice(["AAAUSDT", "BBBUSDT"]), f"2024-03-02 {chance.randrange(14, 24)}:05:00"
            schema = "intermediate" if mart.startswith("int_") else "marts"
            of = f"symbol = '{symbol}' and {time} >= timestamp '{since}'"
            another_build(
                passed,
                statement.format(rows=f"{schema}.{mart}", of=of, symbol=symbol, since=f"timestamp '{since}'"),
                models=[(mart, symbol, since)],
            )
        if chance.random() < 0.5:
            since = f"2024-03-02 {chance.randrange(14, 20)}:00:00"
            another_build(
                passed,
                f"delete from raw.binance_klines where symbol = 'BBBUSDT' and open_time >= '{since}'"
                " and hash(open_time) % 2 = 0",
                "insert into ops.ingestion_changes by name select (select max(change_id) + 1 from"
                " ops.ingestion_changes) as change_id, 'binance' as exchange, 'klines' as dataset, 'um' as market,"
                f" 'BBBUSDT' as symbol, timestamp '{since}' as range_start, timestamp '2024-03-02 23:55' as range_end",
            )
        if chance.random() < 0.3:
            another_build(
                passed, "update marts.symbol_status set is_published = not is_published where symbol like 'A%'"
            )
        begun = publish.begin(passed.path, by_change) if number else None
        changed |= set(published(passed, target=by_change, begun=begun).changed)
        if begun is not None:
            begun.close()
        published(passed, target=full, full=True)
        with duckdb.connect() as connection:
            for name, path in (("by_change", by_change), ("full_one", full)):
                connection.execute(f"attach '{path}' as {name} (read_only)")
            assert _contents(connection, "by_change") == _contents(connection, "full_one")
    assert changed


def _contents(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """Rows of every table, and comments, but for what says when a file was written."""
    tables = connection.execute(
        "select schema_name, table_name, comment from duckdb_tables() where database_name = $1", [name]
    ).fetchall()
    columns = connection.execute(
        "select schema_name, table_name, column_name, data_type, comment from duckdb_columns()"
        " where database_name = $1 and not internal order by all",
        [name],
    ).fetchall()
    found: dict[str, Any] = {"columns": columns, "comments": sorted(map(str, tables))}
    for schema, table, _ in tables:
        if table not in ("published", "quality_checks_history"):
            query = f"select * from {name}.{schema}.{table} order by all nulls last"
            found[f"{schema}.{table}"] = connection.execute(query).fetchall()
    return found


def test_a_withheld_symbol_is_left_out_and_told(passed: Warehouse) -> None:
    """Its market data go, what tells of it stays, and other symbols are whole."""
    passed.change("update marts.symbol_status set is_published = false, reasons = 'jumps' where symbol = 'AAAUSDT'")
    publication = published(passed)
    assert publication.exit_status == 1
    assert publication.withheld == (("binance", "AAAUSDT", "jumps"),)
    with duckdb.connect(str(publication.path), read_only=True) as connection:
        for table in ("candles", "klines_5m", "open_interest_5m", "liquidation_levels", "liquidation_map"):
            found = connection.execute(f"select distinct symbol from {table} where symbol like '%USDT'").fetchall()
            assert found == [("BBBUSDT",)], table
            kept = connection.execute(f"select count(*) from {table} where symbol = 'BBBUSDT'").fetchone()
            assert [kept] == passed.query(f"select count(*) from marts.{table} where symbol = 'BBBUSDT'")
        for table in ("data_gaps", "data_completeness", "quality_checks", "symbol_status"):
            rows = connection.execute(f"select count(*) from {table}").fetchone()
            assert [rows] == passed.query(f"select count(*) from marts.{table}"), table


def test_where_most_was_rebuilt_the_file_begins_anew(passed: Warehouse) -> None:
    """Else it would carry the space of all that was replaced from night to night."""
    target = passed.folder / "marts.duckdb"
    published(passed, target=target)
    everything = [
        (mart, symbol, "1970-01-01") for mart in (*REBUILDS, "liquidation_heatmap") for symbol in ("AAAUSDT", "BBBUSDT")
    ]
    another_build(passed, models=everything)
    assert published(passed, target=target).changed == ()
    another_build(passed, models=[("klines_5m", "AAAUSDT", "2024-03-02 23:55:00")])
    assert "klines_5m" in published(passed, target=target).changed
