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
import json
import os
import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from io import FileIO
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from loaders import warehouse
from loaders.errors import (
    LoadersError,
    NotPublishable,
    PathRefused,
    PlaceUnwritable,
    PublishedBusy,
    WarehouseBusy,
    WarehouseMissing,
)
from loaders.paths import is_text, printable
from loaders.rendering import size
from loaders.settings import Settings
from loaders.warehouse import (
    changes,
    ledger,
    lock_of,
    readiness,
    require_lock_file,
    require_own_lock,
    require_usable,
    scratch_of,
)
from loaders.warehouse.changes import Moment
from loaders.warehouse.keyed import Keyed, keyed_model, keyed_tables, set_changed_since
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

#: Symbols that were left out, as (exchange, symbol, reasons).
Withheld = tuple[tuple[str, str, str], ...]

# Another name than any file can have as its stem, so that views of the warehouse cannot mean it.
_PART = "published part"
# What is lost with the process is begun anew: a log of it would be written, and copied into the file, for nothing.
_UNLOGGED = "recovery_mode no_wal_writes"
_COPIED_AT_ONCE = 1 << 26


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published. `rows` are by table; times are UTC.

    `withheld` are symbols whose rows were left out, as (exchange, symbol, reasons): a check says that they are false.
    `written` is false where the file holds this very state already: then it was left as it is, and the facts are those
    of its own publication. `changed` are the tables of which only the rows that changed were copied.
    """

    path: Path
    published_at: datetime
    job_id: str
    change_id: int
    rows: dict[str, int]
    size_bytes: int
    withheld: Withheld = ()
    written: bool = True
    changed: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """1 if somebody must look at a symbol that was left out."""
        return 1 if self.withheld else 0


class Begun:
    """The file that is there, copied in the background while something else decides whether it will be replaced.

    Holds the lock of the publication until it is closed, by the thread that made it.
    """

    def __init__(self, target: Path, lock: FileLock) -> None:
        self.target, self.lock = target, lock
        self._part, self._file = _beside(target, ".part"), _file_of(target)
        _remove(self._part)
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1, "copy")
        self._copied = self._pool.submit(self._copy)

    def is_copy_of(self, target: Path) -> bool:
        """Waits for the copy, and says whether the file that is at `target` now is in it."""
        is_whole = self._copied.result() and self._part.exists()
        with contextlib.suppress(FileNotFoundError):
            return is_whole and self.target == target and _file_of(target) == self._file
        return False

    def close(self) -> None:
        """Ends it; a copy that became no publication is taken away."""
        self._stopped.set()
        self._pool.shutdown()
        # Where it cannot be, the next publication takes it away, or says why not.
        with contextlib.suppress(OSError):
            if self.lock.is_locked:
                self._part.unlink(missing_ok=True)
        self.lock.release()

    def _copy(self) -> bool:
        try:
            with self.target.open("rb", buffering=0) as source, self._part.open("wb", buffering=0) as copy:
                size = os.fstat(source.fileno()).st_size
                while not self._stopped.is_set() and (copied := _copy_piece(source, copy)):
                    # What is not on the disk yet would stay in memory. An error that this tells of is told only once.
                    os.fsync(copy.fileno())
                    _leave_memory((source, copy), copied)
                return copy.tell() == size
        except OSError:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)
        return False


def begin(path: Path, target: Path) -> Begun | None:
    """Begins to copy the file at `target`, for a `publish` that is likely to come and to change little of it.

    None if there is no such file, or too little room to do it beside other work, if another publication is at work, or
    if `publish` would refuse the place.
    """
    try:
        target = require_replaceable(path, target)
        if not target.exists() or shutil.disk_usage(target.parent).free < 3 * target.stat().st_size:
            return None
        lock = FileLock(_beside(target, ".lock"))
        lock.acquire(timeout=0)
    except (LoadersError, OSError, Timeout):
        return None
    try:
        return Begun(target, lock)
    except OSError:
        lock.release()
        return None


def _copy_piece(source: FileIO, copy: FileIO) -> int:
    """Copies what comes next; gives 0 at the end."""
    # Within the system, it takes half the time or less; not every system can, nor from every disk to every other.
    with contextlib.suppress(AttributeError, OSError):
        if copied := os.copy_file_range(source.fileno(), copy.fileno(), _COPIED_AT_ONCE):
            return copied
    # By hand, too, where the system says that nothing is left. What a short write loses is told by the size.
    read = source.read(_COPIED_AT_ONCE)
    copy.write(read)
    return len(read)


def _leave_memory(files: Iterable[FileIO], copied: int) -> None:
    """Gives back the system's memory for the last piece, to whoever reads the warehouse meanwhile.

    Readers of the published file find it on the disk again.
    """
    for file in files:
        with contextlib.suppress(AttributeError, OSError):
            os.posix_fadvise(file.fileno(), file.tell() - copied, copied, os.POSIX_FADV_DONTNEED)


def _remove(part: Path) -> None:
    """Takes away what is there of a new file, with its log."""
    for leftover in (part, _beside(part, ".wal")):
        leftover.unlink(missing_ok=True)


def _file_of(path: Path) -> tuple[int, ...]:
    """What tells whether another file lies there, or it was written into."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def publish(
    settings: Settings,
    path: Path,
    target: Path,
    *,
    job_id: str | None = None,
    wait_seconds: float = 0,
    full: bool = False,
    begun: Begun | None = None,
) -> Publication:
    """Writes all marts into a new file beside `target` and puts it in its place.

    Nothing is written if the file at `target` holds this state already. Else the new file begins as a copy of it, if it
    came from this warehouse and most of it stays; `full` copies everything from the warehouse. `job_id` is the job that
    the file names; without one it is that of the validation. `begun` is what `begin` gave for the same target.

    Raises `NotPublishable` if dbt's last build, its tests or the last validation did not pass, or saw another state
    than the warehouse has; `PublishedBusy`, `WarehouseMissing`, `WarehouseBusy`.
    """
    target = require_replaceable(path, target)
    lock = begun.lock if begun is not None and begun.target == target else FileLock(_beside(target, ".lock"))
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
        copied = begun is not None and begun.is_copy_of(target)
        return _publish(settings, path, name, target, job_id, full=full, copied=copied)
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


def _publish(
    settings: Settings, path: Path, name: str, target: Path, job_id: str | None, *, full: bool, copied: bool
) -> Publication:
    part = _beside(target, ".part")
    spill = _beside(part, ".tmp")
    if not copied:
        _remove(part)
    shutil.rmtree(spill, ignore_errors=True)
    try:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": settings.memory_limit,
            "temp_directory": str(spill),
        }
        with duckdb.connect(config=config) as connection:
            source = _Source(connection, path, name)
            source.attach()
            connection.execute("set TimeZone = 'UTC'")

            def read(sql: str) -> list[tuple[Any, ...]]:
                return connection.execute(sql).fetchall()

            state = readiness.state_of(read)
            if trouble := state.build_trouble or readiness.validation_trouble(read, state):
                raise NotPublishable(trouble)
            before = None if full else _published_before(connection, target)
            withheld = withheld_symbols(connection)
            if before is not None and (before.build_id, before.moment.change_id) == (state.build_id, state.change_id):
                return Publication(
                    target,
                    before.published_at,
                    before.job_id,
                    state.change_id,
                    before.rows,
                    target.stat().st_size,
                    withheld,
                    written=False,
                )
            published_at = ledger.now()
            # It vouches for this state, so there is one.
            validation = readiness.last_validation(read)
            assert validation is not None
            job_id = job_id or validation.job_id
            copier = _Copier(connection, settings.project(), withheld, source, part)
            carries_over = (
                before is not None
                and _can_begin_with(read, before, withheld)
                and copier.follow(before.moment)
                and _begin_with(connection, target, part, copied=copied)
            )
            if not carries_over:
                copier.followed.clear()
                part.unlink(missing_ok=True)
                _attach(connection, part, f"storage_version '{STORAGE_VERSION}'")
            marts = copier.marts()
            rows = marts | copier.companions()
            _write_manifest(connection, published_at, job_id, state, changes.present(read), rows)
            _write_history(connection, target, published_at, carried_over=carries_over)
            # Views that name no database can only be made from within.
            connection.execute(f"use {quote(_PART)}.main")
            if target.name.lstrip(".").partition(".")[0].lower() != "marts":
                _add_schema(connection, marts)
            connection.execute(f"checkpoint {quote(_PART)}")
            connection.execute("use memory.main")
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
        _remove(part)
        shutil.rmtree(spill, ignore_errors=True)
    return Publication(
        target, published_at, job_id, state.change_id, rows, size, withheld, changed=tuple(copier.changed)
    )


class _Source:
    """The warehouse, attached for reading: no writer can come in meanwhile, and one that came in between is noticed.

    Both methods raise `WarehouseMissing`, `WarehouseUnreadable`, and `WarehouseBusy` if somebody has it or wrote to it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
        self.connection, self.path, self.name = connection, path, name
        self._files: list[tuple[int, ...] | None] | None = None

    def attach(self) -> None:
        """Views name their database, so it has its own name."""
        if not self.path.exists():
            raise WarehouseMissing(self.path)
        try:
            self.connection.execute(f"attach {literal(self.path)} as {quote(self.name)} (read_only)")
        except duckdb.Error as error:
            raise warehouse.opening_trouble(self.path, error) from error
        self.connection.execute(f"use {quote(self.name)}")
        # A writer that was killed has left its rows in the log alone, which lies where the file itself does.
        real = self.path.resolve()
        files = [_file_of(file) if file.exists() else None for file in (real, _beside(real, ".wal"))]
        if self._files not in (None, files):
            raise WarehouseBusy(self.path, "another writer, which has just changed it")
        self._files = files

    def renew(self) -> None:
        """Frees what the engine holds of it, unless a loader waits for it: that one would come in."""
        if warehouse.locked(self.path):
            return
        self.connection.execute("use memory.main")
        self.connection.execute(f"detach {quote(self.name)}")
        self.attach()


@dataclass(frozen=True, slots=True)
class _Before:
    """The manifest of the file that is there, as far as a new one can stand on it."""

    published_at: datetime
    job_id: str
    build_id: str
    moment: Moment
    withheld: frozenset[tuple[str, str]]
    rows: dict[str, int]


def _published_before(connection: duckdb.DuckDBPyConnection, target: Path) -> _Before | None:
    """What the file at `target` says of itself; None if it was written by another version, or written into since."""
    if not target.exists() or _beside(target, ".wal").exists():
        return None
    try:
        connection.execute(f"attach {literal(target)} as published_before (read_only)")
    except duckdb.Error:
        return None
    try:
        row = connection.execute(
            """
            select published_at, job_id, build_id, change_id, rebuild_id, withheld, row_counts
            from published_before.main.published
            where loaders_version = $1 and duckdb_version = $2 and rebuild_id is not null
            """,
            [version("loaders"), duckdb.__version__],
        ).fetchone()
    except duckdb.Error:
        # An older version's manifest lacks columns.
        return None
    finally:
        connection.execute("detach published_before")
    if row is None:
        return None
    published_at, job_id, build_id, change_id, rebuild_id, withheld, rows = row
    left_out = frozenset((exchange, symbol) for exchange, symbol in json.loads(withheld))
    return _Before(published_at, job_id, build_id, Moment(change_id, rebuild_id), left_out, json.loads(rows))


def _can_begin_with(read: readiness.RunQuery, before: _Before, withheld: Iterable[tuple[str, str, str]]) -> bool:
    """Whether the file holds a state that this warehouse had, of the symbols that are published now.

    A warehouse that was made anew, or restored from before that publication, does not know its build.
    """
    known = read(
        f"select count(*) from state.builds where build_id = {literal(before.build_id)}"
        f" and change_id = {before.moment.change_id}"
    )
    return (
        readiness.number(known) == 1
        and readiness.has_table(read, "state", "rebuilds")
        and before.withheld == {(exchange, symbol) for exchange, symbol, _ in withheld}
    )


def _begin_with(connection: duckdb.DuckDBPyConnection, target: Path, part: Path, *, copied: bool) -> bool:
    """Attaches a copy of the published file as the new one; says whether that went well."""
    if not copied:
        shutil.copyfile(target, part)
    try:
        _attach(connection, part)
    except duckdb.Error:
        return False
    return True


def _attach(connection: duckdb.DuckDBPyConnection, part: Path, *more: str) -> None:
    connection.execute(f"attach {literal(part)} as {quote(_PART)} ({', '.join((_UNLOGGED, *more))})")


def withheld_symbols(connection: duckdb.DuckDBPyConnection) -> Withheld:
    """Symbols that a check keeps from being published, and why."""
    if "symbol_status" not in _relations(connection, "marts"):
        return ()
    return tuple(
        connection.execute(
            "select exchange, symbol, reasons from marts.symbol_status where not is_published order by all"
        ).fetchall()
    )


def _published_rows(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, withheld: tuple[tuple[str, str, str], ...]
) -> str:
    """The table, or a subquery without the rows of withheld symbols; tables without an exchange are Binance's."""
    relation = f"{quote(schema)}.{quote(name)}"
    columns = {row[0] for row in connection.execute(f"describe {relation}").fetchall()}
    of_symbols = (schema == "marts" and name not in ABOUT_THE_DATA) or name in _OF_SYMBOLS
    if not of_symbols or "symbol" not in columns or not withheld:
        return relation
    exchange = "exchange" if "exchange" in columns else "'binance'"
    return f"""(
        select * from {relation}
        where ({exchange}, symbol) not in (
            select (status.exchange, status.symbol) from marts.symbol_status as status where not status.is_published
        )
    )"""


@dataclass(frozen=True, slots=True)
class _Followed:
    """A table that follows the logs, and how many of its rows changed; `series` names their symbols and times."""

    keyed: Keyed
    series: str
    changed_rows: int
    rows: int


class _Copier:
    """Copies tables and views, as tables, into the new file; `rows` it returns are by name.

    Where the file begins as a copy of the last publication, rows of a table that follows the logs are taken out and put
    in from the earliest time that was rebuilt since, symbol by symbol. All other tables are written anew; so is one in
    which more changed than stayed, or whose number of rows then is not that of the warehouse.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        project: Path,
        withheld: tuple[tuple[str, str, str], ...],
        source: _Source,
        part: Path,
    ) -> None:
        self.connection = connection
        self.withheld = withheld
        self.source = source
        self.part = part
        self.changed: list[str] = []
        # Of all tables at once: the engine goes through its whole catalog for each question.
        self.comments = _comments(connection)
        self.followed: dict[str, _Followed] = {}
        companions = (keyed_model(project, schema, name) for schema, name in COMPANIONS if schema == "intermediate")
        #: Those that grow with the history.
        self.in_time = [
            one for one in (*keyed_tables(project), *companions) if one is not None and one.time is not None
        ]

    def follow(self, since: Moment) -> bool:
        """Looks up what changed since the file that is there was published.

        Says whether at least as many rows stayed as changed. Else the new file must not begin as a copy: what is
        replaced in it would stay as empty space, copied again every night.
        """
        present = {schema: _relations(self.connection, schema) for schema in {one.schema for one in self.in_time}}
        for one in (one for one in self.in_time if one.name in present[one.schema]):
            # A view stands on what was landed itself; an incremental model's runs are in the log.
            series = changes.landed_series(since) if one.is_view else changes.rebuilt_series(one.name, since)
            table = f"temp.{quote(f'changed {one.full_name}')}"
            self.connection.execute(f"create temp table {table} as {series}")
            self.connection.execute(set_changed_since(table))
            source = _published_rows(self.connection, one.schema, one.name, self.withheld)
            self.followed[one.full_name] = _Followed(
                one,
                table,
                self._one(f"select count(*) from {one.changed_rows(table, source)}"),
                self._one(f"select count(*) from {source}"),
            )
            self.source.renew()
        tables = self.followed.values()
        return sum(one.changed_rows for one in tables) * 2 <= sum(one.rows for one in tables)

    def marts(self) -> dict[str, int]:
        """Copies every mart."""
        names = _relations(self.connection, "marts")
        if not names:
            raise NotPublishable("the warehouse has no marts: run `dbt build`")
        return {name: self._copy("marts", name, "main") for name in names}

    def companions(self) -> dict[str, int]:
        """Copies what readers ask beside the marts, each in its own schema; names have their schema."""
        rows = {}
        for schema in dict.fromkeys(schema for schema, _ in COMPANIONS):
            present = _relations(self.connection, schema)
            self.connection.execute(f"create schema if not exists {quote(_PART)}.{quote(schema)}")
            for name in (name for place, name in COMPANIONS if place == schema and name in present):
                rows[f"{schema}.{name}"] = self._copy(schema, name, schema)
        return rows

    def _copy(self, schema: str, name: str, to_schema: str) -> int:
        # Each table in a transaction of its own, with its comments: what is not committed stays in memory.
        with warehouse.transaction(self.connection):
            rows = self._copy_table(schema, name, to_schema)
        if any(one.full_name == f"{schema}.{name}" for one in self.in_time):
            self._let_go()
        return rows

    def _let_go(self) -> None:
        """Frees what the engine holds of both files: it gives memory about deleted rows back with the file only.

        That is 256 KiB for each group of 122,880 rows of which some are deleted (duckdb/duckdb#23964 makes it less).
        """
        # Nothing but the checkpoint has what was committed.
        self.connection.execute(f"checkpoint {quote(_PART)}")
        self.connection.execute(f"detach {quote(_PART)}")
        self.source.renew()
        _attach(self.connection, self.part)

    def _copy_table(self, schema: str, name: str, to_schema: str) -> int:
        target = f"{quote(_PART)}.{quote(to_schema)}.{quote(name)}"
        source = _published_rows(self.connection, schema, name, self.withheld)
        followed = self.followed.get(f"{schema}.{name}")
        if (
            followed is not None
            and followed.changed_rows * 2 <= followed.rows
            and self._copy_changes(followed, source, target)
        ):
            self.changed.append(name if schema == "marts" else f"{schema}.{name}")
            return followed.rows
        row = self.connection.execute(f"create or replace table {target} as from {source}").fetchone()
        self._comment(schema, name, target)
        return int(row[0]) if row else 0

    def _copy_changes(self, followed: _Followed, source: str, target: str) -> bool:
        """Brings the table's copy up to date; says whether that was possible."""
        connection, keyed = self.connection, followed.keyed
        try:
            if (
                connection.execute(f"describe {target}").fetchall()
                != connection.execute(f"describe select * from {source}").fetchall()
            ):
                return False
        except duckdb.Error:
            return False
        connection.execute(set_changed_since(followed.series))
        if keyed.rebuilt_also:
            self._exchange_keys(followed, source, target)
        else:
            connection.execute(keyed.delete_changed_rows(followed.series, target))
            changed = keyed.changed_rows(followed.series, source)
            connection.execute(f"insert into {target} select * from {changed}")
        if self._one(f"select count(*) from {target}") != followed.rows:
            self._drop_before_first(keyed, source, target)
        return self._one(f"select count(*) from {target}") == followed.rows

    def _exchange_keys(self, followed: _Followed, source: str, target: str) -> None:
        """Takes out and puts in the rows of all keys that changed in the warehouse or in the copy.

        An earlier row that was rebuilt may meet the condition on such rows in one of the two alone: a level that ended
        in the warehouse still stands in the copy.
        """
        keyed, columns = followed.keyed, [quote(column) for column in followed.keyed.key]
        of_copy, of_warehouse = (keyed.changed_rows(followed.series, rows, columns) for rows in (target, source))
        key = ", ".join(columns)
        self.connection.execute(
            f"create or replace temp table changed_keys as (from {of_copy}) union (from {of_warehouse})"
        )
        same = " and ".join(f"held.{column} = changed_keys.{column}" for column in columns)
        self.connection.execute(f"delete from {target} as held using changed_keys where {same}")
        self.connection.execute(
            f"insert into {target} select asked.* from {source} as asked semi join changed_keys using ({key})"
        )

    def _drop_before_first(self, keyed: Keyed, source: str, target: str) -> None:
        """Takes out rows that lie before all that the warehouse has of a symbol: those that have left a window."""
        self.connection.execute(
            f"""
            create or replace temp table first_times as
            select {keyed.exchange} as exchange, asked.symbol, min(asked.{keyed.time}) as first_time
            from {source} as asked
            group by all
            """
        )
        # As a constant, it lets the engine skip the blocks behind the last of these times.
        self.connection.execute(
            "set variable last_first_time = (select coalesce(max(first_time), '-infinity') from temp.first_times)"
        )
        self.connection.execute(
            f"""
            delete from {target} as asked
            using temp.first_times as firsts
            where
                {keyed.exchange} = firsts.exchange
                and asked.symbol = firsts.symbol
                and asked.{keyed.time} < firsts.first_time
                and asked.{keyed.time} < getvariable('last_first_time')
            """
        )

    def _one(self, sql: str) -> int:
        row = self.connection.execute(sql).fetchone()
        assert row is not None
        return int(row[0])

    def _comment(self, schema: str, name: str, target: str) -> None:
        """Tables and columns have the comments that they have in the warehouse."""
        statements = []
        for column, comment in self.comments.get((schema, name), ()):
            place = f"table {target}" if column is None else f"column {target}.{quote(column)}"
            statements.append(f"comment on {place} is {literal(comment)}")
        if statements:
            self.connection.execute(";".join(statements))


def _comments(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[tuple[str | None, str]]]:
    """Comments of tables, views and their columns, by schema and name; None is that of the table itself."""
    found: dict[tuple[str, str], list[tuple[str | None, str]]] = {}
    for schema, name, column, comment in connection.execute(
        """
        select schema_name, table_name, null as column_name, comment from duckdb_tables()
        where database_name = current_database() and comment is not null
        union all
        select schema_name, view_name, null, comment from duckdb_views()
        where database_name = current_database() and comment is not null
        union all
        select schema_name, table_name, column_name, comment from duckdb_columns()
        where database_name = current_database() and comment is not null
        """
    ).fetchall():
        found.setdefault((schema, name), []).append((column, comment))
    return found


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


def _write_history(
    connection: duckdb.DuckDBPyConnection, target: Path, published_at: datetime, *, carried_over: bool
) -> None:
    """Carries the checks' history over from the last published file, and adds the checks whose status has changed.

    `carried_over`: the new file began as a copy of the last one and has it already.
    """
    history = f"{quote(_PART)}.main.quality_checks_history"
    connection.execute(
        f"create table if not exists {history} as"
        " select $1::timestamp as published_at, * from marts.quality_checks limit 0",
        [published_at],
    )
    connection.execute(
        f"comment on table {history} is 'One row per check and publication at which its status was new or had changed.'"
    )
    if target.exists() and not carried_over:
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

            select check_name, exchange, dataset, symbol, max_by(status, published_at) as status
            from {history}
            group by check_name, exchange, dataset, symbol

        )

        select $1::timestamp as published_at, checks.*
        from marts.quality_checks as checks
        left join known
            on
                checks.check_name = known.check_name
                and checks.exchange = known.exchange
                and checks.dataset is not distinct from known.dataset
                and checks.symbol is not distinct from known.symbol
        where checks.status is distinct from known.status
        """,
        [published_at],
    )


def _add_schema(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Names every table in a schema `marts` as well."""
    connection.execute("create schema if not exists marts")
    for name in names:
        connection.execute(f"create or replace view marts.{quote(name)} as select * from main.{quote(name)}")


def _write_manifest(
    connection: duckdb.DuckDBPyConnection,
    published_at: datetime,
    job_id: str,
    state: State,
    moment: Moment,
    rows: dict[str, int],
) -> None:
    """One row that says when, from which job and state, by which versions the file was written, and what is in it."""
    left_out = [[exchange, symbol] for exchange, symbol, _ in withheld_symbols(connection)]
    connection.execute(
        f"""
        create or replace table {quote(_PART)}.main.published as
        select
            $1::timestamp as published_at,
            $2::varchar as job_id,
            $3::varchar as build_id,
            $4::bigint as change_id,
            $5::varchar as loaders_version,
            $6::varchar as dbt_version,
            $7::varchar as duckdb_version,
            $8::varchar as storage_version,
            (select max(open_time) + interval '5 minutes' from marts.klines_5m) as data_until,
            $9::bigint as rebuild_id,
            $10::varchar as withheld,
            $11::varchar as row_counts
        """,
        [
            published_at,
            job_id,
            state.build_id,
            state.change_id,
            version("loaders"),
            state.last_build.dbt_version if state.last_build else None,
            duckdb.__version__,
            STORAGE_VERSION,
            moment.rebuild_id,
            json.dumps(left_out),
            json.dumps(rows),
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
        "written": publication.written,
        "changed": publication.changed,
        "rows": publication.rows,
        "withheld": withheld_dicts(publication.withheld),
    }


def text(publication: Publication) -> str:
    """One line, and one for each symbol that was left out."""
    if not publication.written:
        line = (
            f"{publication.path}: nothing changed since it was published at "
            f"{publication.published_at:%Y-%m-%d %H:%M:%S} (job {publication.job_id}), so it stays as it is"
        )
        return "\n".join([line, *withheld_lines(publication.withheld)])
    line = (
        f"{publication.path}: {len(publication.rows)} tables, {sum(publication.rows.values()):,} rows, "
        f"{size(publication.size_bytes)}, for DuckDB {STORAGE_VERSION} and later (job {publication.job_id})"
        + (f"; of {len(publication.changed)} tables only what changed was copied" if publication.changed else "")
    )
    return "\n".join([line, *withheld_lines(publication.withheld)])


def withheld_dicts(withheld: Withheld) -> list[dict[str, str]]:
    """Each symbol that was left out, as plain data."""
    return [{"exchange": exchange, "symbol": symbol, "reasons": reasons} for exchange, symbol, reasons in withheld]


def withheld_lines(withheld: Withheld) -> tuple[str, ...]:
    """Each symbol that was left out, and what to do."""
    return tuple(
        f"{exchange} {symbol} withheld: {reasons}; forget the false file, or raise the threshold if the market was so"
        for exchange, symbol, reasons in withheld
    )
