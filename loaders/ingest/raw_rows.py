"""The rows that one file has in its raw table: count them, find their times and ids, take them out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import duckdb

from loaders.datasets import INTERVALS, FileLayout, interval_microseconds
from loaders.files.inspection import Prepared
from loaders.warehouse.schema import Table, quote

_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)

_LATEST = datetime(2100, 1, 1, tzinfo=UTC)

_DAY = INTERVALS["1d"]

# Proving that ids are unique takes a bit for each number between the least and the greatest.
_BITS_PER_ROW = 64

Parameters = dict[str, object]


def remove(
    connection: duckdb.DuckDBPyConnection, table: Table, layout: FileLayout, file_id: int
) -> list[tuple[str | None, datetime, datetime]]:
    """Takes out what a file had brought; returns its ranges of time by symbol.

    Where rows are gone already, the ledger still knows from when to when they were.
    """
    ranges = list(time_ranges(connection, table, layout, file_id))
    ranges += connection.execute(
        "select symbol, first_time, last_time from ops.ingestion_files"
        " where file_id = $1 and symbol is not null and first_time is not null",
        [file_id],
    ).fetchall()
    connection.execute(f"delete from {table.quoted} where file_id = $1", [file_id])
    connection.execute("delete from ops.rejected_rows where file_id = $1", [file_id])
    return ranges


def count_ids(
    connection: duckdb.DuckDBPyConnection, table: Table, column: str, file_id: int, rows: int, low: int, high: int
) -> int:
    """Distinct ids of a file. One bit for each possible id is ten times faster than a set of them."""
    if high - low < max(rows, 1_000) * _BITS_PER_ROW and high - low < 10**9:
        counted = f"bit_count(bitstring_agg({column}, {int(low)}, {int(high)}))"
    else:
        counted = f"count(distinct {column})"
    return count(connection, f"select {counted} from {table.quoted} where file_id = $1", [file_id])


def time_bounds(file: Prepared) -> tuple[datetime, datetime]:
    """Earliest and latest time, both inclusive, that a row of the file may have."""
    layout, identity = file.candidate.layout, file.candidate.identity
    if identity.period_start is None:
        return _EARLIEST, _LATEST
    slack = timedelta(microseconds=layout.time_tolerance_us)
    start = identity.period_start - slack
    if identity.interval is not None and interval_microseconds(identity.interval) > _DAY:
        # A week or a month that overlaps the file's period may have begun before it.
        start -= timedelta(microseconds=interval_microseconds(identity.interval))
    if identity.period_end is None:
        return start, _LATEST
    end = identity.period_end + slack
    return start, end if layout.closed_end else end - timedelta(microseconds=1)


def microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def without_zone(micros: int) -> datetime:
    """UTC without a zone, as the tables hold it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).replace(tzinfo=None)


def count(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] | Parameters = ()) -> int:
    """The number that a query, or an insertion, answers."""
    row = connection.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0


def time_ranges(
    connection: duckdb.DuckDBPyConnection, table: Table, layout: FileLayout, file_id: int
) -> tuple[tuple[str | None, datetime, datetime], ...]:
    """Symbol, first and last time of a file's rows."""
    symbol = "pair" if "pair" in dict(table.columns) else "symbol"
    time = quote(layout.time)
    # Grouping takes memory for nothing where the name has said the symbol.
    one, grouped = (symbol, "group by all order by all") if layout.many_symbols else (f"any_value({symbol})", "")
    found = connection.execute(
        f"select {one}, min({time}), max({time}) from {table.quoted} where file_id = $1 {grouped}", [file_id]
    ).fetchall()
    return tuple((name, first, last) for name, first, last in found if first is not None)


def id_bounds(connection: duckdb.DuckDBPyConnection, table: Table, number: str, file_id: int) -> tuple[int, int]:
    """Least and greatest number of a file's rows, of which there are some."""
    (ends,) = connection.execute(
        f"select min({number}), max({number}) from {table.quoted} where file_id = $1", [file_id]
    ).fetchall()
    return ends
