"""The ledger in `ops`: jobs, files, and the log of changes that incremental models follow.

Rows of files and changes are written in the transaction of the landing they tell of.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from loaders.datasets import LAYOUTS, Identity
from loaders.errors import JobUnknown

Range = tuple[str | None, datetime, datetime]

#: Datasets that have rows for every hour while an exchange is open. Others come by the month, or when they happen.
STEADY_DATASETS = ("klines", "ohlcvt", "aggTrades", "metrics")

#: What tells files apart, in the order of `Identity`.
_FIELDS = tuple(field.name for field in fields(Identity))
_IDENTITY = ", ".join(f'"{name}"' for name in _FIELDS)


#: The ledger's files as a relation, for those who only read: no writer may have given an older ledger its newest
#: columns yet.
FILES = """(
    from ops.ingestion_files
    union all by name
    select null::varchar as exchange, null::varchar as provider where false
)"""


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A ledger row of a file whose rows are in raw."""

    file_id: int
    identity: Identity
    path: str
    size_bytes: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A ledger row of a file that was refused. `identity` is None where its name was what was wrong."""

    file_id: int
    identity: Identity | None
    path: str


@dataclass(frozen=True, slots=True)
class Landed:
    """What a file brought. `ranges` are (symbol, first, last) of its rows, both inclusive, UTC.

    `first_id` and `last_id` are the least and the greatest number of its rows, for datasets that number them.
    """

    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_rejected: int
    ranges: tuple[tuple[str | None, datetime, datetime], ...]
    first_id: int | None = None
    last_id: int | None = None

    def __post_init__(self) -> None:
        assert self.rows_read == self.rows_loaded + self.rows_duplicate + self.rows_rejected, self


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger row to be written; `identity` is None for a file whose name was refused."""

    file_id: int
    path: Path
    identity: Identity | None
    size_bytes: int | None
    modified_ns: int | None
    sha256: str | None
    started_at: datetime
    landed: Landed | None = None
    error_message: str | None = None


@dataclass(slots=True)
class Totals:
    """What a job did so far."""

    files_total: int = 0
    files_loaded: int = 0
    files_skipped: int = 0
    files_failed: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0


def now() -> datetime:
    """The time of day, UTC, without a zone as the tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def landed_files(connection: duckdb.DuckDBPyConnection) -> dict[Identity, LandedFile]:
    """Files whose rows are in raw, by identity; none where the ledger has not been made yet."""
    try:
        rows = connection.execute(
            f"""
            select file_id, path, size_bytes, modified_ns, sha256, {_IDENTITY}
            from {FILES}
            where status = 'loaded'
            """
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    landed = {}
    for file_id, path, size, modified, sha256, *identity in rows:
        file = LandedFile(file_id, _identity(identity), path, size, modified, sha256)
        landed[file.identity] = file
    return landed


def last_change(connection: duckdb.DuckDBPyConnection) -> int:
    """Number of the newest row of `ops.ingestion_changes`; 0 before the first, or where there is no ledger yet."""
    try:
        row = connection.execute("select coalesce(max(change_id), 0) from ops.ingestion_changes").fetchone()
    except duckdb.CatalogException:
        return 0
    assert row is not None
    return int(row[0])


def failed_files(connection: duckdb.DuckDBPyConnection) -> list[FailedFile]:
    """Files that were refused and have not landed since, by path."""
    rows = connection.execute(
        f"select file_id, path, {_IDENTITY} from {FILES} where status = 'failed' order by path"
    ).fetchall()
    return [
        FailedFile(file_id, _identity(identity) if identity[_FIELDS.index("dataset")] else None, path)
        for file_id, path, *identity in rows
    ]


def landed_symbols(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Symbols of the rows that are in raw; none where the ledger has not been made yet."""
    try:
        rows = connection.execute(
            """
            select distinct changes.symbol
            from ops.ingestion_changes as changes
            inner join ops.ingestion_files as files using (file_id)
            where files.status = 'loaded' and changes.symbol is not null
            """
        ).fetchall()
    except duckdb.CatalogException:
        return set()
    return {symbol for (symbol,) in rows}


def data_until(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """Time of the newest landed row of `STEADY_DATASETS`, UTC; None where there is none."""
    try:
        # Without parameters, for which the engine's Python module imports NumPy and pandas.
        row = connection.execute(
            f"""
            select max(last_time) from ops.ingestion_files
            where status = 'loaded' and dataset in ({", ".join(f"'{one}'" for one in STEADY_DATASETS)})
            """
        ).fetchone()
    except duckdb.CatalogException:
        return None
    return row[0] if row else None


def landed_ranges(connection: duckdb.DuckDBPyConnection) -> dict[Identity, tuple[datetime, datetime]]:
    """First and last time, UTC, of each file whose rows are in raw; none where the ledger has not been made yet."""
    try:
        rows = connection.execute(
            f"""
            select first_time, last_time, {_IDENTITY}
            from {FILES}
            where status = 'loaded' and first_time is not null
            """
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {
        _identity(identity): (first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)) for first, last, *identity in rows
    }


def write_attempts(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, list[Any]]) -> None:
    """Writes what REST was asked for and what came of it: columns of `ops.backfill_attempts`, one list each."""
    _insert(connection, "ops.backfill_attempts", columns)


def next_file_id(connection: duckdb.DuckDBPyConnection) -> int:
    """A number that no file has had. Changes remember the files that were forgotten."""
    row = connection.execute(
        """
        select greatest(
            (select coalesce(max(file_id), 0) from ops.ingestion_files),
            (select coalesce(max(file_id), 0) from ops.ingestion_changes)
        ) + 1
        """
    ).fetchone()
    assert row is not None
    return int(row[0])


def write_entries(connection: duckdb.DuckDBPyConnection, job_id: str, entries: Sequence[Entry]) -> None:
    """Writes rows of files, landed or failed; earlier failures of the same files give way to them."""
    if not entries:
        return
    _drop_failures(connection, entries)
    columns: dict[str, list[Any]] = {
        "file_id": [entry.file_id for entry in entries],
        "job_id": [job_id] * len(entries),
        "path": [str(entry.path) for entry in entries],
        "size_bytes": [entry.size_bytes for entry in entries],
        "modified_ns": [entry.modified_ns for entry in entries],
        "sha256": [entry.sha256 for entry in entries],
        **{name: [_cell(entry.identity, name) for entry in entries] for name in _FIELDS},
        "status": ["loaded" if entry.landed else "failed" for entry in entries],
        **{
            name: [getattr(entry.landed, name) if entry.landed else 0 for entry in entries]
            for name in ("rows_read", "rows_loaded", "rows_duplicate", "rows_rejected")
        },
        "first_time": [min(r[1] for r in entry.landed.ranges) if entry.landed else None for entry in entries],
        "last_time": [max(r[2] for r in entry.landed.ranges) if entry.landed else None for entry in entries],
        **{
            name: [getattr(entry.landed, name) if entry.landed else None for entry in entries]
            for name in ("first_id", "last_id")
        },
        "error_message": [entry.error_message for entry in entries],
        "started_at": [entry.started_at for entry in entries],
        "finished_at": [now()] * len(entries),
    }
    _insert(connection, "ops.ingestion_files", columns)


def mark_replaced(connection: duckdb.DuckDBPyConnection, file_ids: Sequence[int]) -> None:
    """The rows of these revisions are no longer in raw."""
    if file_ids:
        connection.execute(
            "update ops.ingestion_files set status = 'replaced' where file_id in (select unnest($1))", [list(file_ids)]
        )


def write_changes(
    connection: duckdb.DuckDBPyConnection, job_id: str, changes: Iterable[tuple[int, Identity, Iterable[Range]]]
) -> None:
    """Logs, for each file and symbol, the range of time in which rows came, changed or went."""
    touched = [
        (file_id, identity, symbol, first, last)
        for file_id, identity, ranges in changes
        for symbol, first, last in _united(ranges)
    ]
    if not touched:
        return
    last = last_change(connection)
    columns: dict[str, list[Any]] = {
        "change_id": list(range(last + 1, last + 1 + len(touched))),
        "job_id": [job_id] * len(touched),
        "file_id": [file_id for file_id, *_ in touched],
        "exchange": [identity.exchange for _, identity, *_ in touched],
        "dataset": [identity.dataset for _, identity, *_ in touched],
        "market": [identity.market for _, identity, *_ in touched],
        "kline_type": [identity.kline_type for _, identity, *_ in touched],
        "symbol": [symbol for _, _, symbol, *_ in touched],
        "interval": [identity.interval for _, identity, *_ in touched],
        "range_start": [first for *_, first, _ in touched],
        "range_end": [last for *_, last in touched],
    }
    _insert(connection, "ops.ingestion_changes", columns)


def follow_moves(connection: duckdb.DuckDBPyConnection, moves: Sequence[tuple[int, Path, int, int]]) -> None:
    """Updates path, size and modification time of files that moved or were touched, and hold what they held."""
    if moves:
        connection.execute(
            """
            update ops.ingestion_files as files
            set path = moved.path, size_bytes = moved.size_bytes, modified_ns = moved.modified_ns
            from (
                select
                    unnest($1) as file_id, unnest($2) as path, unnest($3) as size_bytes, unnest($4) as modified_ns
            ) as moved
            where files.file_id = moved.file_id
            """,
            [
                [file_id for file_id, *_ in moves],
                [str(path) for _, path, *_ in moves],
                [size for *_, size, _ in moves],
                [modified for *_, modified in moves],
            ],
        )


def forget_files(connection: duckdb.DuckDBPyConnection, file_ids: Sequence[int]) -> None:
    """Takes the rows of these files, landed or not, out of the ledger."""
    for table in ("ops.rejected_rows", "ops.ingestion_files"):
        connection.execute(f"delete from {table} where file_id in (select unnest($1))", [list(file_ids)])


def start_job(connection: duckdb.DuckDBPyConnection, command: str, arguments: Mapping[str, Any]) -> str:
    """Writes a job that runs; what still says `running` was killed, and is marked so. Returns the new job's name."""
    connection.execute("update ops.ingestion_jobs set status = 'interrupted' where status = 'running'")
    started = now()
    job_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    text = json.dumps({"command": command, **arguments}, default=str, sort_keys=True)
    connection.execute(
        """
        insert into ops.ingestion_jobs (
            job_id, started_at, status, arguments, files_total, files_loaded, files_skipped, files_failed, rows_loaded
        )
        values ($1, $2, 'running', $3, 0, 0, 0, 0, 0)
        """,
        [job_id, started, text],
    )
    return job_id


def finish_job(connection: duckdb.DuckDBPyConnection, job_id: str, status: str, totals: Totals) -> None:
    """Writes how the job ended: `finished`, `failed` or `interrupted`."""
    connection.execute(
        """
        update ops.ingestion_jobs
        set finished_at = $2, status = $3, files_total = $4, files_loaded = $5, files_skipped = $6,
            files_failed = $7, rows_loaded = $8
        where job_id = $1
        """,
        [
            job_id,
            now(),
            status,
            totals.files_total,
            totals.files_loaded,
            totals.files_skipped,
            totals.files_failed,
            totals.rows_loaded,
        ],
    )


def arguments_of(connection: duckdb.DuckDBPyConnection, job_id: str) -> dict[str, Any]:
    """The options that a job was started with. Raises `JobUnknown`."""
    row = connection.execute("select arguments from ops.ingestion_jobs where job_id = $1", [job_id]).fetchone()
    if row is None:
        raise JobUnknown(job_id)
    arguments: dict[str, Any] = json.loads(row[0])
    return arguments


def _insert(connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, list[Any]]) -> None:
    """One statement for many rows; row by row would cost more than landing small files does."""
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f"unnest(${place})" for place in range(1, len(columns) + 1))
    connection.execute(f"insert into {table} ({names}) select {values}", list(columns.values()))


def _drop_failures(connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    connection.execute(
        f"""
        delete from ops.ingestion_files
        where status = 'failed' and (
            path in (select unnest($1))
            or (dataset is not null and ({_IDENTITY})::varchar in (
                select ({_IDENTITY})::varchar from (
                    select {", ".join(f'unnest(${place}) as "{name}"' for place, name in enumerate(_FIELDS, 2))}
                )
            ))
        )
        """,
        [
            [str(entry.path) for entry in entries],
            *([_cell(entry.identity, name) for entry in entries] for name in _FIELDS),
        ],
    )


def _united(ranges: Iterable[Range]) -> list[Range]:
    """One range for each symbol, around all of its ranges."""
    united: dict[str | None, Range] = {}
    for symbol, first, last in ranges:
        _, low, high = united.get(symbol, (symbol, first, last))
        united[symbol] = (symbol, min(low, first), max(high, last))
    return list(united.values())


def _identity(values: Sequence[Any]) -> Identity:
    exchange, dataset, *others = values
    # A ledger that was written before exchanges were told apart: each dataset had one.
    exchange = exchange or next(layout.exchange for layout in LAYOUTS.values() if layout.dataset == dataset)
    others = [value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in others]
    return Identity(exchange, dataset, *others)


def _cell(identity: Identity | None, name: str) -> Any:
    value = getattr(identity, name) if identity else None
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
