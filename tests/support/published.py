"""A published file for the page and the service, made of the sample's archive and of what the sample lacks."""

from __future__ import annotations

import csv
import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from loaders.delivery.publish import COMPANIONS
from loaders.runs import sample
from tests.support import archive
from tests.support.warehouse import Warehouse

#: Priced at 0.00001; without a snapshot of open interest; with a day without candles.
TINY, WITHOUT_INTEREST, WITH_GAP = "TINYUSDT", "NOOIUSDT", "ETHUSDT"
SYMBOLS = ("BTCUSDT", "DEMOUSDT", WITH_GAP, WITHOUT_INTEREST, TINY)


def write_files(data: Path) -> None:
    """Five-minute candles, open interest and some recorded liquidations."""
    whole = data.parent / "sample"
    sample.write_archive(whole)
    for path in sorted(whole.rglob("*")):
        kept = "/klines/" in path.as_posix() and "/5m/" in path.as_posix() and "/um/" in path.as_posix()
        if path.is_file() and (kept or "/metrics/" in path.as_posix()):
            target = data / path.relative_to(whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
    shutil.rmtree(whole)
    for path in sorted(data.rglob("DEMOUSDT-*")):
        _cheaper(path, Path(str(path).replace("DEMOUSDT", TINY)))
    for path in sorted(data.rglob("BTCUSDT-5m-2026-06-28*")):
        target = Path(str(path).replace("BTCUSDT", WITHOUT_INTEREST))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    first = archive.utc(2026, 6, 28, 1)
    archive.liquidations(
        data,
        "BTCUSDT",
        "2026-06-28",
        [
            archive.liquidation(first + timedelta(minutes=50 * number), side, Decimal(price), Decimal(number + 1))
            for number, (side, price) in enumerate([("long", "58900.00"), ("short", "60400.00")] * 6)
        ],
    )


def _cheaper(path: Path, target: Path) -> None:
    """The same file for a coin that costs a thousandth."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with path.open(newline="") as read, target.open("w", newline="") as written:
        writer = csv.writer(written)
        for row in csv.reader(read):
            if "/klines/" in path.as_posix() and row[0].isdigit():
                row[1:5] = [f"{Decimal(price) / 1000:.8f}" for price in row[1:5]]
            writer.writerow([cell.replace("DEMOUSDT", TINY) for cell in row])


def copy_marts(warehouse: Path, target: Path, *, job_id: str = "job", symbols: tuple[str, ...] = ()) -> Path:
    """Publishes without asking what passed, by rename, as `publish` does; only those symbols, if some are named."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{warehouse}' as warehouse (read_only)")
        connection.execute(f"attach '{part}' as part (storage_version 'v1.0.0')")
        connection.execute("use warehouse")
        names = connection.execute(
            "select table_name from information_schema.tables"
            " where table_catalog = 'warehouse' and table_schema = 'marts'"
        ).fetchall()
        for (name,) in names:
            query = f"select * from marts.{name}"
            if symbols and name != "candles":
                query += f" where symbol in ({', '.join(repr(one) for one in symbols)})"
            connection.execute(f"create table part.main.{name} as {query}")
        for schema, name in COMPANIONS:
            connection.execute(f"create schema if not exists part.{schema}")
            connection.execute(f"create table part.{schema}.{name} as select * from {schema}.{name}")
        connection.execute(
            "create table part.main.quality_checks_history as"
            " select now()::timestamp as published_at, * from part.main.quality_checks"
        )
        connection.execute(
            "create table part.main.published as select now()::timestamp as published_at, $1 as job_id,"
            " 'build' as build_id, 1::bigint as change_id, 'x' as loaders_version, 'y' as dbt_version",
            [job_id],
        )
        connection.execute("checkpoint part")
    part.replace(target)
    return target


def make(folder: Path) -> Path:
    """Lands, builds and publishes all of it; the warehouse lies beside the file."""
    warehouse = Warehouse(folder)
    write_files(warehouse.data)
    warehouse.load()
    warehouse.build_untested("--select", "fqn:*")
    return copy_marts(warehouse.path, folder / "marts.duckdb")
