"""How files of an archive are edited: rows of a CSV are read, changed and written again."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from benchmarks.planted_faults.archive import (
    DAY_MS,
    DAYS,
    ETH,
    FIRST,
    MIDDLE,
    Place,
    Rows,
    write_csv,
)
from loaders.runs import sample


def edit(path: Path, change: Callable[[Rows], object], header: str | None = None) -> None:
    """Changes a file's rows in place, under its own header or another one, "" for none."""
    lines = path.read_text().splitlines()
    title = "" if lines[0][0].isdigit() else lines.pop(0)
    rows = [line.split(",") for line in lines]
    change(rows)
    write_csv(path, title if header is None else header, [",".join(row) for row in rows])


def each(rows: Rows, change: Callable[..., None], *arguments: object) -> None:
    for row in rows:
        change(row, *arguments)


def scale(row: list[str], factor: float, *places: int) -> None:
    for place in places:
        decimals = len(row[place].partition(".")[2])
        row[place] = f"{float(row[place]) * factor:.{decimals}f}"


def scaled(row: list[str], factor: float, *places: int) -> list[str]:
    other = [*row]
    scale(other, factor, *places)
    return other


def swap(rows: Rows, one: int, other: int) -> None:
    for row in rows:
        row[one], row[other] = row[other], row[one]


def later(row: list[str], milliseconds: int) -> None:
    for place in (0, 6):
        row[place] = str(int(row[place]) + milliseconds)


def in_unit(row: list[str], zeros: str) -> None:
    for place in (0, 6):
        row[place] += zeros


def within(rows: Rows, day: date) -> None:
    """Leaves the candles that open on a day."""
    start = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 1000
    rows[:] = [row for row in rows if start <= int(row[0]) < start + DAY_MS]


def label(row: list[str], minutes: int) -> None:
    row[0] = str(datetime.fromisoformat(row[0]) + timedelta(minutes=minutes))


def day_earlier(rows: Rows) -> None:
    """Trades of the day before, with the numbers that they would have had."""
    count = len(rows)
    for row in rows:
        row[0] = str(int(row[0]) - count)
        row[5] = str(int(row[5]) - DAY_MS)


def monthly(place: Place, change: Callable[[Rows], object]) -> None:
    lines = [place.candles("ETHUSDT", day).read_text().splitlines() for day in DAYS]
    path = place.data / f"data/futures/um/monthly/klines/ETHUSDT/5m/ETHUSDT-5m-{FIRST:%Y-%m}.csv"
    write_csv(path, lines[0][0], [row for of_day in lines for row in of_day[1:]])
    edit(path, change)


def write_other_walk(path: Path) -> None:
    """Candles of an instrument that is like ETHUSDT in everything but its trades."""
    other = replace(ETH, symbol="OTHERUSDT")
    steps = sample.of_day(sample.candles(sample.walk(other, DAYS), 5, FIRST), MIDDLE)
    write_csv(path, sample.KLINE_COLUMNS, [sample.kline_row(other, candle, "5m") for candle in steps])


def pack(path: Path) -> Path:
    packed = path.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return packed


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def replace_text(path: Path, text: str, other: str) -> None:
    content = path.read_text()
    assert content.count(text) == 1, f"{path.name} has changed: {text!r} stands there {content.count(text)} times"
    path.write_text(content.replace(text, other))
