"""What is exported is what the warehouse has, only changes are written, and readers see whole partitions alone."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders import warehouse as warehouses
from loaders.delivery import export as exporting
from loaders.delivery.export import Export
from loaders.delivery.publish import ABOUT_THE_DATA
from loaders.delivery.zone import open_zone
from loaders.errors import NotExportable, PathRefused, ZoneBusy, ZoneConflict
from loaders.ingest import forget
from loaders.selection import Selection
from tests.support import archive, commands
from tests.support.warehouse import Warehouse

KILLS = 2
DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
#: Trades a day that `archive.agg_trades` writes, one every ten seconds.
TRADES_A_DAY = 8640


def exported(warehouse: Warehouse, zone: Path | None = None, **options: Any) -> Export:
    return exporting.export(
        warehouse.settings, warehouse.path, str(zone or warehouse.folder / "zone"), wait_seconds=10, **options
    )


def tree(zone: Path) -> dict[str, str]:
    """Hash of each file that readers see."""
    files = [path for path in zone.rglob("*") if path.is_file() and ".parts" not in path.parts]
    return {path.relative_to(zone).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Names of tables' files that came, went or changed."""
    return {
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) and not name.startswith("manifest")
    }


def rows_of(zone: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Rows of a table as any reader gets them, without what the folders say."""
    with duckdb.connect() as connection:
        return connection.execute(
            f"select {columns} from read_parquet('{zone}/{table}/**/*.parquet', hive_partitioning = false) order by all"
        ).fetchall()


@pytest.fixture(scope="module")
def landed_once(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Two symbols, three days, and views of raw rows alone: what a machine has that only loads."""
    warehouse = Warehouse(tmp_path_factory.mktemp("landed") / "warehouse")
    for symbol in ("AAAUSDT", "BBBUSDT"):
        for number, of in enumerate(DAYS):
            archive.agg_trades(warehouse.data, symbol, of, number * TRADES_A_DAY + 1)
            archive.klines(warehouse.data, symbol, of, keep=lambda time: time.hour != 5)
    warehouse.load()
    stage(warehouse, "+path:models/staging")
    return warehouse


@pytest.fixture
def landed(landed_once: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy of it that a test may change; the data folder is its own."""
    return landed_once.copy(tmp_path / "warehouse")


def stage(warehouse: Warehouse, *models: str) -> None:
    """Views follow what is landed by themselves; dbt says that it has seen it."""
    warehouse.dbt("run", "--select", *(models or ("base_binance__klines",)))


def forget_symbol(warehouse: Warehouse, symbol: str) -> None:
    with warehouses.writer(warehouse.settings, warehouse.path) as opened:
        forget.forget(opened, warehouse.settings, [], Selection(symbols=frozenset({symbol})), {})
    stage(warehouse)


def export_raw(warehouse: Warehouse, zone: Path | None = None, **options: Any) -> Export:
    return exported(warehouse, zone, areas=("raw",), **options)


def export_to(warehouse: Warehouse, zone: Path) -> Path:
    export_raw(warehouse, zone)
    return zone


def test_the_zone_holds_every_mart_row_for_row(passed: Warehouse) -> None:
    done = exported(passed)
    zone = passed.folder / "zone"
    marts = passed.marts()
    for name, rows in marts.items():
        wanted = [row for row in rows if name != "quality_checks" or row[3]]
        assert (rows_of(zone, f"marts/{name}") if (zone / "marts" / name).exists() else []) == sorted(
            wanted, key=lambda row: [(value is None, value) for value in row]
        ), name
    assert marts["klines_5m"]
    assert marts["liquidation_heatmap"]
    assert done.exit_status == 0


def test_the_zone_holds_every_raw_row_and_says_which_file_brought_it(passed: Warehouse) -> None:
    exported(passed)
    zone = passed.folder / "zone"
    for table in ("binance_klines", "binance_agg_trades", "binance_metrics", "kraken_ohlcvt"):
        # No file overlaps another one here, so all rows are chosen.
        found = rows_of(zone, f"raw/{table}", "* exclude (file_id)")
        assert found == passed.query(f"select * exclude (file_id) from raw.{table} order by all"), table
        with duckdb.connect() as connection:
            by_file = connection.execute(
                f"""
                select files.sha256, count(*)
                from read_parquet('{zone}/raw/{table}/**/*.parquet') as landed
                inner join read_parquet('{zone}/ops/ingestion_files/**/*.parquet') as files using (file_id)
                group by all
                order by all
                """
            ).fetchall()
        assert by_file == passed.query(
            f"""
            select sha256, count(*) from raw.{table} join ops.ingestion_files using (file_id)
            group by all
            order by all
            """
        ), table


def test_the_manifest_tells_rows_size_and_checksum_of_every_file(passed: Warehouse) -> None:
    done = exported(passed)
    zone = passed.folder / "zone"
    manifest = json.loads((zone / "manifest.json").read_text())
    told = {part["path"]: part for part in manifest["partitions"]}
    files = {name: digest for name, digest in tree(zone).items() if name.endswith(".parquet")}
    assert {name: part["sha256"] for name, part in told.items()} == files
    with duckdb.connect() as connection:
        for name, part in told.items():
            (rows,) = connection.execute("select count(*) from read_parquet(?)", [str(zone / name)]).fetchall()
            assert (part["rows"], part["bytes"], part["change_id"]) == (
                rows[0],
                (zone / name).stat().st_size,
                done.change_id,
            )
            # The file itself says so, too: with it, nobody depends on the manifest's having been written already.
            inside = connection.execute(
                "select decode(value) from parquet_kv_metadata(?) where decode(key) = 'change_id'", [str(zone / name)]
            ).fetchall()
            assert inside == [(str(done.change_id),)]
    assert {(one["exchange"], one["symbol"]) for one in manifest["symbols"]} == {
        ("binance", "AAAUSDT"),
        ("binance", "BBBUSDT"),
        ("kraken", "XBTUSD"),
    }
    assert sum(table["rows"] for table in manifest["tables"].values()) == done.rows
    assert [path.name for path in (zone / ".parts").iterdir() if path.is_dir()] == []


def test_files_are_sorted_by_time(landed_once: Warehouse, tmp_path: Path) -> None:
    export_raw(landed_once, tmp_path / "zone")
    with duckdb.connect() as connection:
        for name, time_column in (("binance_agg_trades", "transact_time"), ("binance_klines", "open_time")):
            for path in sorted((tmp_path / "zone/raw" / name).rglob("*.parquet")):
                times = connection.execute(f"select {time_column} from read_parquet(?)", [str(path)]).fetchall()
                assert times == sorted(times)
                assert len(times) > 100


def test_a_second_export_writes_nothing(passed: Warehouse) -> None:
    first = exported(passed)
    zone = passed.folder / "zone"
    before = {path: path.stat().st_mtime_ns for path in zone.rglob("*.parquet")}
    again = exported(passed)
    assert (again.written, again.removed, again.kept) == (0, 0, first.written)
    assert {path: path.stat().st_mtime_ns for path in zone.rglob("*.parquet")} == before


def test_one_changed_day_rewrites_one_partition_and_an_older_file_is_rescued_from(landed: Warehouse) -> None:
    """A day published again, and a month that has an hour which the days lack: the days' rows count where they are."""
    zone = landed.folder / "zone"
    export_raw(landed)
    before = tree(zone)
    archive.agg_trades(landed.data, "AAAUSDT", DAYS[1], TRADES_A_DAY + 1, keep=lambda time: time.hour != 7)
    landed.load()
    stage(landed)
    done = export_raw(landed)
    day = f"raw/binance_agg_trades/exchange=binance/symbol=AAAUSDT/date={DAYS[1]}/rows.parquet"
    ledger = "ops/ingestion_files/exchange=binance/symbol=AAAUSDT/rows.parquet"
    assert changed(before, tree(zone)) == {day, ledger}
    assert (done.written, done.removed) == (2, 0)
    assert len(rows_of(zone, f"raw/binance_agg_trades/exchange=binance/symbol=AAAUSDT/date={DAYS[1]}")) == 23 * 360

    before = tree(zone)
    archive.klines(landed.data, "AAAUSDT", "2024-03", keep=lambda time: time.day <= 3)
    landed.load()
    stage(landed)
    export_raw(landed)
    month = "raw/binance_klines/exchange=binance/symbol=AAAUSDT/month=2024-03"
    assert changed(before, tree(zone)) == {f"{month}/rows.parquet", ledger}
    five_minutes = [row for row in rows_of(zone, month, "open_time, file_id, interval") if row[2] == "5m"]
    assert len({opened for opened, *_ in five_minutes}) == len(five_minutes) == 3 * 288
    days_of = {
        file_id: span.days
        for file_id, span in rows_of(zone, "ops/ingestion_files", "file_id, period_end - period_start")
    }
    from_month = {opened.hour for opened, file_id, _ in five_minutes if days_of[file_id] > 1}
    assert from_month == {5}

    export_raw(landed, landed.folder / "calm")
    assert tables_of(tree(landed.folder / "calm")) == tables_of(tree(zone))


def tables_of(files: dict[str, str]) -> set[str]:
    """Names of tables' files; their change numbers differ with the way there."""
    return {name for name in files if not name.startswith("manifest")}


def test_a_forgotten_symbol_leaves_the_zone(landed: Warehouse) -> None:
    export_raw(landed)
    forget_symbol(landed, "BBBUSDT")
    done = export_raw(landed)
    assert done.written == 0
    assert done.removed > 0
    left = tree(landed.folder / "zone")
    assert left
    assert [name for name in left if "BBBUSDT" in name] == []
    assert "BBBUSDT" not in (landed.folder / "zone/manifest.json").read_text()


@pytest.fixture
def another(landed_once: Warehouse, tmp_path: Path) -> Warehouse:
    """The same rows in a warehouse that was made at another time."""
    return landed_once.another(tmp_path / "another")


def test_two_warehouses_export_into_one_zone_at_once(
    landed_once: Warehouse, another: Warehouse, tmp_path: Path
) -> None:
    zone, whole = tmp_path / "zone", tmp_path / "whole"
    with ThreadPoolExecutor(2) as both:
        runs = [
            both.submit(export_raw, landed_once, zone, symbols=["AAAUSDT"]),
            both.submit(export_raw, another, zone, symbols=["BBBUSDT"]),
        ]
        assert [run.result().symbols for run in runs] == [1, 1]
    export_raw(landed_once, whole)
    for table in ("raw/binance_agg_trades", "raw/binance_klines", "ops/ingestion_files"):
        assert rows_of(zone, table) == rows_of(whole, table), table
    manifest = json.loads((zone / "manifest.json").read_text())
    assert {one["symbol"] for one in manifest["symbols"]} == {"AAAUSDT", "BBBUSDT"}
    assert len({one["warehouse"] for one in manifest["symbols"]}) == 2
    assert {part["path"] for part in manifest["partitions"]} == {name for name in tree(zone) if "manifest" not in name}


def test_a_symbol_of_another_warehouse_is_not_touched_unless_asked_for(
    landed_once: Warehouse, another: Warehouse, tmp_path: Path
) -> None:
    zone = tmp_path / "zone"
    export_raw(landed_once, zone)
    before = tree(zone)
    with pytest.raises(ZoneConflict, match=r"AAAUSDT, BBBUSDT .* another warehouse .* --take-over"):
        export_raw(another, zone)
    assert tree(zone) == before
    export_raw(another, zone, take_over=True)
    assert rows_of(zone, "raw/binance_klines") == rows_of(export_to(another, tmp_path / "calm"), "raw/binance_klines")
    with pytest.raises(ZoneConflict):
        export_raw(landed_once, zone)


def test_a_killed_export_is_done_again_and_readers_see_whole_partitions(landed_once: Warehouse, tmp_path: Path) -> None:
    calm, zone = tmp_path / "calm", tmp_path / "zone"
    started = time.perf_counter()
    run_export(landed_once, calm).wait()
    seconds = time.perf_counter() - started
    wanted = tree(calm)
    chance = random.Random(16)
    killed = 0
    for _ in range(KILLS):
        process = run_export(landed_once, zone)
        time.sleep(seconds * chance.uniform(0.5, 1))
        process.kill()
        killed += process.wait() != 0
        # Every file is one of a calm export already: nothing is ever half there.
        assert {
            name: digest for name, digest in tree(zone).items() if name.endswith(".parquet")
        }.items() <= wanted.items()
    assert killed
    run_export(landed_once, zone).wait()
    assert tree(zone) == wanted
    assert [path.name for path in (zone / ".parts").iterdir() if path.is_dir()] == []


def run_export(warehouse: Warehouse, zone: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "loaders", "export", "--only", "raw", "--to", str(zone)],
        env=warehouse.whole_environment,
        cwd=warehouse.project,
        stdout=subprocess.DEVNULL,
    )


def test_a_withheld_symbol_is_left_out_of_the_marts_and_told(passed: Warehouse) -> None:
    zone = passed.folder / "zone"
    exported(passed)
    whole = tree(zone)
    passed.change("update marts.symbol_status set is_published = false, reasons = 'jumps' where symbol = 'AAAUSDT'")
    done = exported(passed)
    assert (done.exit_status, done.withheld) == (1, (("binance", "AAAUSDT", "jumps"),))
    left = {name.split("/")[1] for name in tree(zone) if name.startswith("marts/") and "AAAUSDT" in name}
    assert left
    assert left <= set(ABOUT_THE_DATA)
    assert [name for name in whole if name.startswith("raw/") and name not in tree(zone)] == []
    passed.change("update marts.symbol_status set is_published = true, reasons = '' where symbol = 'AAAUSDT'")
    exported(passed)
    assert changed(whole, tree(zone)) == set()


def test_a_state_that_was_not_built_is_not_exported(landed: Warehouse) -> None:
    with pytest.raises(NotExportable, match="left out"):
        exported(landed)
    archive.klines(landed.data, "AAAUSDT", "2024-03-04")
    landed.load()
    with pytest.raises(NotExportable, match="since the last dbt build"):
        export_raw(landed)


def test_a_folder_of_something_else_is_refused(landed_once: Warehouse, tmp_path: Path) -> None:
    archive.write(tmp_path / "photos" / "cat.jpg", "")
    with pytest.raises(PathRefused, match="no export of ours"):
        export_raw(landed_once, tmp_path / "photos")
    with open_zone(str(tmp_path / "zone")).parts("somebody"):
        pass
    assert export_raw(landed_once, tmp_path / "zone").written


def test_a_warehouse_exports_to_a_place_once_at_a_time(landed_once: Warehouse, tmp_path: Path) -> None:
    zone = open_zone(str(tmp_path / "zone"))
    (owner,) = landed_once.query("select strftime(min(applied_at), '%Y%m%dT%H%M%S%f') from ops.schema_version")[0]
    with zone.parts(owner), pytest.raises(ZoneBusy):
        export_raw(landed_once, tmp_path / "zone")


@pytest.fixture
def bucket() -> Iterator[Any]:
    """An object store within this process."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


def test_an_object_store_holds_the_same_files(landed: Warehouse, bucket: Any) -> None:
    def stored() -> dict[str, str]:
        return {
            name.removeprefix("/zone/"): hashlib.sha256(bucket.cat_file(name)).hexdigest()
            for name in bucket.find("/zone")
        }

    with pytest.raises(PathRefused, match="nowhere://zone cannot be exported to"):
        exporting.export(landed.settings, landed.path, "nowhere://zone", areas=("raw",))
    export_raw(landed)
    exporting.export(landed.settings, landed.path, "memory://zone", areas=("raw",))
    assert stored() == tree(landed.folder / "zone")
    again = exporting.export(landed.settings, landed.path, "memory://zone", areas=("raw",))
    assert again.written == 0
    forget_symbol(landed, "BBBUSDT")
    exporting.export(landed.settings, landed.path, "memory://zone", areas=("raw",))
    assert [name for name in stored() if "BBBUSDT" in name] == []


def test_the_command_says_what_it_wrote(landed_once: Warehouse, tmp_path: Path) -> None:
    export = ("export", "--to", str(tmp_path / "zone"), "--only", "raw", "--symbol", "AAAUSDT")
    status, printed, _ = commands.run(landed_once, *export, "--json")
    told = json.loads(printed)
    assert status == 0
    assert told["partitions"]["written"] == len([name for name in tree(tmp_path / "zone") if "manifest" not in name])
    assert told["symbols"] == 1
    status, printed, _ = commands.run(landed_once, *export)
    assert "0 partitions written" in printed
