"""Text for a terminal: lines and tables that fit its width, sizes and lengths of time as people read them."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

_SIZES = ("B", "kB", "MB", "GB", "TB")
_NARROWEST = 60
_NARROWEST_COLUMN = 8


def width() -> int:
    """Columns of the terminal (or COLUMNS), 80 where there is none: a pipe, cron's mail."""
    return max(shutil.get_terminal_size((80, 24)).columns, _NARROWEST)


def size(count: int) -> str:
    """Bytes for people: `1.2 GB`, in powers of a thousand."""
    number = float(count)
    for unit in _SIZES:
        if number < 999.5 or unit == _SIZES[-1]:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


def counted(number: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def length(time: timedelta) -> str:
    """A length of time for people: `5 days`, `7 h`, `12 min`."""
    minutes = int(time.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def minute(time: datetime | None) -> str:
    """A UTC time to the minute; nothing for None."""
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def few(lines: Sequence[str], most: int, indent: str = "  ") -> Sequence[str]:
    """The first lines, and how many more there are where they are too many to read."""
    if len(lines) <= most:
        return lines
    return [*lines[:most], f"{indent}and {len(lines) - most:,} more (--json has all)"]


def near(path: str | Path) -> str:
    """A path as seen from here: relative where it lies in the working folder, else as it is."""
    here = f"{Path.cwd()}{os.sep}"
    return str(path).removeprefix(here)


def wrapped(text: str, indent: str = "", first: str | None = None) -> str:
    """A paragraph within the terminal's width. Long words, such as paths, stay whole."""
    return "\n".join(
        textwrap.wrap(
            text,
            width(),
            initial_indent=indent if first is None else first,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `fitted`: `right`, its cells end together; `folds`, it gives way where the terminal is narrow."""

    name: str
    right: bool = False
    folds: bool = False


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[list[list[str]]]:
    """The heading and each row, as lines of padded cells; two spaces between them make a table of the terminal's width.

    For thousands of rows of plain text: `rich` measures and wraps each cell, a second for every two thousand rows.
    """
    heading = [column.name for column in columns]
    widths = [max(map(len, cells)) for cells in zip(heading, *rows, strict=True)]
    left = width() - 2 * (len(columns) - 1)
    while sum(widths) > left:
        widest = max((place for place, column in enumerate(columns) if column.folds), key=widths.__getitem__)
        if widths[widest] <= _NARROWEST_COLUMN:
            break
        widths[widest] -= 1
    padded = [(size, column.right) for size, column in zip(widths, columns, strict=True)]
    for row in (heading, *rows):
        folded = [_folded(cell, size) if len(cell) > size else (cell,) for cell, size in zip(row, widths, strict=True)]
        yield [
            [cell.rjust(size) if right else cell.ljust(size) for cell, (size, right) in zip(line, padded, strict=True)]
            for line in itertools.zip_longest(*folded, fillvalue="")
        ]


@lru_cache(maxsize=1000)
def _folded(cell: str, size: int) -> Sequence[str]:
    return textwrap.wrap(cell, size, break_on_hyphens=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), indent: int = 0) -> str:
    """A plain table of the terminal's width; only its first column is folded, and `right` columns end together."""
    # Not above: a command that draws no table ends in less time than these take to import.
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        drawn.add_column(
            name, justify="right" if name in right else "left", no_wrap=place > 0, overflow="fold", min_width=len(name)
        )
    for row in rows:
        drawn.add_row(*row)
    console = Console(file=io.StringIO(), width=width() - indent, markup=False, highlight=False, emoji=False)
    console.print(drawn)
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return textwrap.indent("\n".join(lines), " " * indent)
