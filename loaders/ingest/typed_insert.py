"""Inserts files that look right by the engine's typed reader, several of one kind in one statement.

What came in is counted and checked against what Python saw. Whatever does not agree raises `TypedReadMismatch`; the
caller rolls back and inserts the file row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb

from loaders.datasets import Kind
from loaders.files.inspection import Prepared
from loaders.ingest.column_sql import (
    ReadSpec,
    alignment_of,
    minutes_of,
    raw_columns,
    required_columns,
    row_checks,
    step_of,
    timestamp_or_null,
    typed_reader_type,
    wide_decimal,
)
from loaders.ingest.raw_rows import Parameters, count_ids, microseconds, time_bounds, time_ranges, without_zone
from loaders.paths import engine_pattern
from loaders.warehouse.ledger import Landed
from loaders.warehouse.schema import Table, quote

# The engine's own 32 MB leave a day's file in three or four pieces, which two threads cannot share evenly. It takes a
# buffer for each file, whatever its size: small ones cost a fifth less with buffers of theirs.
_BUFFER = 8 * 2**20
_SMALL_BUFFER = 2**20


# The words for no value as programs write them: in a column that must have one, the row reader will say so.
_NULLS = ", ".join(
    f"'{form}'"
    for word in ("", "none", "null", "nan", "NaN")
    for form in dict.fromkeys((word, word.title(), word.upper()))
)


class TypedReadMismatch(Exception):
    """The typed reader's result does not agree with the file: read it row by row."""


def insert_typed(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: Sequence[tuple[int, Prepared]],
    *,
    narrow: bool = True,
) -> dict[int, Landed]:
    """Inserts files of one spec by the engine's typed reader.

    `narrow` parses decimals of 8 places as 18 digits, about three times faster than 38; greater numbers fail.
    Raises `TypedReadMismatch` if anything is not as it should be, and duckdb.Error for what cannot be typed.
    """
    spec = ReadSpec.of(files[0][1])
    parameters: Parameters = {"patterns": [engine_pattern(file.text) for _, file in files]}
    identities = [file.candidate.identity for _, file in files]
    if len(files) == 1:
        (identity,) = identities
        parameters |= {"file_id": files[0][0], "market": identity.market, "symbol": identity.symbol}
        origin = {name: f"${name}" for name in ("file_id", "market", "symbol")}
        origin |= {"interval": f"'{identity.interval}'", "interval_minutes": str(minutes_of(identity.interval))}
        steps, join = (str(step_of(identity.interval)), str(alignment_of(identity.interval))), ""
    else:
        parameters |= {
            "paths": [str(file.text) for _, file in files],
            "file_ids": [file_id for file_id, _ in files],
            "markets": [identity.market for identity in identities],
            "symbols": [identity.symbol for identity in identities],
            "intervals": [identity.interval for identity in identities],
            "minutes": [minutes_of(identity.interval) for identity in identities],
            "steps": [step_of(identity.interval) for identity in identities],
            "alignments": [alignment_of(identity.interval) for identity in identities],
        }
        # Names that no file publishes: metrics have a symbol of their own.
        origin = {name: f"of_{name}" for name in ("file_id", "market", "symbol", "interval", "interval_minutes")}
        steps = ("of_step", "of_alignment")
        join = """
            join (
                select
                    unnest($paths) as of_path,
                    unnest($file_ids) as of_file_id,
                    unnest($markets) as of_market,
                    unnest($symbols) as of_symbol,
                    unnest($intervals) as of_interval,
                    unnest($minutes) as of_interval_minutes,
                    unnest($steps) as of_step,
                    unnest($alignments) as of_alignment
            ) as brought on source.filename = brought.of_path"""
    chosen = raw_columns(spec, table, origin)
    types = {column.name: typed_reader_type(column, narrow, spec.short_decimals) for column in spec.columns}
    for column in spec.columns:
        if column.name in chosen and types[column.name] == "VARCHAR" and column.kind is Kind.DECIMAL:
            chosen[column.name] = wide_decimal(quote(column.name), column.scale)
        elif column.name in chosen and column.kind is Kind.TIMESTAMP_TEXT:
            chosen[column.name] = timestamp_or_null(quote(column.name))
    conditions = [f"({sql})" for _, sql in row_checks(spec.layout, *steps)]
    conditions += [f"{quote(name)} is not null" for name in required_columns(spec, table)]
    used = "".join(chosen.values())
    parameters = {name: value for name, value in parameters.items() if name == "patterns" or join or f"${name}" in used}
    buffer = min(_BUFFER, max(_SMALL_BUFFER, *(file.text_bytes for _, file in files)))
    # The engine holds each cell against each word, a twelfth of its time. In cells of numbers, flags and times no word
    # is left once the file has been looked at.
    nulls = _NULLS if any(column.kind is Kind.TEXT for column in spec.columns) else "''"
    typed = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    columns = ", ".join(map(quote, chosen))
    # What fails a check is left out, and is missed when the file's rows are counted. Here numbers have 18 digits still,
    # and need not be read once more.
    connection.execute(
        f"""
        insert into {table.quoted} ({columns})
        select {columns}
        from (
            select
                {", ".join(f"{sql} as {quote(name)}" for name, sql in chosen.items())}
                {", of_step, of_alignment" if join else ""}
            from read_csv(
                $patterns, auto_detect = false, header = {str(spec.header).lower()}, delim = ',', quote = '',
                escape = '', nullstr = [{nulls}], columns = {{{typed}}}, buffer_size = {buffer},
                filename = {"true" if join else "false"}, hive_partitioning = false
            ) as source{join}
        ) as typed
        where {" and ".join(conditions) or "true"}
        """,
        parameters,
    )
    return _checked(connection, table, spec, files)


def _checked(
    connection: duckdb.DuckDBPyConnection, table: Table, spec: ReadSpec, files: Sequence[tuple[int, Prepared]]
) -> dict[int, Landed]:
    """Compares what was inserted with what was seen. Raises `TypedReadMismatch`."""
    layout = spec.layout
    time = quote(layout.time)
    symbol = "symbol" if layout.symbol_column else "null"
    by_id = dict(files)
    dense = layout.sequence_column
    key = ", ".join(map(quote, layout.key))
    distinct = "0" if dense else f"count(distinct ({key}))"
    low, high = (f"min({dense})", f"max({dense})") if dense else ("null", "null")
    found = connection.execute(
        f"""
        select
            file_id, count(*), epoch_us(min({time})), epoch_us(max({time})), min({symbol}), max({symbol}),
            {distinct}, {low}, {high}
        from {table.quoted}
        where file_id between $1 and $2
        group by file_id
        """,
        [files[0][0], files[-1][0]],
    ).fetchall()
    landed = {}
    for file_id, rows, first, last, symbol_low, symbol_high, keys, id_low, id_high in found:
        file = by_id[file_id]
        earliest, latest = time_bounds(file)
        wanted = file.candidate.identity.symbol
        if rows != file.rows or not microseconds(earliest) <= first <= last <= microseconds(latest):
            raise TypedReadMismatch
        if layout.symbol_column and (symbol_low, symbol_high) != (wanted, wanted):
            raise TypedReadMismatch
        if dense:
            keys = count_ids(connection, table, dense, file_id, rows, id_low, id_high)
        if keys != rows:
            raise TypedReadMismatch
        ranges: tuple[tuple[str | None, datetime, datetime], ...] = ((wanted, without_zone(first), without_zone(last)),)
        if layout.many_symbols:
            ranges = time_ranges(connection, table, layout, file_id)
        landed[file_id] = Landed(rows, rows, 0, 0, ranges, id_low, id_high)
    if len(landed) != len(files):
        raise TypedReadMismatch
    return landed
