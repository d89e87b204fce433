"""What must be true of the finished tables, as queries whose answer must be no row: one file each in `sql/`.

Each promise is asserted once. dbt's tests hold what must be true of a model, while it is built. Expectations look from
outside, afterwards: was anything altered since the build, is what was landed still what the ledger says, and do two
ways to the same figure agree? The checks of `marts.quality_checks` measure the data.

A file's folder says which tables it is about: `every_table`, `every_mart`, `raw_table`,
`raw_table_of_ids`, `both_backtests`, or a mart's name. Its first comment is the
description; a line `Remedy: ...` in it says what can be done where the usual remedy (`_REMEDIES`) does not help.
`${...}` stands for what comes from elsewhere: keys are those of `meta.key` in the YAML beside the models,
limits of raw rows and lengths of candles are those of `loaders.datasets`. `make test` lints the files.

A gap in the data is no failure; a gap that `marts.data_gaps` does not name is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any, Literal

import yaml

from loaders.datasets import INTERVALS, LAYOUTS, FileLayout
from loaders.errors import SchemaUnreadable
from loaders.warehouse.schema import quote

Status = Literal["pass", "fail", "error"]

_SQL = files("loaders.validation") / "sql"
_BACKTESTS = ("marts.liquidation_backtest", "marts.liquidation_backtest_external")

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
class Keyed:
    """A table and its key: `schema` is `raw` or `marts`. The key of a raw table has `file_id` in it."""

    schema: str
    name: str
    key: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A question about a table. `sql` gives the rows that must not be there; `description` says what must be true.

    `remedy` says what can be done where it is not.
    """

    name: str
    description: str
    sql: str
    remedy: str = ""


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


@dataclass(frozen=True, slots=True)
class Suite:
    """All expectations of a table."""

    table: Keyed
    expectations: tuple[Expectation, ...]


def suites(project: Path) -> list[Suite]:
    """A suite for each raw table and mart that the YAML declares. Raises `SchemaUnreadable` for one without a key."""
    return [Suite(table, tuple(_expectations(table))) for table in _keyed(project)]


def _keyed(project: Path) -> Iterator[Keyed]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted((project / "models").rglob("_*.yml")):
        document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), loader) or {}
        for source in document.get("sources", []):
            if source.get("schema", source["name"]) == "raw":
                for table in source["tables"]:
                    yield Keyed("raw", table["name"], (*_key(path, table), "file_id"))
        if path.relative_to(project / "models").parts[0] == "marts":
            for model in document.get("models", []):
                yield Keyed("marts", model["name"], _key(path, model))


def _key(path: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
    key = table.get("config", {}).get("meta", {}).get("key")
    if not key:
        raise SchemaUnreadable(f"{path}: {table['name']} has no meta.key: name the columns that tell its rows apart")
    return tuple(key)


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
    else:
        folders.append("every_mart")
    if table.full_name in _BACKTESTS:
        folders.append("both_backtests")
    folders.append(table.full_name)
    # A later folder's question of the same name replaces an earlier one's.
    asked = {file.name: file for folder in folders for file in _sql_files(_SQL / folder)}
    for _, file in sorted(asked.items()):
        yield _expectation(file, values, _REMEDIES[table.schema])


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
