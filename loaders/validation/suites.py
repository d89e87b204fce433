"""What must be true of the finished tables, as queries whose answer must be no row: one file each in `sql/`.

Each promise is asserted once. dbt's tests hold what must be true of a model, while it is built. Expectations look from
outside, afterwards: was anything altered since the build, is what was landed still what the ledger says, and do two
ways to the same figure agree? The checks of `marts.quality_checks` measure the data.

A file's folder says which tables it is about: `every_table`, `every_mart`, `raw_table`,
`raw_table_of_ids`, `both_backtests`, or a mart's name. Its first comment is the
description; a line `Remedy: ...` in it says what can be done where the usual remedy (`_REMEDIES`) does not help.
`${...}` stands for what comes from elsewhere: keys are those of `meta.key` in the YAML beside the models,
limits of raw rows and lengths of candles are those of `loaders.datasets`. `make test` lints the files.

Each is asked in two ways by the same text: of everything, or of what changed. `${rows}` are the table's rows that are
asked, and a relation's name, such as `${candles}`, those of another one within the same symbols and times; a name
without `${...}` is always the whole table.

A gap in the data is no failure; a gap that `marts.data_gaps` does not name is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Literal

from loaders.datasets import INTERVALS, LAYOUTS, FileLayout
from loaders.errors import SchemaUnreadable
from loaders.warehouse.keyed import Keyed, keyed_tables
from loaders.warehouse.schema import quote

Status = Literal["pass", "fail", "error"]
AskedOf = Literal["everything", "changes", "nothing"]
Follows = Literal["files", "series", "builds"]

#: Temporary tables of whoever asks for what changed: `file_id`; and exchange, symbol, rebuild_from.
CHANGED_FILES = "temp.changed_files"
CHANGED_SERIES = "temp.changed_series"

_SQL = files("loaders.validation") / "sql"
_BACKTESTS = ("marts.liquidation_backtest", "marts.liquidation_backtest_external")

_LEVELS = "marts.liquidation_levels"

_SNAPSHOTS = Keyed("staging", "stg_binance__metrics", (), "snapshot_at", has_exchange=True)

#: Relations that are compared with others within the same symbols and times.
_COMPARED = (
    Keyed("marts", "candles", (), "open_time", has_exchange=True),
    Keyed("marts", "klines_5m", (), "open_time"),
    Keyed("intermediate", "int_candles", (), "open_time", has_exchange=True),
    Keyed("intermediate", "int_agg_trade_candles_5m", (), "open_time"),
    Keyed("staging", "stg_binance__klines", (), "open_time", has_exchange=True),
    _SNAPSHOTS,
    Keyed("ops", "ingestion_files", (), "last_time", has_exchange=True),
)

_DAY = INTERVALS["1d"]

# What somebody can do about rows that should not be there.
_REMEDIES = {
    "raw": "the rows are not those that were landed, so something else changed them or the disk is failing: take the "
    "files out (`loaders forget --file PATH`; ops.ingestion_files has the path of a file_id, or --symbol SYMBOL), then "
    "`loaders load` lands them anew.",
    "marts": "`dbt build --full-refresh` makes the table anew from what was landed, then `loaders validate`. If it "
    "fails again, move the symbol's files out of the data folder and `loaders forget --symbol SYMBOL`: the others are "
    "published then.",
}

#: Key's column → the candle's length in microseconds.
_STEP = 'case "interval" ' + " ".join(f"when '{name}' then {length}" for name, length in INTERVALS.items()) + " end"
_STEPS = {"interval": _STEP, "interval_minutes": "cast(interval_minutes as bigint) * 60000000"}


@dataclass(frozen=True, slots=True)
class Expectation:
    """A question about a table. `sql` gives the rows that must not be there; `description` says what must be true.

    `remedy` says what can be done where it is not. `changed_sql` asks the same of what changed: of the files in
    `CHANGED_FILES`, or of the symbols and times in `CHANGED_SERIES`. The two are the same where a table is asked whole
    each time.
    """

    name: str
    description: str
    sql: str
    remedy: str = ""
    changed_sql: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What an expectation found. `unexpected_rows` is None for an error, `detail` None for a pass.

    `about` names symbols and days of the rows, of the first 200 where there are more.
    """

    table: str
    expectation: str
    description: str
    status: Status
    unexpected_rows: int | None
    detail: str | None
    about: str = ""
    remedy: str = ""
    asked_of: AskedOf = "everything"


@dataclass(frozen=True, slots=True)
class Suite:
    """All expectations of a table. `follows` says what makes it worth asking them again.

    `landed` is the exchange and dataset of a raw table.
    """

    table: Keyed
    expectations: tuple[Expectation, ...]
    landed: tuple[str, str] | None = None

    @property
    def follows(self) -> Follows:
        """Raw tables follow their files; marts their symbols and times, or whole builds where they are made whole."""
        if self.landed is not None:
            return "files"
        return "builds" if self.table.time is None else "series"


def suites(project: Path) -> list[Suite]:
    """A suite for each raw table and mart that the YAML declares. Raises `SchemaUnreadable` for one without a key."""
    return [Suite(table, tuple(_expectations(table)), _landed(table)) for table in keyed_tables(project)]


def _landed(table: Keyed) -> tuple[str, str] | None:
    if table.schema != "raw":
        return None
    return next((layout.exchange, layout.dataset) for layout in LAYOUTS.values() if layout.table == table.name)


def _expectations(table: Keyed) -> Iterator[Expectation]:
    # Recordings of orders differ in what they keep, and all columns together tell one order from another.
    layouts = [layout for layout in LAYOUTS.values() if table.full_name == f"raw.{layout.table}"]
    blank = {column.name for layout in layouts for column in layout.columns if column.blank}
    values = {
        "table": table.full_name,
        "name": table.name,
        "key": ", ".join(map(quote, table.key)),
        "key_has_null": " or ".join(f"{quote(column)} is null" for column in table.key if column not in blank),
        "step": _STEP,
    }
    folders = ["every_table"]
    if table.schema == "raw":
        folders.append("raw_table")
        values |= _of_landed_rows(table)
        sequence = next((layout.sequence_column for layout in LAYOUTS.values() if layout.table == table.name), None)
        if sequence is not None:
            folders.append("raw_table_of_ids")
            values["sequence"] = quote(sequence)
            values["other_keys"] = ", ".join(quote(column) for column in table.key if column != sequence)
    elif not table.is_view:
        folders.append("every_mart")
    if table.full_name in _BACKTESTS:
        folders.append("both_backtests")
    folders.append(table.full_name)
    # A later folder's question of the same name replaces an earlier one's.
    asked = {file.name: file for folder in folders for file in _sql_files(_SQL / folder)}
    of_everything, of_changes = values | _everything(table), values | _changes(table)
    for _, file in sorted(asked.items()):
        whole = _expectation(file, of_everything, _REMEDIES[table.schema])
        yield replace(whole, changed_sql=_expectation(file, of_changes, "").sql)


def _everything(table: Keyed) -> dict[str, str]:
    """What is asked, and what it is compared with, as relations: the tables as they are."""
    return {
        **dict.fromkeys(("rows", "rows_of_keys", "rows_with_keys"), table.full_name),
        **{other.name: other.full_name for other in _COMPARED},
        "files": "ops.ingestion_files",
        "opened_positions": "intermediate.int_positions",
    }


def shared_rows(asked: Sequence[Suite]) -> dict[str, str]:
    """Temporary tables of rows that changed, by name, and the query of each.

    They are those of tables that are rebuilt in the middle, too, and snapshots, which a view ranks: each question would
    read all of history to find them.
    """
    shared = [suite.table for suite in asked if suite.table.rebuilt_also]
    return {_shared_name(table): table.changed_rows(CHANGED_SERIES) for table in (*shared, _SNAPSHOTS)}


def _shared_name(table: Keyed) -> str:
    return f"temp.changed_{table.name}"


def _changes(table: Keyed) -> dict[str, str]:
    """The same relations, of what changed. Both sides of a comparison are cut by the same symbols and times."""
    changed = _everything(table) | {other.name: other.changed_rows(CHANGED_SERIES) for other in _COMPARED}
    changed[_SNAPSHOTS.name] = _shared_name(_SNAPSHOTS)
    if table.schema == "raw":
        rows = f"(select * from {table.full_name} where file_id in (select file_id from {CHANGED_FILES}))"
        files = f"(select * from ops.ingestion_files where file_id in (select file_id from {CHANGED_FILES}))"
        return changed | dict.fromkeys(("rows", "rows_of_keys", "rows_with_keys"), rows) | {"files": files}
    if table.time is None:
        return changed
    rows = _shared_name(table) if table.rebuilt_also else table.changed_rows(CHANGED_SERIES)
    # A row that was rebuilt can have the key of one that was not, where not all of a key's rows are rebuilt together.
    key = ", ".join(map(quote, table.key))
    keys = f"(select {key} from {rows} as changed_rows)"
    rows_of_keys = f"(select asked.* from {table.full_name} as asked semi join {keys} as changed using ({key}))"
    # A rebuild goes through the levels that stood then, which were opened long before: it may lose one of them.
    oldest = f"""(
        select
            changed.symbol,
            least(changed.rebuild_from, min(levels.opened_at)) as opened_from
        from {CHANGED_SERIES} as changed
        left join {table.full_name} as levels
            on
                changed.symbol = levels.symbol
                and coalesce(levels.liquidated_at, levels.closed_at, timestamp '9999-12-31') >= changed.rebuild_from
        where changed.exchange = 'binance'
        group by changed.symbol, changed.rebuild_from
    )"""
    opened_positions = f"""(
        select asked.* from intermediate.int_positions as asked
        semi join {oldest} as oldest on asked.symbol = oldest.symbol and asked.step_at >= oldest.opened_from
    )"""
    return changed | {
        "rows": rows,
        "rows_of_keys": rows_of_keys if table.rebuilt_also else rows,
        # A row without a symbol or a time is of no symbol that changed; those of a view are those of raw tables.
        **({"rows_with_keys": rows} if table.is_view else {}),
        **({"opened_positions": opened_positions} if table.full_name == _LEVELS else {}),
    }


def _sql_files(folder: Traversable) -> list[Traversable]:
    """A table about which nothing but the usual is asked has no folder."""
    return [file for file in folder.iterdir() if file.name.endswith(".sql")] if folder.is_dir() else []


def _expectation(file: Traversable, values: Mapping[str, str], remedy: str) -> Expectation:
    text = Template(file.read_text(encoding="utf-8")).substitute(values)
    comment = re.match(r"(?:-- .*\n)+", text)
    if comment is None:
        raise ValueError(f"{file}: the first line must be a comment that says what is expected")
    description = " ".join(line.removeprefix("-- ") for line in comment[0].splitlines())
    description, _, special = description.replace('"', "").partition(" Remedy: ")
    return Expectation(file.name.removesuffix(".sql"), description, text[comment.end() :], special or remedy)


def _of_landed_rows(table: Keyed) -> dict[str, str]:
    layouts = [layout for layout in LAYOUTS.values() if layout.table == table.name]
    if not layouts:
        raise SchemaUnreadable(f"raw.{table.name} is described in the sources YAML, but no dataset lands in it")
    return {
        "exchange": layouts[0].exchange,
        "dataset": layouts[0].dataset,
        "time": quote(layouts[0].time),
        "symbol": quote("pair" if "pair" in table.key else "symbol"),
        "faults": "\n            ".join(
            f"when ({condition}) is not true then '{reason}'" for reason, condition in _limits(table, layouts)
        ),
    }


def _limits(table: Keyed, layouts: list[FileLayout]) -> list[tuple[str, str]]:
    """The landing's own checks, for rows of every interval at once."""
    step = next((_STEPS[column] for column in table.key if column in _STEPS), "0")
    # Weeks and months begin at a day, not at a multiple of their length.
    aligned = f"epoch_us({quote(layouts[0].time)}) % least({step}, {_DAY}) = 0"
    # A stricter layout of the same table asks for more, and says so in checks that the others do not have.
    common = set.intersection(*(set(layout.checks) for layout in layouts))
    ordered = [check for check in layouts[0].checks if check in common]
    return [(reason, sql.replace("{step}", f"({step})").replace("{aligned}", aligned)) for reason, sql in ordered]
