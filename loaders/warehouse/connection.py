"""The warehouse: one DuckDB file, one writer.

DuckDB's own lock dies with a process that opens and closes the file a second time, so the loaders take a lock of
their own: `<warehouse>.lock`, held by the operating system for as long as the process lives. Scratch files lie in
`<warehouse>.tmp/`, emptied whenever a writer starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
from filelock import FileLock, Timeout

from loaders.errors import PathRefused, PlaceUnwritable, WarehouseBusy, WarehouseMissing, WarehouseUnreadable
from loaders.paths import can_be_a_pattern, engine_pattern, is_text, printable
from loaders.settings import Settings
from loaders.warehouse import schema

_HOLDER = re.compile(r"(?:held in (?P<program>.+?) )?\(PID (?P<pid>\d+)\)")


# The engine names a database after its file, and `raw.x` would mean either the database or the schema; others are its
# own, or taken by a command while it reads two files.
_TAKEN = frozenset(("raw", "ops", "state", "seeds", "staging", "intermediate", "marts"))
_TAKEN_BY_ENGINE = frozenset(("main", "temp", "system", "memory", "information_schema", "pg_catalog"))
_TAKEN_BY_COMMANDS = frozenset(("published_before", "published part"))
# Where an address has them, dbt or the engine cut it off.
_NOT_IN_PATH = "?#"
_NOT_IN_NAME = '.;"\\'


@dataclass(frozen=True, slots=True)
class Warehouse:
    """An open warehouse. `scratch` is where temporary files of this writer go."""

    connection: duckdb.DuckDBPyConnection
    path: Path
    scratch: Path


def scratch_of(warehouse: Path) -> Path:
    """Where a writer's temporary files lie."""
    return warehouse.with_name(warehouse.name + ".tmp")


def lock_of(warehouse: Path) -> Path:
    """The writer's lock file."""
    return warehouse.with_name(warehouse.name + ".lock")


def require_usable(path: Path) -> None:
    """Raises `PathRefused` for a path that the engine, dbt or the ledger would take for something else."""
    if not is_text(path):
        raise PathRefused(f"{printable(path)} is not UTF-8: choose another --warehouse")
    if path.stem.lower() in _TAKEN | _TAKEN_BY_ENGINE | _TAKEN_BY_COMMANDS:
        raise PathRefused(
            f"a warehouse cannot be called {path.name}: the engine names a database after its file, and "
            f"{path.stem} means something else there. Choose another --warehouse, such as warehouse.duckdb"
        )
    odd = [sign for sign in _NOT_IN_PATH if sign in str(path)] + [sign for sign in _NOT_IN_NAME if sign in path.stem]
    if odd or not can_be_a_pattern(path):
        raise PathRefused(
            f"{path} cannot be a warehouse: the engine or dbt would read another name out of it "
            f"({' '.join(odd) or 'a backslash beside wildcards'}). Choose another --warehouse, such as warehouse.duckdb"
        )


@contextlib.contextmanager
def writer(
    settings: Settings, path: Path, *, readable: Sequence[Path] = (), wait_seconds: float = 0
) -> Iterator[Warehouse]:
    """The warehouse, open for writing, its tables in place; `readable` are the only folders the engine may read.

    Waits up to `wait_seconds` for another writer. Raises `WarehouseBusy`, `WarehouseUnreadable`, `SchemaTooNew`.
    """
    deadline = time.monotonic() + wait_seconds
    for folder in readable:
        if folder.resolve().is_relative_to(scratch_of(path).resolve()):
            raise PathRefused(f"{folder} lies where temporary files are taken away: move the data elsewhere")
    with write_lock(path, wait_seconds=wait_seconds) as scratch, _without_pandas():
        connection = _connect(settings, path, deadline)
        try:
            schema.ensure(connection, settings.project(), path)
            _restrict_file_access(connection, scratch, readable)
            yield Warehouse(connection, path, scratch)
        finally:
            connection.close()


@contextlib.contextmanager
def _without_pandas() -> Iterator[None]:
    """Keeps the engine from importing pandas, where nobody has yet.

    It does so when a value is bound, to recognise missing values of pandas, of which there are none here: half of the
    time that an empty load takes. Without it, the engine goes on.
    """
    if "pandas" in sys.modules:
        yield
        return
    modules = cast(dict[str, object], sys.modules)
    modules["pandas"] = None
    try:
        yield
    finally:
        if modules.get("pandas", True) is None:
            del modules["pandas"]


@contextlib.contextmanager
def write_lock(path: Path, *, wait_seconds: float = 0) -> Iterator[Path]:
    """The writer's lock, and the folder for this writer's temporary files.

    Whoever writes to the file, dbt too, does it under this lock, so that who holds it can copy the file. Waits up to
    `wait_seconds` for another writer. Raises `WarehouseBusy`.
    """
    require_usable(path)
    scratch = scratch_of(path)
    require_own_lock(lock_of(path))
    lock = FileLock(lock_of(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait_seconds, poll_interval=0.1)
    except Timeout:
        require_lock_file(lock_of(path))
        raise WarehouseBusy(path, holder_of(path) or "another loader") from None
    except OSError as error:
        raise PlaceUnwritable(path, error) from error
    try:
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            holder = {"pid": os.getpid(), "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])}
            (scratch / "holder.json").write_text(json.dumps(holder), encoding="utf-8")
        except OSError as error:
            raise PlaceUnwritable(scratch, error) from error
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.release()


@contextlib.contextmanager
def reader(path: Path, *, wait_seconds: float = 0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that changes nothing, not even the file's modification time.

    Raises `WarehouseMissing`, `WarehouseBusy`, `WarehouseUnreadable`.
    """
    require_usable(path)
    if not path.exists():
        raise WarehouseMissing(path)
    connection = _open(path, time.monotonic() + wait_seconds, read_only=True, config={})
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def require_lock_file(lock: Path) -> None:
    """Raises `PlaceUnwritable` if a lock was waited for where no file can be made."""
    if not lock.exists():
        raise PlaceUnwritable(lock, OSError("no file can be made there"))


def require_own_lock(lock: Path) -> None:
    """Raises `PathRefused` if a file of somebody else has the lock's name: to lock it would empty it."""
    try:
        taken = lock.exists() and (not lock.is_file() or lock.stat().st_size > 0)
    except OSError as error:
        raise PlaceUnwritable(lock, error) from error
    if taken:
        raise PathRefused(f"{lock} is no lock of these loaders, and would be overwritten: choose another name")


def holder_of(path: Path) -> str | None:
    """Who writes at the moment, as far as it left its name: `pid 4711 (loaders load)`."""
    try:
        holder = json.loads((scratch_of(path) / "holder.json").read_text(encoding="utf-8"))
        return f"process {holder['pid']} ({holder['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def locked(path: Path) -> bool:
    """Whether a loader holds the writer's lock now. Leaves no lock file behind where there was none."""
    if not lock_of(path).exists():
        return False
    lock = FileLock(lock_of(path))
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        # Who cannot write here cannot be kept from it either.
        return False


def _connect(settings: Settings, path: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    # The newest storage format writes columns of symbols in a third less time; a file that exists keeps its own.
    # Raw has no order: not to keep that of the file lets each thread write what it has parsed, in a quarter less time.
    config = {
        "storage_compatibility_version": "v1.5.0",
        "memory_limit": settings.load_memory_limit,
        "preserve_insertion_order": "false",
    }
    if settings.threads is not None:
        config["threads"] = str(settings.threads)
    connection = _open(path, deadline, read_only=False, config=config)
    if settings.threads is None:
        # One more than there are cores: a thread that writes waits for the disk.
        connection.execute("set threads = current_setting('threads') + 1")
    return connection


def _open(path: Path, deadline: float, *, read_only: bool, config: dict[str, str]) -> duckdb.DuckDBPyConnection:
    while True:
        try:
            return duckdb.connect(path, read_only=read_only, config=dict(config))
        except duckdb.Error as error:
            trouble = opening_trouble(path, error)
            if not isinstance(trouble, WarehouseBusy) or time.monotonic() >= deadline:
                raise trouble from error
            time.sleep(0.1)


def opening_trouble(path: Path, error: duckdb.Error) -> WarehouseBusy | WarehouseUnreadable:
    """What it means that the engine could not open the file."""
    if isinstance(error, duckdb.IOException) and "lock" in str(error):
        return WarehouseBusy(path, _holder_in(str(error)))
    return WarehouseUnreadable(path, _first_line(error))


def _restrict_file_access(connection: duckdb.DuckDBPyConnection, scratch: Path, readable: Sequence[Path]) -> None:
    """The engine reads nothing outside the folders it was given. The order of the statements matters."""
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set temp_directory = $1", [str(scratch / "spill")])
    folders = [folder for folder in (*readable, scratch) if is_text(folder)]
    # Both spellings: the engine holds the pattern against the list, and then what it found.
    allowed = {spelling for folder in folders for spelling in (str(folder), engine_pattern(folder))}
    connection.execute("set allowed_directories = $1", [sorted(allowed)])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _holder_in(message: str) -> str:
    match = _HOLDER.search(message)
    if match is None:
        return "another process"
    return f"process {match['pid']}" + (f" ({match['program']})" if match["program"] else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
