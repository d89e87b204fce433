"""SQL of columns: how published cells become the columns of a raw table, typed at once or cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loaders.datasets import INTERVALS, NO_VALUE, Column, FileLayout, Kind, interval_microseconds
from loaders.files.inspection import Prepared
from loaders.warehouse.schema import Table, quote

_DAY = INTERVALS["1d"]


@dataclass(frozen=True, slots=True)
class ReadSpec:
    """How a statement reads: files of one spec can share it, whatever their symbols and intervals."""

    layout: FileLayout
    columns: tuple[Column, ...]
    header: bool
    unit: int
    kline_type: str | None
    provider: str | None
    short_decimals: bool

    @classmethod
    def of(cls, file: Prepared) -> ReadSpec:
        """The spec in which a file is read."""
        identity = file.candidate.identity
        return cls(
            file.candidate.layout,
            file.columns,
            file.header,
            file.unit.value,
            identity.kline_type,
            identity.provider,
            file.short_decimals,
        )


def raw_table(tables: Mapping[str, Table], layout: FileLayout) -> Table:
    """The raw table that takes the layout's rows."""
    return tables[f"raw.{layout.table}"]


def raw_columns(spec: ReadSpec, table: Table, origin: Mapping[str, str]) -> dict[str, str]:
    """Raw column → SQL over the published columns, in the order of the table.

    `origin` is SQL of what a file's identity tells: file_id, market, symbol, interval, interval_minutes.
    """
    layout = spec.layout
    stored = dict(layout.derived)
    published = {column.name: column for column in spec.columns}
    constants = {
        "market": origin["market"],
        "symbol": origin["symbol"],
        "pair": origin["symbol"],
        "file_id": origin["file_id"],
        "kline_type": f"'{spec.kline_type}'",
        "interval": origin["interval"],
        "provider": f"'{spec.provider}'",
        "interval_minutes": origin["interval_minutes"],
    }
    chosen = {}
    for name, _ in table.columns:
        column = published.get(name)
        if name in stored:
            chosen[name] = stored[name]
        elif column is not None:
            sql = quote(name)
            chosen[name] = f"make_timestamp({sql} * {spec.unit})" if column.kind is Kind.EPOCH else sql
        elif name in constants:
            chosen[name] = constants[name]
        elif layout.titles:
            # Recorders leave columns out, and the checks ask for all of them.
            chosen[name] = "null"
        # What this file does not publish (is_best_match of futures) stays NULL.
    return chosen


def minutes_of(interval: str | None) -> int:
    """Minutes of an interval; a day's where a file has none, which no column takes."""
    return interval_microseconds(interval or "1d") // INTERVALS["1m"]


def step_of(interval: str | None) -> int:
    """Microseconds of an interval, 0 for none."""
    return interval_microseconds(interval) if interval else 0


def alignment_of(interval: str | None) -> int:
    """Microseconds of which each time of the interval is a multiple."""
    # Weeks and months begin at a day, not at a multiple of their length.
    return min(step_of(interval), _DAY) or 1


def row_checks(layout: FileLayout, step: str, alignment: str) -> list[tuple[str, str]]:
    """Reason and SQL of each check that rows must pass; `step` and `alignment` are SQL of the two numbers above."""
    aligned = f"epoch_us({quote(layout.time)}) % {alignment} = 0"
    return [(reason, sql.replace("{step}", step).replace("{aligned}", aligned)) for reason, sql in layout.checks]


def required_columns(spec: ReadSpec, table: Table) -> list[str]:
    """Raw columns that a published cell must fill."""
    names = {name for name, _ in table.columns}
    return [column.name for column in spec.columns if not column.blank and column.name in names]


def typed_reader_type(column: Column, narrow: bool, short_decimals: bool) -> str:
    """The engine's type for a column: decimals of at most eight places are read as 18 digits, if `narrow`."""
    match column.kind:
        case Kind.INTEGER | Kind.EPOCH:
            return "BIGINT"
        case Kind.DECIMAL:
            if narrow and (column.scale <= 8 or short_decimals):
                return f"DECIMAL(18, {min(column.scale, 8)})"
            return "VARCHAR"
        case Kind.BOOLEAN:
            return "BOOLEAN"
        case Kind.TIMESTAMP_TEXT | Kind.TEXT:
            return "VARCHAR"


def wide_decimal(text: str, scale: int) -> str:
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


def cell_text(column: Column, place: int) -> str:
    """SQL of a cell's text, NULL for an empty one and, in a column that may be empty, for a word that says so."""
    text = f"trim(fields[{place}])"
    if not column.blank:
        return f"nullif({text}, '')"
    words = ", ".join(f"'{word}'" for word in NO_VALUE)
    return f"case when lower({text}) not in ({words}) then {text} end"


def cell_or_null(column: Column, unit: int) -> str:
    """SQL that types a cell's text exactly, or gives NULL."""
    text = f'"text_{column.name}"'
    match column.kind:
        case Kind.INTEGER:
            return f"case when regexp_full_match({text}, '[+-]?[0-9]+') then try_cast({text} as bigint) end"
        case Kind.EPOCH:
            # Within what make_timestamp can take in this unit; what lies outside the period is told by its time.
            return f"""case
                when regexp_full_match({text}, '[0-9]+') and try_cast({text} as bigint) < {9 * 10**18 // unit}
                    then try_cast({text} as bigint)
            end"""
        case Kind.DECIMAL:
            scale = column.scale
            # Exponents are rare; what is lost by rounding shows against four more places.
            return f"""case
                when regexp_full_match({text}, '[0-9]{{1,18}}([.][0-9]{{1,{scale}}})?')
                    then {wide_decimal(text, scale)}
                when regexp_full_match({text}, '[+-]?([0-9]+([.][0-9]{{0,{scale}}}0*)?|[.][0-9]{{1,{scale}}}0*)')
                    then try_cast({text} as decimal(38, {scale}))
                when regexp_full_match({text}, '[+-]?[0-9]+([.][0-9]*)?[eE][+-]?[0-9]{{1,2}}')
                    and try_cast({text} as decimal(38, {scale})) = try_cast({text} as decimal(38, {scale + 12}))
                    then try_cast({text} as decimal(38, {scale}))
            end"""
        case Kind.BOOLEAN:
            return f"case lower({text}) when 'true' then true when 'false' then false end"
        case Kind.TIMESTAMP_TEXT:
            return timestamp_or_null(text)
        case Kind.TEXT:
            return text


def timestamp_or_null(text: str) -> str:
    """SQL of a time written in full; the engine alone would take 2024-3-5 and 2024-03-05T00:00Z, too."""
    return f"case when regexp_full_match({text}, '{_CLOCK}') then try_cast({text} as timestamp) end"


_CLOCK = "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"


def fitted(table: Table, name: str, sql: str) -> str:
    """SQL of a raw column, NULL where the value does not fit its type."""
    data_type = dict(table.columns)[name]
    return f"try_cast({sql} as {data_type})"


def is_lost(table: Table, chosen: Mapping[str, str], column: Column) -> str:
    """SQL that is true where a published cell could not be typed, or does not fit raw."""
    if column.name not in chosen:
        return f"{quote(column.name)} is null"
    return f"{fitted(table, column.name, chosen[column.name])} is null"
