"""Inserts a file line by line: every line as text, every cell tried, every refusal with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from loaders.datasets import FileLayout, Kind
from loaders.errors import FileRejected
from loaders.files.inspection import Prepared
from loaders.ingest.column_sql import (
    ReadSpec,
    alignment_of,
    cell_or_null,
    cell_text,
    fitted,
    is_lost,
    minutes_of,
    raw_columns,
    required_columns,
    row_checks,
    step_of,
)
from loaders.ingest.raw_rows import Parameters, count, count_ids, id_bounds, microseconds, time_bounds, time_ranges
from loaders.paths import engine_pattern
from loaders.warehouse.ledger import Landed
from loaders.warehouse.schema import Table, quote


def insert_row_by_row(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    file_id: int,
    file: Prepared,
    scratch: Path,
    max_rejected_share: float,
) -> Landed:
    """Inserts a file line by line, each cell tried; what cannot be taken goes to ops.rejected_rows with its reason.

    Identical rows of one key are dropped and counted, different ones are all rejected. Nothing is kept in a table
    on the way: what a transaction wrote there would stay in memory to its end.
    Raises `FileRejected` if more rows than the share allows are rejected, or none is left.
    """
    spec = ReadSpec.of(file)
    interval = file.candidate.identity.interval
    origin = {name: f"${name}" for name in ("file_id", "market", "symbol")}
    origin |= {"interval": f"'{interval}'", "interval_minutes": str(minutes_of(interval))}
    chosen = raw_columns(spec, table, origin)
    columns = ", ".join(map(quote, chosen))
    good = f"insert into {table.quoted} ({columns}) select {columns} from"
    bad = "insert into ops.rejected_rows by name select $into as file_id, line_number, line, reason from"
    duplicate = 0
    with _number_lines(file, scratch) as numbered:
        tried, parameters = _rows_with_reasons(table, spec, file, file_id, chosen, numbered)
        loaded = count(connection, f"{good} ({tried}) where reason is null", parameters)
        if loaded < numbered.lines:
            connection.execute(f"{bad} ({tried}) where reason is not null", parameters | {"into": file_id})
        if _find_repeated(connection, table, spec.layout, file_id, loaded):
            # Rare: what stands more than once is taken out and judged together, with its lines.
            repeated = _is_repeated(spec.layout, "tried")
            _judge_repeated(
                connection, spec.layout, chosen, f"({tried}) as tried where reason is null and {repeated}", parameters
            )
            repeated = _is_repeated(spec.layout, table.quoted)
            connection.execute(f"delete from {table.quoted} where file_id = $1 and {repeated}", [file_id])
            connection.execute(f"{good} judged where reason is null and repetition = 1")
            connection.execute(f"{bad} judged where reason is not null", {"into": file_id})
            duplicate = count(connection, "select count(*) from judged where reason is null and repetition > 1")
            loaded = count(connection, f"select count(*) from {table.quoted} where file_id = $1", [file_id])
            connection.execute("drop table judged; drop table repeated")
    read = numbered.lines
    rejected = read - loaded - duplicate
    if rejected and (rejected > max(1, int(max_rejected_share * read)) or loaded == 0):
        raise FileRejected(_too_many(connection, file_id, read, rejected))
    if loaded == 0:
        raise FileRejected("holds no rows: download it again")
    ranges = time_ranges(connection, table, spec.layout, file_id)
    number = spec.layout.sequence_column
    first_id, last_id = id_bounds(connection, table, number, file_id) if number else (None, None)
    return Landed(read, loaded, duplicate, rejected, ranges, first_id, last_id)


def _find_repeated(
    connection: duckdb.DuckDBPyConnection, table: Table, layout: FileLayout, file_id: int, rows: int
) -> bool:
    """Fills the temporary table `repeated` with the keys that the file has more than once."""
    key = ", ".join(map(quote, layout.key))
    if layout.sequence_column and rows:
        low, high = id_bounds(connection, table, layout.sequence_column, file_id)
        if count_ids(connection, table, layout.sequence_column, file_id, rows, low, high) == rows:
            return False
    connection.execute(
        f"""
        create or replace temp table repeated as
        select {key} from {table.quoted} where file_id = $1 group by all having count(*) > 1
        """,
        [file_id],
    )
    return count(connection, "select count(*) from repeated") > 0


def _is_repeated(layout: FileLayout, relation: str) -> str:
    """SQL that is true for rows whose key is in `repeated`."""
    same = " and ".join(f"repeated.{quote(name)} is not distinct from {relation}.{quote(name)}" for name in layout.key)
    return f"exists (from repeated where {same})"


def _judge_repeated(
    connection: duckdb.DuckDBPyConnection,
    layout: FileLayout,
    chosen: Mapping[str, str],
    rows: str,
    parameters: Parameters,
) -> None:
    """Fills the temporary table `judged`: `rows` with `reason` and, for identical ones, their `repetition`."""
    key = ", ".join(quote(name) for name in layout.key)
    content = f"({', '.join(quote(name) for name in chosen)})::varchar"
    connection.execute(
        f"""
        create or replace temp table judged as
        select
            * replace (
                case when min({content}) over same_key <> max({content}) over same_key
                    then 'another row of the file has the same key and different content'
                end as reason
            ),
            row_number() over (partition by {key} order by line_number) as repetition
        from {rows}
        window same_key as (partition by {key})
        """,
        parameters,
    )


def _rows_with_reasons(
    table: Table, spec: ReadSpec, file: Prepared, file_id: int, chosen: Mapping[str, str], numbered: _NumberedLines
) -> tuple[str, Parameters]:
    """SQL and its parameters: line number, text, `reason` (why the row cannot be, or NULL) and raw's columns."""
    layout, columns = spec.layout, spec.columns
    identity = file.candidate.identity
    earliest, latest = time_bounds(file)
    parameters: Parameters = {
        "path": engine_pattern(numbered.path),
        "file_id": file_id,
        "market": identity.market,
        "symbol": identity.symbol,
    }
    cells = [f'{cell_text(column, place)} as "text_{column.name}"' for place, column in enumerate(columns, 1)]
    tried = [f"{cell_or_null(column, spec.unit)} as {quote(column.name)}" for column in columns]
    kept = [f"{fitted(table, name, sql)} as {quote(name)}" for name, sql in chosen.items()]
    reasons = [
        (f"width <> {len(columns)}", f"'has ' || width || ' fields, {len(columns)} are expected'"),
        (f"lower(line) = '{','.join(column.name for column in columns)}'", "'a header in the middle of the file'"),
        (f"line_number = {numbered.cut_line}", "'the file ends within this line: its last field may be cut'"),
    ]
    for column in columns:
        name = f"text_{column.name}"
        if column.kind is Kind.TEXT and column.name not in required_columns(spec, table):
            continue
        if not column.blank:
            reasons.append((f'"{name}" is null', f"'{column.name} is empty'"))
        reasons.append(
            (
                f'"{name}" is not null and {quote("got_" + column.name)}',
                f"'{column.name} cannot be read, or not without losing digits: ' || \"{name}\"",
            )
        )
    time = quote(layout.time)
    reasons.append(
        (
            f"{time} is null or epoch_us({time}) not between {microseconds(earliest)} and {microseconds(latest)}",
            f"'time outside the period of the file: ' || coalesce({time}::varchar, 'unknown')",
        )
    )
    if layout.symbol_column:
        parameters["wanted"] = identity.symbol
        reasons.append(("symbol <> $wanted", "'symbol is not that of the file, give it one of its own: ' || symbol"))
    checks = row_checks(layout, str(step_of(identity.interval)), str(alignment_of(identity.interval)))
    reasons += [(f"({sql}) is not true", f"'{reason}'") for reason, sql in checks]
    failed = [f"{is_lost(table, chosen, column)} as {quote('got_' + column.name)}" for column in columns]
    parameters = {
        name: value
        for name, value in parameters.items()
        if name in ("path", "wanted") or any(f"${name}" in sql for sql in chosen.values())
    }
    sql = f"""
        with

        lines as (

            select line_number, coalesce(line, '') as line, string_split(coalesce(line, ''), ',') as fields
            from read_csv(
                $path, auto_detect = false, header = false, delim = '\x01', quote = '', escape = '',
                columns = {{'line_number': 'BIGINT', 'line': 'VARCHAR'}}, hive_partitioning = false
            )

        ),

        cells as (select line_number, line, len(fields) as width, {", ".join(cells)} from lines),

        tried as (select *, {", ".join(tried)} from cells),

        typed as (
            select line_number, line, width, {", ".join(f'"text_{column.name}"' for column in columns)},
                {", ".join(failed)}, {", ".join(kept)}
            from tried
        )

        select
            line_number,
            line,
            case {" ".join(f"when {test} then {reason}" for test, reason in reasons)} end as reason,
            {", ".join(map(quote, chosen))}
        from typed
    """
    return sql, parameters


@dataclass(frozen=True, slots=True)
class _NumberedLines:
    """A file's rows, each after its line number and a \\x01; `cut_line` is the number of one that is cut, or 0."""

    path: Path
    lines: int
    cut_line: int


@contextmanager
def _number_lines(file: Prepared, scratch: Path) -> Iterator[_NumberedLines]:
    """Copies the file's rows with their line numbers, in clean UTF-8.

    Line ends of all kinds and broken bytes would otherwise shift the numbers or stop the engine. This is the one
    place where Python touches every line: only files that gave cause for doubt come here.
    """
    target = scratch / "numbered.txt"
    lines, last = 0, 0
    skip = file.header
    try:
        with (
            file.text.open(encoding="utf-8-sig", errors="replace", newline=None) as source,
            target.open("w", encoding="utf-8", newline="\n") as out,
        ):
            for number, line in enumerate(source, 1):
                text = line.rstrip("\n")
                if not text.strip():
                    continue
                if skip:
                    skip = False
                    continue
                lines, last = lines + 1, number
                out.write(f"{number}\x01{text.replace(chr(1), '?')}\n")
        yield _NumberedLines(target, lines, last if file.cut else 0)
    finally:
        target.unlink(missing_ok=True)


def _too_many(connection: duckdb.DuckDBPyConnection, file_id: int, read: int, rejected: int) -> str:
    """Message for a file that has too many bad rows: the first of each reason, with its line."""
    reasons = connection.execute(
        """
        select min(line_number), arg_min(reason, line_number), count(*)
        from ops.rejected_rows
        where file_id = $1
        group by regexp_replace(reason, ':.*', '')
        order by count(*) desc, 1
        limit 3
        """,
        [file_id],
    ).fetchall()
    listed = "; ".join(f"line {line}: {reason} ({count} rows)" for line, reason, count in reasons)
    return (
        f"{rejected} of {read} rows cannot be taken ({listed}): check that the file is what its name says, download "
        "it again, or raise LOADERS_MAX_REJECTED_SHARE"
    )
