"""The words in which a kind of file is described."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal

Market = Literal["um", "cm", "spot"]
Origin = Literal["archive", "rest", "stream"]

#: Symbols are checked against this before they touch a path or a statement.
SYMBOL = re.compile(r"[A-Z0-9]{2,24}(_[A-Z0-9]{3,8})?")

_MICROSECONDS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_COUNTS = {
    "s": (1,),
    "m": (1, 3, 5, 15, 30),
    "h": (1, 2, 4, 6, 8, 12),
    "d": (1, 3),
}

#: Interval as the archive writes it → its length in microseconds. A month has no fixed length: its longest stands.
INTERVALS: dict[str, int] = {
    **{f"{count}{unit}": count * _MICROSECONDS[unit] for unit, counts in _COUNTS.items() for count in counts},
    "1w": 7 * _MICROSECONDS["d"],
    "1mo": 31 * _MICROSECONDS["d"],
}


def interval_microseconds(interval: str) -> int:
    """Length of a candle in microseconds; `1mo` gives 31 days. Raises KeyError for an unknown interval."""
    return INTERVALS[interval]


class NameRefused(Exception):
    """The name looks like a dataset's file, and yet cannot be one. The message says why."""


class Kind(Enum):
    """What a published cell holds."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"  # true or false, in any case
    TEXT = "text"
    EPOCH = "epoch"  # a number since 1970, in seconds, milliseconds or microseconds
    TIMESTAMP_TEXT = "timestamp text"  # 2024-02-16 13:30:00, UTC


class Unit(Enum):
    """Unit of a file's epochs: microseconds in one of it."""

    SECONDS = 1_000_000
    MILLISECONDS = 1_000
    MICROSECONDS = 1

    @classmethod
    def of(cls, epoch: int) -> Unit | None:
        """Unit by magnitude; None for what is no time between 1973 and 2286 in any of them (nanoseconds, say)."""
        for unit, low in ((cls.SECONDS, 10**8), (cls.MILLISECONDS, 10**11), (cls.MICROSECONDS, 10**14)):
            if low <= epoch < low * 100:
                return unit
        return None


@dataclass(frozen=True, slots=True)
class Column:
    """One published column. `scale` is the number of decimals that raw keeps; `blank` allows an empty cell.

    `None`, `null` and `NaN` are empty cells, too, as programs write them.
    """

    name: str
    kind: Kind
    scale: int = 8
    blank: bool = False


#: How programs write a cell without a value, in lower case.
NO_VALUE = ("", "none", "null", "nan")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file is, whatever its place: the landing's unit of replacement.

    `exchange` is whose market the rows are about: two exchanges may have a dataset, or a symbol, of the same name.
    `period_start` inclusive, `period_end` exclusive, UTC; None where the name gives no period. `provider` is whose
    levels a file holds, None for all other datasets.
    """

    exchange: str
    dataset: str
    market: str | None
    kline_type: str | None
    symbol: str | None
    interval: str | None
    period_start: datetime | None
    period_end: datetime | None
    origin: Origin = "archive"
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class FileLayout:
    """One layout of files, and the raw table that takes its rows.

    `columns` are in the order of publication; `optional` ones may follow. `derived` gives raw column → SQL over the
    published columns where the two differ. `key` and `time` are raw columns. `checks` are (reason, SQL over raw
    columns that must be true); `{step}` in it is the interval in microseconds. `time_tolerance_us` widens the period on
    both sides, `closed_end` takes the period's end itself in. `sequence_column` is a number that grows by one from row
    to row, where the exchange publishes one.

    `titles` are other names that a header may give a column (`column_of_title`). A layout that has them takes its
    columns in any order and without those that may be blank; names in `ignored_titles` are passed over.
    """

    name: str
    exchange: str
    dataset: str
    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str
    checks: tuple[tuple[str, str], ...]
    optional: tuple[Column, ...] = ()
    derived: tuple[tuple[str, str], ...] = ()
    symbol_column: str | None = None
    sequence_column: str | None = None
    time_tolerance_us: int = 0
    closed_end: bool = False
    many_symbols: bool = False

    @property
    def most_decimals(self) -> int:
        """Decimals that raw keeps of the column that has the most."""
        return max((column.scale for column in self.columns if column.kind is Kind.DECIMAL), default=0)

    titles: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ignored_titles: tuple[str, ...] = ()

    def column_of_title(self, title: str) -> str | None:
        """Name of the column that a header calls `title`: "" for one to pass over, None for an unknown one.

        A title counts as it stands first (the stream's letters differ in case alone: `s` is the symbol, `S` the side),
        then without regard to case, blanks and underscores.
        """
        known = {column.name: column.name for column in (*self.columns, *self.optional)}
        known |= {title: name for name, titles in self.titles for title in titles}
        known |= dict.fromkeys(self.ignored_titles, "")
        title = title.strip().strip('"').strip()
        if title in known or len(title) < 2:
            return known.get(title)
        return {_plain(name): column for name, column in known.items() if len(name) > 1}.get(_plain(title))


def _plain(title: str) -> str:
    return title.lower().replace(" ", "").replace("_", "").removeprefix("o.")
