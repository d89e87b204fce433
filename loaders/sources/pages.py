"""Rows of REST answers as files of their own: `rest/{exchange}/{market}/{type}/{SYMBOL}/[{interval}/]rest-...csv`.

A file is written under a temporary name, synced and renamed, so that a page is there wholly or not at all. Its columns
are those of the archive's file of the same dataset; what REST does not tell is blank. Its name says everything, so that
it can lie anywhere, and is understood by `loaders.datasets`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loaders.datasets.names import rest_name
from loaders.datasets.series import Series
from loaders.sources.spans import Span, from_milliseconds

FOLDER = "rest"


@dataclass(frozen=True, slots=True)
class Rows:
    """What one answer holds: (time, line in the archive's columns), in order of time."""

    series: Series
    rows: tuple[tuple[datetime, str], ...]

    @property
    def span(self) -> Span:
        """From the first row to where the next one is due; for rates, whose next one is not known, a second later."""
        return self.rows[0][0].replace(microsecond=0), self.rows[-1][0].replace(microsecond=0) + (
            self.series.step or timedelta(seconds=1)
        )


def page_path(root: Path, series: Series, start: datetime, end: datetime) -> Path:
    """Where a page lies below a data folder."""
    interval = (series.interval,) if series.interval else ()
    place = (series.exchange, series.market, series.dataset, series.kline_type or "all", series.symbol, *interval)
    return root.joinpath(FOLDER, *place, rest_name(series, start, end))


def write_page(root: Path, rows: Rows) -> Path | None:
    """Writes a page; None if the answer held nothing."""
    if not rows.rows:
        return None
    target = page_path(root, rows.series, *rows.span)
    write_whole(target, "".join(f"{line}\n" for _, line in rows.rows).encode())
    return target


def add_to_day(root: Path, rows: Rows) -> list[Path]:
    """Adds rows to the files of their days, one for each day: what `--follow` collects, few at a time."""
    by_day: dict[datetime, dict[datetime, str]] = {}
    for time, line in rows.rows:
        day = time.replace(hour=0, minute=0, second=0, microsecond=0)
        by_day.setdefault(day, {})[time] = line
    written = []
    for day, lines in by_day.items():
        target = page_path(root, rows.series, day, day + timedelta(days=1))
        merged = {_time_of(line, rows.series): line for line in _lines_of(target)} | lines
        write_whole(target, "".join(f"{merged[time]}\n" for time in sorted(merged)).encode())
        written.append(target)
    return written


def covered(path: Path, series: Series) -> Span | None:
    """From a page's first row to where the next one is due; its name may promise more. None if it cannot be read."""
    try:
        lines = _lines_of(path)
        return Rows(series, tuple((_time_of(line, series), line) for line in (lines[0], lines[-1]))).span
    except (ValueError, IndexError, OSError):
        return None


def _lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines() if path.exists() else []


def _time_of(line: str, series: Series) -> datetime:
    cell = line.partition(",")[0]
    match series.dataset:
        case "metrics":
            return datetime.strptime(cell, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        case "ohlcvt":
            return from_milliseconds(int(cell) * 1000)
    return from_milliseconds(int(cell))


def write_whole(target: Path, content: bytes) -> None:
    """Writes a file that is there wholly or not at all, whatever happens on the way."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
