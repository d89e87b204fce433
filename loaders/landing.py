"""Files into raw tables, inside a transaction that the caller opens and commits.

Two ways lead there. The engine's typed reader takes files that look right, several of one layout in one statement;
what came in is then counted and checked against what Python saw. Whatever does not agree raises `Doubt`, the caller
rolls back, and the file goes the careful way: every line as text, every cell tried, every refusal with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from loaders.datasets import INTERVALS, Column, Dataset, Kind, interval_microseconds
from loaders.errors import FileRejected
from loaders.reading import Prepared
from loaders.schema import Table, quote

_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_DAY = INTERVALS["1d"]
# Proving that ids are unique takes a bit for each number between the least and the greatest.
_BITS_PER_ROW = 64
# The engine's own 32 MB leave a day's file in three or four pieces, which two threads cannot share evenly.
_BUFFER = 8 * 2**20

_Parameters = dict[str, object]


class Doubt(Exception):
    """The typed reader's result does not agree with the file: read it row by row."""


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
class Manner:
    """How a statement reads: files of one manner can share it."""

    layout: Dataset
    columns: tuple[Column, ...]
    header: bool
    unit: int
    kline_type: str | None
    interval: str | None
    provider: str | None

    @classmethod
    def of(cls, file: Prepared) -> Manner:
        """The manner in which a file is read."""
        identity = file.candidate.identity
        return cls(
            file.candidate.layout,
            file.columns,
            file.header,
            file.unit.value,
            identity.kline_type,
            identity.interval,
            identity.provider,
        )


def raw_table(tables: Mapping[str, Table], layout: Dataset) -> Table:
    """The raw table that takes the layout's rows."""
    return tables[f"raw.{layout.table}"]


def remove(
    connection: duckdb.DuckDBPyConnection, table: Table, layout: Dataset, file_id: int
) -> list[tuple[str | None, datetime, datetime]]:
    """Takes out what a file had brought; returns its ranges of time by symbol."""
    ranges = list(_ranges(connection, table, layout, file_id))
    connection.execute(f"delete from {table.quoted} where file_id = $1", [file_id])
    connection.execute("delete from ops.rejected_rows where file_id = $1", [file_id])
    return ranges


def land_typed(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: Sequence[tuple[int, Prepared]],
    *,
    narrow: bool = True,
) -> dict[int, Landed]:
    """Inserts files of one manner by the engine's typed reader.

    `narrow` parses decimals of 8 places as 18 digits, about three times faster than 38; greater numbers fail.
    Raises `Doubt` if anything is not as it should be, and duckdb.Error for what cannot be typed.
    """
    manner = Manner.of(files[0][1])
    parameters: _Parameters = {"paths": [str(file.text) for _, file in files]}
    if len(files) == 1:
        (file_id, file), *_ = files
        parameters |= {"file_id": file_id, "market": file.candidate.identity.market}
        parameters |= {"symbol": file.candidate.identity.symbol}
        origin, join = {"file_id": "$file_id", "market": "$market", "symbol": "$symbol"}, ""
    else:
        parameters |= {
            "file_ids": [file_id for file_id, _ in files],
            "markets": [file.candidate.identity.market for _, file in files],
            "symbols": [file.candidate.identity.symbol for _, file in files],
        }
        # Names that no file publishes: metrics have a symbol of their own.
        origin = {name: f"of_{name}" for name in ("file_id", "market", "symbol")}
        join = """
            join (
                select
                    unnest($paths) as of_path,
                    unnest($file_ids) as of_file_id,
                    unnest($markets) as of_market,
                    unnest($symbols) as of_symbol
            ) as brought on source.filename = brought.of_path"""
    chosen = _chosen(manner, table, origin)
    for column in manner.columns:
        if column.name in chosen and _read_as(column, narrow) == "VARCHAR" and column.kind is Kind.DECIMAL:
            chosen[column.name] = _wide(quote(column.name), column.scale)
    used = "".join(chosen.values())
    parameters = {name: value for name, value in parameters.items() if name == "paths" or join or f"${name}" in used}
    typed = ", ".join(f"'{column.name}': '{_read_as(column, narrow)}'" for column in manner.columns)
    connection.execute(
        f"""
        insert into {table.quoted} ({", ".join(map(quote, chosen))})
        select {", ".join(chosen.values())}
        from read_csv(
            $paths, auto_detect = false, header = {str(manner.header).lower()}, delim = ',', quote = '', escape = '',
            columns = {{{typed}}}, buffer_size = {_BUFFER}, filename = {"true" if join else "false"}
        ) as source{join}
        """,
        parameters,
    )
    return _checked(connection, table, manner, files)


def _checked(
    connection: duckdb.DuckDBPyConnection, table: Table, manner: Manner, files: Sequence[tuple[int, Prepared]]
) -> dict[int, Landed]:
    """Compares what was inserted with what was seen. Raises `Doubt`."""
    layout = manner.layout
    time = quote(layout.time)
    symbol = "symbol" if layout.symbol_column else "null"
    conditions = [f"({sql})" for _, sql in _checks(manner)]
    conditions += [f"{quote(name)} is not null" for name in _required(manner, table)]
    dense = layout.dense_key
    key = ", ".join(map(quote, layout.key))
    distinct = "0" if dense else f"count(distinct ({key}))"
    low, high = (f"min({dense})", f"max({dense})") if dense else ("null", "null")
    found = connection.execute(
        f"""
        select
            file_id, count(*), epoch_us(min({time})), epoch_us(max({time})), min({symbol}), max({symbol}),
            count(*) filter (where ({" and ".join(conditions)}) is not true), {distinct}, {low}, {high}
        from {table.quoted}
        where file_id between $1 and $2
        group by file_id
        """,
        [files[0][0], files[-1][0]],
    ).fetchall()
    landed = {}
    for file_id, rows, first, last, symbol_low, symbol_high, bad, keys, id_low, id_high in found:
        file = dict(files)[file_id]
        earliest, latest = _period(file)
        wanted = file.candidate.identity.symbol
        if rows != file.rows or bad or not _micros(earliest) <= first <= last <= _micros(latest):
            raise Doubt
        if layout.symbol_column and (symbol_low, symbol_high) != (wanted, wanted):
            raise Doubt
        if dense:
            keys = _count_ids(connection, table, dense, file_id, rows, id_low, id_high)
        if keys != rows:
            raise Doubt
        ranges: tuple[tuple[str | None, datetime, datetime], ...] = ((wanted, _time(first), _time(last)),)
        if layout.many_symbols:
            ranges = _ranges(connection, table, layout, file_id)
        landed[file_id] = Landed(rows, rows, 0, 0, ranges, id_low, id_high)
    if len(landed) != len(files):
        raise Doubt
    return landed


def _count_ids(
    connection: duckdb.DuckDBPyConnection, table: Table, column: str, file_id: int, rows: int, low: int, high: int
) -> int:
    """Distinct ids of a file. One bit for each possible id is ten times faster than a set of them."""
    if high - low < max(rows, 1_000) * _BITS_PER_ROW and high - low < 10**9:
        counted = f"bit_count(bitstring_agg({column}, {int(low)}, {int(high)}))"
    else:
        counted = f"count(distinct {column})"
    return _count(connection, f"select {counted} from {table.quoted} where file_id = $1", [file_id])


def land_carefully(
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
    manner = Manner.of(file)
    chosen = _chosen(manner, table, {name: f"${name}" for name in ("file_id", "market", "symbol")})
    columns = ", ".join(map(quote, chosen))
    good = f"insert into {table.quoted} ({columns}) select {columns} from"
    bad = "insert into ops.rejected_rows by name select $into as file_id, line_number, line, reason from"
    duplicate = 0
    with _numbered(file, scratch) as numbered:
        tried, parameters = _tried_rows(table, manner, file, file_id, chosen, numbered)
        loaded = _count(connection, f"{good} ({tried}) where reason is null", parameters)
        if loaded < numbered.lines:
            connection.execute(f"{bad} ({tried}) where reason is not null", parameters | {"into": file_id})
        if _find_repeated(connection, table, manner.layout, file_id, loaded):
            # Rare: what stands more than once is taken out and judged together, with its lines.
            repeated = _is_repeated(manner.layout, "tried")
            _judge_repeated(
                connection, manner.layout, chosen, f"({tried}) as tried where reason is null and {repeated}", parameters
            )
            repeated = _is_repeated(manner.layout, table.quoted)
            connection.execute(f"delete from {table.quoted} where file_id = $1 and {repeated}", [file_id])
            connection.execute(f"{good} judged where reason is null and repetition = 1")
            connection.execute(f"{bad} judged where reason is not null", {"into": file_id})
            duplicate = _count(connection, "select count(*) from judged where reason is null and repetition > 1")
            loaded = _count(connection, f"select count(*) from {table.quoted} where file_id = $1", [file_id])
            connection.execute("drop table judged; drop table repeated")
    read = numbered.lines
    rejected = read - loaded - duplicate
    if rejected and (rejected > max(1, int(max_rejected_share * read)) or loaded == 0):
        raise FileRejected(_too_many(connection, file_id, read, rejected))
    if loaded == 0:
        raise FileRejected("holds no rows: download it again")
    ranges = _ranges(connection, table, manner.layout, file_id)
    number = manner.layout.dense_key
    first_id, last_id = _ends(connection, table, number, file_id) if number else (None, None)
    return Landed(read, loaded, duplicate, rejected, ranges, first_id, last_id)


def _ends(connection: duckdb.DuckDBPyConnection, table: Table, number: str, file_id: int) -> tuple[int, int]:
    """Least and greatest number of a file's rows, of which there are some."""
    (ends,) = connection.execute(
        f"select min({number}), max({number}) from {table.quoted} where file_id = $1", [file_id]
    ).fetchall()
    return ends


def _find_repeated(
    connection: duckdb.DuckDBPyConnection, table: Table, layout: Dataset, file_id: int, rows: int
) -> bool:
    """Fills the temporary table `repeated` with the keys that the file has more than once."""
    key = ", ".join(map(quote, layout.key))
    if layout.dense_key and rows:
        low, high = _ends(connection, table, layout.dense_key, file_id)
        if _count_ids(connection, table, layout.dense_key, file_id, rows, low, high) == rows:
            return False
    connection.execute(
        f"""
        create or replace temp table repeated as
        select {key} from {table.quoted} where file_id = $1 group by all having count(*) > 1
        """,
        [file_id],
    )
    return _count(connection, "select count(*) from repeated") > 0


def _is_repeated(layout: Dataset, relation: str) -> str:
    """SQL that is true for rows whose key is in `repeated`."""
    same = " and ".join(f"repeated.{quote(name)} is not distinct from {relation}.{quote(name)}" for name in layout.key)
    return f"exists (from repeated where {same})"


def _judge_repeated(
    connection: duckdb.DuckDBPyConnection,
    layout: Dataset,
    chosen: Mapping[str, str],
    rows: str,
    parameters: _Parameters,
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


def _tried_rows(
    table: Table, manner: Manner, file: Prepared, file_id: int, chosen: Mapping[str, str], numbered: _Numbered
) -> tuple[str, _Parameters]:
    """SQL and its parameters: line number, text, `reason` (why the row cannot be, or NULL) and raw's columns."""
    layout, columns = manner.layout, manner.columns
    identity = file.candidate.identity
    earliest, latest = _period(file)
    parameters: _Parameters = {
        "path": str(numbered.path),
        "file_id": file_id,
        "market": identity.market,
        "symbol": identity.symbol,
    }
    cells = [f"nullif(trim(fields[{place}]), '') as \"text_{column.name}\"" for place, column in enumerate(columns, 1)]
    tried = [f"{_tried(column, manner.unit)} as {quote(column.name)}" for column in columns]
    kept = [f"{_fitted(table, name, sql)} as {quote(name)}" for name, sql in chosen.items()]
    reasons = [
        (f"width <> {len(columns)}", f"'has ' || width || ' fields, {len(columns)} are expected'"),
        (f"lower(line) = '{','.join(column.name for column in columns)}'", "'a header in the middle of the file'"),
        (f"line_number = {numbered.cut_line}", "'the file ends within this line: its last field may be cut'"),
    ]
    for column in columns:
        name = f"text_{column.name}"
        if column.kind is Kind.TEXT and column.name not in _required(manner, table):
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
            f"{time} is null or epoch_us({time}) not between {_micros(earliest)} and {_micros(latest)}",
            f"'time outside the period of the file: ' || coalesce({time}::varchar, 'unknown')",
        )
    )
    if layout.symbol_column:
        parameters["wanted"] = identity.symbol
        reasons.append(("symbol <> $wanted", "'symbol is not that of the file, give it one of its own: ' || symbol"))
    reasons += [(f"({sql}) is not true", f"'{reason}'") for reason, sql in _checks(manner)]
    failed = [f"{_lost(table, chosen, column)} as {quote('got_' + column.name)}" for column in columns]
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
                columns = {{'line_number': 'BIGINT', 'line': 'VARCHAR'}}
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
class _Numbered:
    """A file's rows, each after its line number and a \\x01; `cut_line` is the number of one that is cut, or 0."""

    path: Path
    lines: int
    cut_line: int


@contextmanager
def _numbered(file: Prepared, scratch: Path) -> Iterator[_Numbered]:
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
        yield _Numbered(target, lines, last if file.cut else 0)
    finally:
        target.unlink(missing_ok=True)


def _chosen(manner: Manner, table: Table, origin: Mapping[str, str]) -> dict[str, str]:
    """Raw column → SQL over the published columns, in the order of the table."""
    layout = manner.layout
    stored = dict(layout.stored)
    published = {column.name: column for column in manner.columns}
    constants = {
        "market": origin["market"],
        "symbol": origin["symbol"],
        "pair": origin["symbol"],
        "file_id": origin["file_id"],
        "kline_type": f"'{manner.kline_type}'",
        "interval": f"'{manner.interval}'",
        "provider": f"'{manner.provider}'",
        "interval_minutes": str(interval_microseconds(manner.interval or "1d") // INTERVALS["1m"]),
    }
    chosen = {}
    for name, _ in table.columns:
        column = published.get(name)
        if name in stored:
            chosen[name] = stored[name]
        elif column is not None:
            sql = quote(name)
            chosen[name] = f"make_timestamp({sql} * {manner.unit})" if column.kind is Kind.EPOCH else sql
        elif name in constants:
            chosen[name] = constants[name]
        # What this file does not publish (is_best_match of futures) stays NULL.
    return chosen


def _checks(manner: Manner) -> list[tuple[str, str]]:
    step = interval_microseconds(manner.interval) if manner.interval else 0
    # Weeks and months begin at a day, not at a multiple of their length.
    aligned = f"epoch_us({quote(manner.layout.time)}) % {min(step, _DAY) or 1} = 0"
    return [
        (reason, sql.replace("{step}", str(step)).replace("{aligned}", aligned)) for reason, sql in manner.layout.checks
    ]


def _required(manner: Manner, table: Table) -> list[str]:
    """Raw columns that a published cell must fill."""
    names = {name for name, _ in table.columns}
    return [column.name for column in manner.columns if not column.blank and column.name in names]


def _period(file: Prepared) -> tuple[datetime, datetime]:
    """Earliest and latest time, both inclusive, that a row of the file may have."""
    layout, identity = file.candidate.layout, file.candidate.identity
    if identity.period_start is None or identity.period_end is None:
        return _EARLIEST, _LATEST
    slack = timedelta(microseconds=layout.slack_us)
    start = identity.period_start - slack
    if identity.interval is not None and interval_microseconds(identity.interval) > _DAY:
        # A week or a month that overlaps the file's period may have begun before it.
        start -= timedelta(microseconds=interval_microseconds(identity.interval))
    end = identity.period_end + slack
    return start, end if layout.closed_end else end - timedelta(microseconds=1)


def _micros(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _time(micros: int) -> datetime:
    """UTC without a zone, as the tables hold it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).replace(tzinfo=None)


def _read_as(column: Column, narrow: bool) -> str:
    match column.kind:
        case Kind.INTEGER | Kind.EPOCH:
            return "BIGINT"
        case Kind.DECIMAL:
            return f"DECIMAL(18, {column.scale})" if narrow and column.scale <= 8 else "VARCHAR"
        case Kind.FLAG:
            return "BOOLEAN"
        case Kind.CLOCK:
            return "TIMESTAMP"
        case Kind.TEXT:
            return "VARCHAR"


def _wide(text: str, scale: int) -> str:
    """SQL that reads a decimal of up to 38 digits exactly.

    The engine parses decimals of more than 18 digits some forty times slower than others, so the two sides of the
    point are read apart; what does not look plain is left to it.
    """
    return f"""case
        when regexp_full_match({text}, '[0-9]{{1,18}}([.][0-9]{{1,{scale}}})?') then
            split_part({text}, '.', 1)::decimal(18, 0)::decimal(38, {scale})
            + ('0.' || split_part({text}, '.', 2) || '0')::decimal(18, {scale})::decimal(38, {scale})
        else {text}::decimal(38, {scale})
    end"""


def _tried(column: Column, unit: int) -> str:
    """SQL that types a cell's text exactly, or gives NULL."""
    text = f'"text_{column.name}"'
    match column.kind:
        case Kind.INTEGER:
            return f"case when regexp_full_match({text}, '[+-]?[0-9]{{1,18}}') then try_cast({text} as bigint) end"
        case Kind.EPOCH:
            # Within what make_timestamp can take in this unit; what lies outside the period is told by its time.
            return f"""case
                when regexp_full_match({text}, '[0-9]{{1,17}}') and try_cast({text} as bigint) < {9 * 10**18 // unit}
                    then try_cast({text} as bigint)
            end"""
        case Kind.DECIMAL:
            scale = column.scale
            # Exponents are rare; what is lost by rounding shows against four more places.
            return f"""case
                when regexp_full_match({text}, '[0-9]{{1,18}}([.][0-9]{{1,{scale}}})?')
                    then {_wide(text, scale)}
                when regexp_full_match({text}, '[+-]?[0-9]+([.][0-9]{{0,{scale}}}0*)?')
                    then try_cast({text} as decimal(38, {scale}))
                when regexp_full_match({text}, '[+-]?[0-9]+([.][0-9]*)?[eE][+-]?[0-9]{{1,2}}')
                    and try_cast({text} as decimal(38, {scale})) = try_cast({text} as decimal(38, {scale + 12}))
                    then try_cast({text} as decimal(38, {scale}))
            end"""
        case Kind.FLAG:
            return f"case lower({text}) when 'true' then true when 'false' then false end"
        case Kind.CLOCK:
            pattern = _CLOCK
            return f"case when regexp_full_match({text}, '{pattern}') then try_cast({text} as timestamp) end"
        case Kind.TEXT:
            return text


_CLOCK = "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"


def _fitted(table: Table, name: str, sql: str) -> str:
    """SQL of a raw column, NULL where the value does not fit its type."""
    data_type = dict(table.columns)[name]
    return f"try_cast({sql} as {data_type})"


def _lost(table: Table, chosen: Mapping[str, str], column: Column) -> str:
    """SQL that is true where a published cell could not be typed, or does not fit raw."""
    if column.name not in chosen:
        return f"{quote(column.name)} is null"
    return f"{_fitted(table, column.name, chosen[column.name])} is null"


def _count(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] | _Parameters = ()) -> int:
    """The number that a query, or an insertion, answers."""
    row = connection.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0


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


def _ranges(
    connection: duckdb.DuckDBPyConnection, table: Table, layout: Dataset, file_id: int
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
