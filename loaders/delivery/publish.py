"""The file that clients open: the marts of a state that passed everything, replaced as a whole by rename.

Whoever has the old file open keeps it, whole, until they close it. The file is written with the storage of DuckDB 1.0,
so clients from that version on can open it.

The marts lie in the schema `main`, because DuckDB names a database after its file: in `marts.duckdb`, a schema `marts`
would make `marts.klines_5m` ambiguous. As it is, `klines_5m` and `marts.klines_5m` both work there; in a file of any
other name, views in a schema `marts` see to the latter. What people ask beside the marts (jobs, failed files,
conflicts, funding, recorded liquidations, seeds) keeps its schema: `ops.ingestion_files`, `staging.conflicts`. Comments
on tables and columns come along.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from loaders import warehouse
from loaders.errors import NotPublishable, PathRefused, PlaceUnwritable, PublishedBusy
from loaders.paths import is_text, printable
from loaders.rendering import size
from loaders.settings import Settings
from loaders.warehouse import (
    ledger,
    lock_of,
    readiness,
    require_lock_file,
    require_own_lock,
    require_usable,
    scratch_of,
)
from loaders.warehouse.readiness import State
from loaders.warehouse.schema import literal, quote

#: Clients from this version of DuckDB on can open the file.
STORAGE_VERSION = "v1.0.0"

#: Tables and views outside the marts that readers ask for; one that the warehouse does not have is left out.
COMPANIONS = (
    ("ops", "ingestion_jobs"),
    ("ops", "ingestion_files"),
    ("ops", "rejected_rows"),
    ("ops", "validation_results"),
    ("staging", "conflicts"),
    ("staging", "stg_binance__funding_rates"),
    ("staging", "stg_binance__liquidations"),
    ("intermediate", "int_liquidation_timeline"),
    ("seeds", "leverage_weights"),
    ("seeds", "margin_brackets"),
    ("seeds", "quality_thresholds"),
    ("seeds", "symbols"),
)

#: Marts that tell of the data rather than hold them: they tell of withheld symbols, too.
ABOUT_THE_DATA = ("data_completeness", "data_gaps", "quality_checks", "snapshot_labels", "symbol_status")

#: Companions that hold market data of a symbol.
_OF_SYMBOLS = ("stg_binance__funding_rates", "stg_binance__liquidations", "int_liquidation_timeline")

# Another name than any file can have as its stem, so that views of the warehouse cannot mean it.
_PART = "published part"


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published. `rows` are by table; times are UTC.

    `withheld` are symbols whose rows were left out, as (exchange, symbol, reasons): a check says that they are false.
    """

    path: Path
    published_at: datetime
    job_id: str
    change_id: int
    rows: dict[str, int]
    size_bytes: int
    withheld: tuple[tuple[str, str, str], ...] = ()

    @property
    def exit_status(self) -> int:
        """1 if somebody must look at a symbol that was left out."""
        return 1 if self.withheld else 0


def publish(
    settings: Settings, path: Path, target: Path, *, job_id: str | None = None, wait_seconds: float = 0
) -> Publication:
    """Writes all marts into a new file beside `target` and puts it in its place.

    `job_id` is the job that the file names; without one it is that of the validation. Raises `NotPublishable` if dbt's
    last build, its tests or the last validation did not pass, or saw another state than the warehouse has;
    `PublishedBusy`, `WarehouseMissing`, `WarehouseBusy`.
    """
    target = require_replaceable(path, target)
    lock = FileLock(_beside(target, ".lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        require_lock_file(_beside(target, ".lock"))
        raise PublishedBusy(target) from None
    except OSError as error:
        raise PlaceUnwritable(target, error) from error
    try:
        # Another one may have put something there meanwhile.
        require_replaceable(path, target)
        # Opens once for its errors: they name who has the warehouse and what to do.
        with warehouse.reader(path, wait_seconds=wait_seconds) as connection:
            row = connection.execute("select current_database()").fetchone()
            assert row is not None
            name = str(row[0])
            readiness.require_own_name(path, lambda sql: connection.execute(sql).fetchall())
        return _publish(settings, path, name, target, job_id)
    finally:
        lock.release()


def require_replaceable(path: Path, target: Path) -> Path:
    """The file that a publication may replace: one of ours, or none yet; links are followed.

    Raises `PathRefused` if it is the warehouse at `path` or a file beside it, or holds anything but a publication, and
    `PlaceUnwritable` if it cannot be looked at.
    """
    require_usable(path)
    if not is_text(target):
        raise PathRefused(f"{printable(target)} is not UTF-8: choose another --to")
    try:
        real, home = target.resolve(), path.resolve()
        ours = {real, *(_beside(real, ending) for ending in (".lock", ".wal", ".part", ".part.wal", ".part.tmp"))}
        theirs = {home, scratch_of(home), lock_of(home), _beside(home, ".wal")}
        inside = any(real.is_relative_to(place) for place in theirs) or home.is_relative_to(real)
        same = real.exists() and any(place.exists() and real.samefile(place) for place in theirs)
        if ours & theirs or inside or same:
            raise PathRefused(f"{target} is the warehouse or belongs to it: publish to another file (--to)")
        require_own_lock(_beside(real, ".lock"))
        part = _beside(real, ".part")
        if part.exists() and not _is_database(part):
            raise PathRefused(
                f"{part} is in the way and no part of a publication: take it away, or choose another --to"
            )
        if real.exists() and not _is_publication(real):
            raise PathRefused(
                f"{target} exists and is no file that `loaders publish` wrote: take it away, or choose another --to"
            )
    except (OSError, RuntimeError) as error:
        # A loop of links is a RuntimeError in older Pythons.
        raise PlaceUnwritable(target, error if isinstance(error, OSError) else OSError(str(error))) from error
    return real


def _is_database(file: Path) -> bool:
    """Whether the file is empty or begins like a database of the engine."""
    if not file.is_file():
        return False
    with file.open("rb") as content:
        head = content.read(12)
    return not head or head[8:] == b"DUCK"


def _is_publication(file: Path) -> bool:
    """Whether the file carries the manifest that `_write_manifest` writes."""
    if not file.is_file() or not _is_database(file):
        return False
    try:
        with duckdb.connect(file, read_only=True) as connection:
            found = connection.execute(
                "select list(column_name order by column_index) from duckdb_columns()"
                " where database_name = current_database() and schema_name = 'main' and table_name = 'published'"
            ).fetchone()
    except duckdb.Error:
        return False
    return found is not None and list(found[0] or [])[:4] == ["published_at", "job_id", "build_id", "change_id"]


def _publish(settings: Settings, path: Path, name: str, target: Path, job_id: str | None) -> Publication:
    part = _beside(target, ".part")
    spill = _beside(part, ".tmp")
    for leftover in (part, _beside(part, ".wal")):
        leftover.unlink(missing_ok=True)
    shutil.rmtree(spill, ignore_errors=True)
    try:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": settings.memory_limit,
            "temp_directory": str(spill),
        }
        with duckdb.connect(config=config) as connection:
            # Views name their database, so it must have its own name here. No writer can come in while it is attached.
            connection.execute(f"attach {literal(path)} as {quote(name)} (read_only)")
            connection.execute(f"use {quote(name)}")
            connection.execute("set TimeZone = 'UTC'")

            def read(sql: str) -> list[tuple[Any, ...]]:
                return connection.execute(sql).fetchall()

            state = readiness.state_of(read)
            if trouble := state.build_trouble or readiness.validation_trouble(read, state):
                raise NotPublishable(trouble)
            published_at = ledger.now()
            job_id = job_id or readiness.last_validation(read)
            connection.execute(f"attach {literal(part)} as {quote(_PART)} (storage_version '{STORAGE_VERSION}')")
            withheld = _withheld(connection)
            marts = _copy_marts(connection)
            companions = _copy_companions(connection)
            _write_history(connection, target, published_at)
            _write_manifest(connection, published_at, job_id, state)
            rows = marts | companions
            # Views that name no database can only be made from within.
            connection.execute(f"use {quote(_PART)}.main")
            if target.name.lstrip(".").partition(".")[0].lower() != "marts":
                _add_schema(connection, marts)
            connection.execute(f"checkpoint {quote(_PART)}")
            connection.execute("use memory")
            connection.execute(f"detach {quote(_PART)}")
        part.chmod(0o444)
        size = part.stat().st_size
        _sync(part)
        # What somebody wrote into the old file, in spite of its permissions, must not be replayed into the new one.
        _beside(target, ".wal").unlink(missing_ok=True)
        part.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise PlaceUnwritable(target, error) from error
    finally:
        for leftover in (part, _beside(part, ".wal")):
            leftover.unlink(missing_ok=True)
        shutil.rmtree(spill, ignore_errors=True)
    return Publication(target, published_at, job_id, state.change_id, rows, size, withheld)


def _withheld(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, str, str], ...]:
    """Symbols that a check keeps from being published, and why."""
    if "symbol_status" not in _relations(connection, "marts"):
        return ()
    return tuple(
        connection.execute(
            "select exchange, symbol, reasons from marts.symbol_status where not is_published order by all"
        ).fetchall()
    )


def _published_rows(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> str:
    """SQL of a table's rows without those of withheld symbols; tables without an exchange are Binance's."""
    relation = f"{quote(schema)}.{quote(name)}"
    columns = {row[0] for row in connection.execute(f"describe {relation}").fetchall()}
    of_symbols = (schema == "marts" and name not in ABOUT_THE_DATA) or name in _OF_SYMBOLS
    if not of_symbols or "symbol" not in columns or not _withheld(connection):
        return f"select * from {relation}"
    exchange = "exchange" if "exchange" in columns else "'binance'"
    return f"""
        select * from {relation}
        where ({exchange}, symbol) not in (
            select (status.exchange, status.symbol) from marts.symbol_status as status where not status.is_published
        )
    """


def _copy_marts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Copies every mart, views as tables; returns their rows."""
    names = _relations(connection, "marts")
    if not names:
        raise NotPublishable("the warehouse has no marts: run `dbt build`")
    return {name: _copy(connection, "marts", name, "main") for name in names}


def _copy_companions(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Copies what readers ask beside the marts, each in its own schema; returns their rows by schema and name."""
    rows = {}
    for schema in dict.fromkeys(schema for schema, _ in COMPANIONS):
        present = _relations(connection, schema)
        connection.execute(f"create schema {quote(_PART)}.{quote(schema)}")
        for name in (name for place, name in COMPANIONS if place == schema and name in present):
            rows[f"{schema}.{name}"] = _copy(connection, schema, name, schema)
    return rows


def _relations(connection: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    """Tables and views of a schema of the warehouse."""
    found = connection.execute(
        """
        select table_name
        from information_schema.tables
        where table_catalog = current_database() and table_schema = $1
        order by table_name
        """,
        [schema],
    ).fetchall()
    return [name for (name,) in found]


def _copy(connection: duckdb.DuckDBPyConnection, schema: str, name: str, to_schema: str) -> int:
    """Copies one table or view with its comments; returns its rows."""
    target = f"{quote(_PART)}.{quote(to_schema)}.{quote(name)}"
    row = connection.execute(f"create table {target} as {_published_rows(connection, schema, name)}").fetchone()
    comments = connection.execute(
        """
        select null, comment from duckdb_tables()
        where database_name = current_database() and schema_name = $1 and table_name = $2
        union all
        select null, comment from duckdb_views()
        where database_name = current_database() and schema_name = $1 and view_name = $2
        union all
        select column_name, comment from duckdb_columns()
        where database_name = current_database() and schema_name = $1 and table_name = $2
        """,
        [schema, name],
    ).fetchall()
    for column, comment in comments:
        if comment is not None:
            place = f"table {target}" if column is None else f"column {target}.{quote(column)}"
            connection.execute(f"comment on {place} is {literal(comment)}")
    return int(row[0]) if row else 0


def _write_history(connection: duckdb.DuckDBPyConnection, target: Path, published_at: datetime) -> None:
    """Carries the checks' history over from the last published file, and adds the checks whose status has changed."""
    history = f"{quote(_PART)}.main.quality_checks_history"
    connection.execute(
        f"create table {history} as select $1::timestamp as published_at, * from marts.quality_checks limit 0",
        [published_at],
    )
    connection.execute(
        f"comment on table {history} is 'One row per check and publication at which its status was new or had changed.'"
    )
    if target.exists():
        # A file of another kind, or one that cannot be read, has no history to carry over.
        with contextlib.suppress(duckdb.Error):
            connection.execute(f"attach {literal(target)} as published_before (read_only)")
            try:
                connection.execute(f"insert into {history} by name from published_before.main.quality_checks_history")
            finally:
                connection.execute("detach published_before")
    connection.execute(
        f"""
        insert into {history} by name
        with

        known as (

            select check_name, dataset, symbol, max_by(status, published_at) as status
            from {history}
            group by check_name, dataset, symbol

        )

        select $1::timestamp as published_at, checks.*
        from marts.quality_checks as checks
        left join known
            on
                checks.check_name = known.check_name
                and checks.dataset is not distinct from known.dataset
                and checks.symbol is not distinct from known.symbol
        where checks.status is distinct from known.status
        """,
        [published_at],
    )


def _add_schema(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Names every table in a schema `marts` as well."""
    connection.execute("create schema marts")
    for name in names:
        connection.execute(f"create view marts.{quote(name)} as select * from main.{quote(name)}")


def _write_manifest(connection: duckdb.DuckDBPyConnection, published_at: datetime, job_id: str, state: State) -> None:
    """One row that says when, from which job and state, and by which versions the file was written."""
    connection.execute(
        f"""
        create table {quote(_PART)}.main.published as
        select
            $1::timestamp as published_at,
            $2::varchar as job_id,
            $3::varchar as build_id,
            $4::bigint as change_id,
            $5::varchar as loaders_version,
            $6::varchar as dbt_version,
            $7::varchar as duckdb_version,
            $8::varchar as storage_version,
            (select max(open_time) + interval '5 minutes' from marts.klines_5m) as data_until
        """,
        [
            published_at,
            job_id,
            state.build_id,
            state.change_id,
            version("loaders"),
            state.dbt_version,
            duckdb.__version__,
            STORAGE_VERSION,
        ],
    )


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _sync(path: Path) -> None:
    """To the disk, before a rename that must not come there first."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_dict(publication: Publication) -> dict[str, Any]:
    """The publication as plain data."""
    return {
        "published": publication.path,
        "published_at": publication.published_at,
        "job_id": publication.job_id,
        "change_id": publication.change_id,
        "storage_version": STORAGE_VERSION,
        "bytes": publication.size_bytes,
        "rows": publication.rows,
        "withheld": [
            {"exchange": exchange, "symbol": symbol, "reasons": reasons}
            for exchange, symbol, reasons in publication.withheld
        ],
    }


def text(publication: Publication) -> str:
    """One line, and one for each symbol that was left out."""
    line = (
        f"{publication.path}: {len(publication.rows)} tables, {sum(publication.rows.values()):,} rows, "
        f"{size(publication.size_bytes)}, for DuckDB {STORAGE_VERSION} and later (job {publication.job_id})"
    )
    return "\n".join([line, *withheld_lines(publication)])


def withheld_lines(publication: Publication) -> tuple[str, ...]:
    """Each symbol that was left out, and what to do."""
    return tuple(
        f"{exchange} {symbol} withheld: {reasons}; forget the false file, or raise the threshold if the market was so"
        for exchange, symbol, reasons in publication.withheld
    )
