"""Plants faults in a good archive, one a run, and shows what caught each: nothing false may be published.

    python benchmarks/planted_faults.py FOLDER [NAME...]

The good archive is made of one walk of trades for each symbol, so that its candles of one and of five minutes, its
trades, snapshots and Kraken candles agree to the last digit; its second day is a day of a clock change. It is run once
(`loaders run`: check, load, build, validate, publish), and must pass without a word. Then each fault is planted in a
copy of it and run. A fault in a file meets an empty warehouse, one behind the loaders' back a copy of the good one;
beside both lies the file that was published of the good archive.

Right is a run that published nothing and left that file as it was, or one whose published rows are each either equal to
those of the good archive, or told: a missing row by `data_gaps`, `data_completeness` or the check of refused files,
another value by a check of its symbol that does not pass and names the day. Prints one row for each fault; exit status
1 if one slipped through, and then its folder stays in FOLDER/slipped.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from loaders.ingest.load import Request
from loaders.progress import Lines
from loaders.runs import pipeline, sample
from loaders.runs.pipeline import Run, StepResult
from loaders.selection import Selection
from loaders.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
# The middle one is the day on which clocks change in Europe.
DAYS = FIRST, MIDDLE, LAST = date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)
# BTCUSDT has all that can be compared with one another; ETHUSDT has candles of five minutes and snapshots alone.
BTC, ETH = sample.INSTRUMENTS[:2]
HOUR_MS, STEP_MS, DAY_MS = 3_600_000, 300_000, 86_400_000
# Any place within a day; candles and snapshots of 08:20.
PLACE = 100

Rows = list[list[str]]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A copy of the archive with its warehouse, its published file and the project that runs it."""

    folder: Path
    project: Path = ROOT

    @property
    def data(self) -> Path:
        """The folder that is loaded."""
        return self.folder / "data"

    @property
    def warehouse(self) -> Path:
        """The warehouse's file."""
        return self.folder / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The file that clients open."""
        return self.folder / "marts.duckdb"

    def candles(self, symbol: str, day: date, interval: str = "5m", kind: str = "klines") -> Path:
        """A daily file of candles."""
        return self.data / f"data/futures/um/daily/{kind}/{symbol}/{interval}/{symbol}-{interval}-{day}.csv"

    def metrics(self, symbol: str, day: date) -> Path:
        """A daily file of snapshots."""
        return self.data / f"data/futures/um/daily/metrics/{symbol}/{symbol}-metrics-{day}.csv"

    def trades(self, day: date) -> Path:
        """A daily file of trades, of BTCUSDT."""
        return self.data / f"data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{day}.csv"

    def kraken(self, minutes: int) -> Path:
        """Kraken's file of XBTUSD."""
        return self.data / f"kraken/XBTUSD_{minutes}.csv"

    def run(self) -> Run:
        """The run that cron calls, in this process; dbt has its folders beside this one and keeps what it parsed."""
        settings = Settings(
            project_dir=self.project,
            warehouse=self.warehouse,
            published=self.published,
            data_docs=self.folder / "docs",
            memory_limit="1GB",
        )
        # What was parsed remembers where the seeds lay.
        target = self.folder.with_name(f"{self.folder.name}-dbt" + ("" if self.project == ROOT else "-of-a-copy"))
        with _environment(DBT_TARGET_PATH=str(target), DBT_LOG_PATH=str(target)):
            return pipeline.run(
                settings,
                self.warehouse,
                Request((self.data,), Selection(), retries=0),
                self.published,
                Lines(every_seconds=3600),
                say=lambda line: None,
            )

    def query(self, sql: str) -> list[Row]:
        """Rows of the warehouse; none where the build did not come so far as to make the table."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            try:
                return connection.execute(sql).fetchall()
            except duckdb.CatalogException:
                return []

    def change(self, *statements: str) -> None:
        """Works on the warehouse behind the loaders' back."""
        with duckdb.connect(str(self.warehouse)) as connection:
            for statement in statements:
                connection.execute(statement)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: its name, what it is, and what plants it. `behind`: in the warehouse; `project`: in a copy of that."""

    name: str
    description: str
    plant: Callable[[Place], object]
    behind: bool = False
    project: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault. `wrong` are published rows that are neither those of the good archive nor told."""

    caught: tuple[str, ...]
    published: bool
    wrong: tuple[str, ...]
    exit_status: int
    differences: int = 0
    seconds: float = 0


FAULTS: dict[str, Fault] = {}


def fault(says: str, *, behind: bool = False, project: bool = False) -> Callable[[Callable[[Place], object]], None]:
    """Enters a function as a fault of its name."""

    def enter(plant: Callable[[Place], object]) -> None:
        name = plant.__name__
        FAULTS[name] = Fault(name, says, plant, behind, project)

    return enter


def write_good_archive(data: Path) -> None:
    """Three days of two symbols, everything whole."""
    place = Place(data.parent)
    for instrument in (BTC, ETH):
        symbol = instrument.symbol
        by_minute = sample.walk(instrument, DAYS)
        steps = sample.candles(by_minute, 5, FIRST)
        marks = sample.mark_prices(instrument, steps)
        snapshots = sample.metric_rows(instrument, steps, marks)
        for number, day in enumerate(DAYS):
            of_day = sample.of_day(steps, day)
            rows = [sample.kline_row(instrument, candle, "5m") for candle in of_day]
            _write(place.candles(symbol, day), sample.KLINE_COLUMNS, rows)
            _write(
                place.metrics(symbol, day),
                sample.METRIC_COLUMNS,
                [row for row in snapshots if row.startswith(str(day))],
            )
            if instrument is not BTC:
                continue
            minutes = sample.of_day(sample.candles(by_minute, 1, FIRST), day)
            rows = [sample.kline_row(instrument, candle, "1m") for candle in minutes]
            _write(place.candles(symbol, day, "1m"), sample.KLINE_COLUMNS, rows)
            rows = list(sample.mark_rows(instrument, of_day, marks))
            _write(place.candles(symbol, day, kind="markPriceKlines"), sample.KLINE_COLUMNS, rows)
            if day != FIRST:
                of_minutes = by_minute[number * 1440 : (number + 1) * 1440]
                rows = [sample.trade_row(instrument, trade) for trades in of_minutes for trade in trades]
                _write(place.trades(day), sample.TRADE_COLUMNS, rows)
        if instrument is BTC:
            for minutes_long in (60, 1440):
                rows = [
                    f"{candle.open_time // 1000},{','.join(f'{price / 100:.2f}' for price in candle[1:5])},"
                    f"{candle.volume / 1000:.3f},{candle.trade_count}"
                    for candle in sample.candles(by_minute, minutes_long, FIRST)
                ]
                _write(place.kraken(minutes_long), "", rows)


# Files that are there twice, or not at all


@fault("the same file in another folder, too")
def doubled_file(place: Place) -> None:
    copy = place.data / "copies" / place.candles("ETHUSDT", MIDDLE).name
    copy.parent.mkdir()
    shutil.copy(place.candles("ETHUSDT", MIDDLE), copy)


@fault("the same file as zip and as csv")
def zip_beside_csv(place: Place) -> None:
    _zip(place.candles("ETHUSDT", MIDDLE))


@fault("a zip that is cut off, and the good csv beside it")
def cut_zip_beside_csv(place: Place) -> None:
    _cut(_zip(place.candles("ETHUSDT", MIDDLE)))


@fault("a monthly file that agrees with the daily ones")
def monthly_beside_daily(place: Place) -> None:
    _monthly(place, lambda rows: None)


@fault("a monthly file that has another close than the daily one")
def monthly_against_daily(place: Place) -> None:
    _monthly(place, lambda rows: _scale(rows[288 + PLACE], 1.0001, 4))


@fault("a day's candles under the name of the next day")
def file_of_another_day(place: Place) -> None:
    shutil.copy(place.candles("ETHUSDT", FIRST), place.candles("ETHUSDT", MIDDLE))


@fault("a day without its file of candles")
def missing_day(place: Place) -> None:
    place.candles("ETHUSDT", MIDDLE).unlink()


@fault("a day without its file of trades")
def missing_day_of_trades(place: Place) -> None:
    shutil.move(place.trades(MIDDLE), place.trades(FIRST))
    _edit(place.trades(FIRST), _day_earlier)


@fault("snapshots end on the first day, candles go on")
def stopped_series(place: Place) -> None:
    for day in (MIDDLE, LAST):
        place.metrics("ETHUSDT", day).unlink()


@fault("candles end on the first day, snapshots go on")
def stopped_candles(place: Place) -> None:
    for day in (MIDDLE, LAST):
        place.candles("ETHUSDT", day).unlink()


@fault("files of a header without rows")
def empty_series(place: Place) -> None:
    for day in DAYS:
        _edit(place.metrics("ETHUSDT", day), lambda rows: rows.clear())


@fault("a file of no bytes")
def empty_file(place: Place) -> None:
    place.candles("ETHUSDT", LAST).write_bytes(b"")


# Files that are damaged


@fault("a zip that is cut off")
def truncated_zip(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    _cut(_zip(path))
    path.unlink()


@fault("a gzip file that is cut off")
def truncated_gzip(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    packed = path.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    _cut(packed)


@fault("a csv that is cut off within a line")
def truncated_csv(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    path.write_bytes(path.read_bytes()[:15_000].rsplit(b",", 3)[0])


@fault("a csv that is cut off within its last number")
def truncated_number(place: Place) -> None:
    path = place.metrics("ETHUSDT", LAST)
    _edit(path, lambda rows: rows[-1].__setitem__(7, "1.12345678"))
    path.write_bytes(path.read_bytes()[:-4])


@fault("a web page with the name of a csv")
def web_page(place: Place) -> None:
    place.candles("ETHUSDT", MIDDLE).write_text("<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n")


@fault("a header once more in the middle")
def header_in_the_middle(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.insert(PLACE, sample.KLINE_COLUMNS.split(",")))


@fault("UTF-16 instead of UTF-8")
def utf_16(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    path.write_bytes(path.read_text().encode("utf-16"))


@fault("NUL bytes where the disk lost a block")
def nul_bytes(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    content = bytearray(path.read_bytes())
    content[8192:12288] = bytes(4096)
    path.write_bytes(content)


# Rows that are missing, doubled or out of order


@fault("a candle is missing")
def missing_candle(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.pop(PLACE))


@fault("an hour is missing on the day of a clock change")
def clock_change_hour(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.__delitem__(slice(12, 24)))


@fault("a day written in local time, on the day of a clock change")
def local_time(place: Place) -> None:
    def shift(rows: Rows) -> None:
        for number, row in enumerate(rows):
            _later(row, HOUR_MS if number < 12 else 2 * HOUR_MS)
        _within(rows, MIDDLE)

    _edit(place.candles("ETHUSDT", MIDDLE), shift)


@fault("rows that are there twice")
def duplicate_rows(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.extend([*rows[PLACE : PLACE + 12]]))


@fault("two rows of one time, with other prices")
def contradictory_rows(place: Place) -> None:
    def contradict(rows: Rows) -> None:
        rows.append([*rows[PLACE]])
        _scale(rows[-1], 1.001, 1, 2, 3, 4)

    _edit(place.candles("ETHUSDT", MIDDLE), contradict)


@fault("a hundred trades are missing")
def missing_trades(place: Place) -> None:
    _edit(place.trades(LAST), lambda rows: rows.__delitem__(slice(5000, 5100)))


@fault("the last trades of five minutes are missing, and no candles are there but those of trades")
def missing_trades_of_candles(place: Place) -> None:
    for interval in ("1m", "5m"):
        place.candles("BTCUSDT", LAST, interval).unlink()

    def tear(rows: Rows) -> None:
        steps = [int(row[5]) // STEP_MS for row in rows]
        edge = next(place for place in range(5000, len(rows)) if steps[place] != steps[place - 1])
        del rows[edge - 20 : edge]

    _edit(place.trades(LAST), tear)


@fault("a trade's number is there again, with another quantity")
def repeated_trade(place: Place) -> None:
    _edit(place.trades(LAST), lambda rows: rows.insert(5001, _scaled(rows[5000], 2, 2)))


@fault("the next day's trades bear numbers of the day before")
def numbers_of_another_day(place: Place) -> None:
    def renumber(rows: Rows) -> None:
        for row in rows[:100]:
            row[0] = str(int(row[0]) - 5000)

    _edit(place.trades(LAST), renumber)


@fault("the rows of a file of trades in reverse")
def trades_out_of_order(place: Place) -> None:
    _edit(place.trades(LAST), lambda rows: rows.reverse())


@fault("two trades have each other's time")
def times_against_numbers(place: Place) -> None:
    def swap(rows: Rows) -> None:
        rows[2000][5], rows[9000][5] = rows[9000][5], rows[2000][5]

    _edit(place.trades(LAST), swap)


# Times


@fault("all times an hour late")
def shifted_hour(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _each(rows, _later, HOUR_MS))


@fault("all times an hour late, the day cut to its bounds")
def shifted_hour_within_the_day(place: Place) -> None:
    def shift(rows: Rows) -> None:
        for row in rows:
            _later(row, HOUR_MS)
        _within(rows, MIDDLE)

    _edit(place.candles("ETHUSDT", MIDDLE), shift)


@fault("microseconds instead of milliseconds")
def another_unit(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _each(rows, _in_unit, "000"))


@fault("microseconds from the middle of the file on")
def unit_that_changes(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _each(rows[144:], _in_unit, "000"))


@fault("nanoseconds")
def unknown_unit(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _each(rows, _in_unit, "000000"))


@fault("one time outside the file's period")
def time_outside_the_period(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _later(rows[PLACE], 40 * DAY_MS))


@fault("candles between the steps of their grid")
def times_off_the_grid(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _later(rows[PLACE], 60_000))


# Values of candles


@fault("header and rows have high and low in another order than the archive")
def swapped_columns_with_header(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    _edit(path, lambda rows: _swap(rows, 2, 3), header=sample.KLINE_COLUMNS.replace("high,low", "low,high"))


@fault("high and low swapped, without a header")
def swapped_high_and_low(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _swap(rows, 2, 3), header="")


@fault("open and volume swapped, without a header")
def swapped_open_and_volume(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _swap(rows, 1, 5), header="")


@fault("open and close swapped, without a header")
def swapped_open_and_close(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _swap(rows, 1, 4), header="")


@fault("volume and quote volume swapped, without a header")
def swapped_volumes(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _swap(rows, 5, 7), header="")


@fault("a candle whose high is below its low")
def high_below_low(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _swap(rows[PLACE : PLACE + 1], 2, 3))


@fault("a negative price")
def negative_price(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], -1, 3))


@fault("a negative volume")
def negative_volume(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], -1, 5))


@fault("takers bought more than was traded")
def taker_volume_above_volume(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows[PLACE].__setitem__(9, str(float(rows[PLACE][5]) + 1)))


@fault("a volume with a shifted decimal")
def shifted_decimal_of_volume(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], 10, 5))


@fault("a candle of ten times the price")
def price_times_ten(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], 10, 1, 2, 3, 4))


@fault("a day of ten times the price")
def day_times_ten(place: Place) -> None:
    _edit(place.candles("ETHUSDT", LAST), lambda rows: _each(rows, _scale, 10, 1, 2, 3, 4))


@fault("a high with a shifted decimal")
def shifted_decimal(place: Place) -> None:
    _edit(place.candles("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], 10, 2))


@fault("another symbol's candles")
def prices_of_another_symbol(place: Place) -> None:
    shutil.copy(place.candles("BTCUSDT", MIDDLE), place.candles("ETHUSDT", MIDDLE))


@fault("candles of another symbol that costs as much")
def prices_of_a_similar_symbol(place: Place) -> None:
    _write_other_walk(place.candles("ETHUSDT", MIDDLE))


@fault("the spot market's candles")
def prices_of_spot(place: Place) -> None:
    steps = sample.of_day(sample.candles(sample.walk(ETH, DAYS), 5, FIRST), MIDDLE)
    _write(place.candles("ETHUSDT", MIDDLE), "", [sample.spot_row(ETH, candle) for candle in steps])


@fault("a mark price of a tenth")
def mark_price_with_a_shifted_decimal(place: Place) -> None:
    _edit(place.candles("BTCUSDT", MIDDLE, kind="markPriceKlines"), lambda rows: _scale(rows[PLACE], 0.1, 1, 2, 3, 4))


@fault("mark prices a tenth too low, all days")
def mark_prices_of_another_symbol(place: Place) -> None:
    for day in DAYS:
        _edit(
            place.candles("BTCUSDT", day, kind="markPriceKlines"),
            lambda rows: _each(rows, _scale, 0.9, 1, 2, 3, 4),
        )


# Sources that disagree


@fault("a five-minute candle has another close than its minutes")
def minutes_against_five_minutes(place: Place) -> None:
    _edit(place.candles("BTCUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], 1.005, 2, 4))


@fault("a trade of a hundred times the quantity that the candles count")
def volume_against_trades(place: Place) -> None:
    _edit(place.trades(LAST), lambda rows: _scale(rows[5000], 100, 2))


@fault("a trade at another price than the candles know")
def price_against_trades(place: Place) -> None:
    _edit(place.trades(LAST), lambda rows: _scale(rows[5000], 1.03, 1))


@fault("Kraken's hours count more trades than its day")
def coarse_against_fine_in_trades(place: Place) -> None:
    _edit(place.kraken(60), lambda rows: _scale(rows[30], 2, 6))


@fault("Kraken's day has another high than its hours")
def coarse_against_fine_in_price(place: Place) -> None:
    _edit(place.kraken(1440), lambda rows: _scale(rows[1], 1.02, 2))


@fault("a row of Kraken's hours is missing, the day counts its trades")
def missing_kraken_hour(place: Place) -> None:
    _edit(place.kraken(60), lambda rows: rows.pop(30))


# Snapshots


@fault("a snapshot of zero")
def zero_open_interest(place: Place) -> None:
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], 0, 2, 3))


@fault("blank snapshots")
def blank_open_interest(place: Place) -> None:
    def blank(rows: Rows) -> None:
        for row in rows[PLACE : PLACE + 3]:
            row[2:4] = ["", ""]

    _edit(place.metrics("ETHUSDT", MIDDLE), blank)


@fault("a day of snapshots, all zero")
def day_of_zeros(place: Place) -> None:
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: _each(rows, _scale, 0, 2, 3))


@fault("a negative open interest")
def negative_open_interest(place: Place) -> None:
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], -1, 2))


@fault("a snapshot with a shifted decimal, contracts and value")
def open_interest_times_ten(place: Place) -> None:
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], 10, 2, 3))


@fault("a snapshot with a shifted decimal, contracts alone")
def contracts_times_ten(place: Place) -> None:
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: _scale(rows[PLACE], 10, 2))


@fault("labels five minutes early, as some files have them")
def early_labels(place: Place) -> None:
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: _each(rows, _label, -5))


@fault("labels five minutes late, as no file has them")
def late_labels(place: Place) -> None:
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: _each(rows, _label, 5))


@fault("snapshots an hour late, the day cut to its bounds")
def snapshots_an_hour_late(place: Place) -> None:
    def shift(rows: Rows) -> None:
        for row in rows:
            _label(row, 60)
        rows[:] = [row for row in rows if row[0].startswith(str(MIDDLE))]

    _edit(place.metrics("ETHUSDT", MIDDLE), shift)


@fault("another symbol's snapshots")
def snapshots_of_another_symbol(place: Place) -> None:
    shutil.copy(place.metrics("BTCUSDT", MIDDLE), place.metrics("ETHUSDT", MIDDLE))


@fault("another symbol's snapshots under this one's name")
def renamed_snapshots(place: Place) -> None:
    shutil.copy(place.metrics("BTCUSDT", MIDDLE), place.metrics("ETHUSDT", MIDDLE))
    _edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: [row.__setitem__(1, "ETHUSDT") for row in rows])


# Behind the loaders' back: the warehouse was good, and somebody worked in it

_AT = f"symbol = 'ETHUSDT' and open_time = '{MIDDLE} 08:20'"


@fault("raw candles are gone, the ledger knows of them", behind=True)
def raw_rows_deleted(place: Place) -> None:
    place.change(
        f"delete from raw.binance_klines where symbol = 'ETHUSDT' and open_time between '{MIDDLE} 08:00' and "
        f"'{MIDDLE} 09:00'"
    )


@fault("raw snapshots are there twice", behind=True)
def raw_rows_doubled(place: Place) -> None:
    place.change(
        "insert into raw.binance_metrics select * from raw.binance_metrics where symbol = 'ETHUSDT' "
        f"and create_time between '{MIDDLE} 08:00' and '{MIDDLE} 09:00'"
    )


@fault("raw rows of no file", behind=True)
def raw_rows_of_nobody(place: Place) -> None:
    place.change(
        "insert into raw.binance_klines select * replace (file_id + 1000000 as file_id, "
        f"open_time + interval '30 days' as open_time) from raw.binance_klines where {_AT}"
    )


@fault("a raw candle has another close", behind=True)
def raw_row_altered(place: Place) -> None:
    place.change(f"update raw.binance_klines set close = low where {_AT}")


@fault("a candle of the marts has another volume", behind=True)
def mart_candle_altered(place: Place) -> None:
    place.change(f"update marts.klines_5m set volume = volume + 1 where {_AT}")


@fault("a candle of the marts is gone", behind=True)
def mart_candle_deleted(place: Place) -> None:
    place.change(f"delete from marts.klines_5m where {_AT}")


@fault("a snapshot of the marts has another value", behind=True)
def mart_snapshot_altered(place: Place) -> None:
    place.change(
        "update marts.open_interest_5m set open_interest_usd = open_interest_usd * 2 "
        f"where symbol = 'ETHUSDT' and snapshot_at = '{MIDDLE} 08:20'"
    )


@fault("a candle's side is the other one", behind=True)
def mart_side_altered(place: Place) -> None:
    place.change(
        "update marts.candles_with_side set inferred_side = if(inferred_side = 'long', 'short', 'long') "
        f"where symbol = 'ETHUSDT' and inferred_side is not null and cast(open_time as date) = '{MIDDLE}'"
    )


@fault("levels have another liquidation price", behind=True)
def mart_level_altered(place: Place) -> None:
    place.change(
        "update marts.liquidation_levels set liquidation_price = liquidation_price * 0.999 "
        "where symbol = 'ETHUSDT' and side = 'long' and leverage = 10"
    )


@fault("the map holds ten times as much in a bin", behind=True)
def mart_map_altered(place: Place) -> None:
    place.change(
        "update marts.liquidation_map set volume_usd = volume_usd * 10, cumulative_volume_usd = "
        "cumulative_volume_usd * 100 where symbol = 'ETHUSDT' and leverage = 10"
    )


@fault("an old step of the heatmap holds ten times as much", behind=True)
def mart_heatmap_altered(place: Place) -> None:
    place.change(
        "update marts.liquidation_heatmap set volume_usd = volume_usd * 10 "
        f"where symbol = 'ETHUSDT' and bucket_at = '{MIDDLE} 09:00'"
    )


@fault("a gap is taken out of data_gaps, and its candle out of the marts", behind=True)
def hole_hidden(place: Place) -> None:
    place.change(
        f"delete from marts.klines_5m where {_AT}",
        "delete from marts.data_gaps",
        f"update marts.data_completeness set present = present - 1, expected = expected - 1 where day = '{MIDDLE}'",
    )


# Reference data


@fault("weights of the leverages that do not sum to 1", project=True)
def wrong_leverage_weight(place: Place) -> None:
    _replace(place.project / "seeds/leverage_weights.csv", "\n10,0.30", "\n10,0.80")


@fault("a margin rate with a shifted decimal", project=True)
def wrong_bracket(place: Place) -> None:
    rate = "\nETHUSDT,2024-10-01,2,50000,600000,{},100,"
    _replace(place.project / "seeds/margin_brackets.csv", rate.format("0.005"), rate.format("0.05"))


@fault("a threshold that is missing", project=True)
def missing_threshold(place: Place) -> None:
    path = place.project / "seeds/quality_thresholds.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("high_low,")))


# How they are planted


def _write(path: Path, header: str, rows: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in ([header, *rows] if header else rows)))


def _edit(path: Path, change: Callable[[Rows], object], header: str | None = None) -> None:
    """Changes a file's rows in place, under its own header or another one, "" for none."""
    lines = path.read_text().splitlines()
    title = "" if lines[0][0].isdigit() else lines.pop(0)
    rows = [line.split(",") for line in lines]
    change(rows)
    _write(path, title if header is None else header, [",".join(row) for row in rows])


def _each(rows: Rows, change: Callable[..., None], *arguments: object) -> None:
    for row in rows:
        change(row, *arguments)


def _scale(row: list[str], factor: float, *places: int) -> None:
    for place in places:
        decimals = len(row[place].partition(".")[2])
        row[place] = f"{float(row[place]) * factor:.{decimals}f}"


def _scaled(row: list[str], factor: float, *places: int) -> list[str]:
    other = [*row]
    _scale(other, factor, *places)
    return other


def _swap(rows: Rows, one: int, other: int) -> None:
    for row in rows:
        row[one], row[other] = row[other], row[one]


def _later(row: list[str], milliseconds: int) -> None:
    for place in (0, 6):
        row[place] = str(int(row[place]) + milliseconds)


def _in_unit(row: list[str], zeros: str) -> None:
    for place in (0, 6):
        row[place] += zeros


def _within(rows: Rows, day: date) -> None:
    """Leaves the candles that open on a day."""
    start = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 1000
    rows[:] = [row for row in rows if start <= int(row[0]) < start + DAY_MS]


def _label(row: list[str], minutes: int) -> None:
    row[0] = str(datetime.fromisoformat(row[0]) + timedelta(minutes=minutes))


def _day_earlier(rows: Rows) -> None:
    """Trades of the day before, with the numbers that they would have had."""
    count = len(rows)
    for row in rows:
        row[0] = str(int(row[0]) - count)
        row[5] = str(int(row[5]) - DAY_MS)


def _monthly(place: Place, change: Callable[[Rows], object]) -> None:
    lines = [place.candles("ETHUSDT", day).read_text().splitlines() for day in DAYS]
    path = place.data / f"data/futures/um/monthly/klines/ETHUSDT/5m/ETHUSDT-5m-{FIRST:%Y-%m}.csv"
    _write(path, lines[0][0], [row for of_day in lines for row in of_day[1:]])
    _edit(path, change)


def _write_other_walk(path: Path) -> None:
    """Candles of an instrument that is like ETHUSDT in everything but its trades."""
    other = replace(ETH, symbol="OTHERUSDT")
    steps = sample.of_day(sample.candles(sample.walk(other, DAYS), 5, FIRST), MIDDLE)
    _write(path, sample.KLINE_COLUMNS, [sample.kline_row(other, candle, "5m") for candle in steps])


def _zip(path: Path) -> Path:
    packed = path.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return packed


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _replace(path: Path, text: str, other: str) -> None:
    content = path.read_text()
    assert content.count(text) == 1, f"{path.name} has changed: {text!r} stands there {content.count(text)} times"
    path.write_text(content.replace(text, other))


# What came of it

_FIGURES = "open, high, low, close, volume, quote_volume, trade_count"
_KLINES = f"symbol, open_time, {_FIGURES}, taker_buy_volume, taker_buy_quote_volume"

# Dataset, market, symbol, interval, kline type, time, and how the published row differs. A candle may come from another
# source than it did; where the open interest is not known its change is not, either.
_DIFFERENCES = f"""
with candles as (
    select
        case coalesce(good.exchange, found.exchange) when 'kraken' then 'ohlcvt' else 'klines' end as dataset,
        coalesce(good.market, found.market) as market,
        coalesce(good.symbol, found.symbol) as symbol,
        coalesce(good."interval", found."interval") as "interval",
        coalesce(good.open_time, found.open_time) as row_time,
        case when found.symbol is null then 'missing' when good.symbol is null then 'extra' else 'changed' end as kind
    from good.candles as good
    full join found.candles as found
        using (exchange, market, kline_type, symbol, "interval", open_time)
    where ({", ".join(f"good.{name}" for name in _FIGURES.split(", "))})
        is distinct from ({", ".join(f"found.{name}" for name in _FIGURES.split(", "))})
),
klines as (
    select
        'klines' as dataset,
        'um' as market,
        coalesce(good.symbol, found.symbol) as symbol,
        '5m' as "interval",
        coalesce(good.open_time, found.open_time) as row_time,
        case when found.symbol is null then 'missing' when good.symbol is null then 'extra' else 'changed' end as kind
    from (select {_KLINES} from good.klines_5m) as good
    full join (select {_KLINES} from found.klines_5m) as found using (symbol, open_time)
    where good is distinct from found
),
snapshots as (
    select
        'metrics' as dataset,
        'um' as market,
        coalesce(good.symbol, found.symbol) as symbol,
        '5m' as "interval",
        coalesce(good.snapshot_at, found.snapshot_at) as row_time,
        case
            when found.open_interest is null then 'missing'
            when good.symbol is null then 'extra'
            else 'changed'
        end as kind
    from good.open_interest_5m as good
    full join found.open_interest_5m as found using (symbol, snapshot_at)
    where
        (good.open_interest, good.open_interest_usd)
        is distinct from (found.open_interest, found.open_interest_usd)
        or found.oi_delta <> good.oi_delta
)
from candles union all from klines union all from snapshots
order by all
"""

_GAPS = 'select dataset, market, symbol, "interval", gap_start, gap_end from found.data_gaps'
_DAYS = """
select dataset, market, symbol, "interval", day
from found.data_completeness
where missing is null or missing > 0
"""
_CHECKS = """
select check_name, dataset, symbol, detail
from found.quality_checks
where status <> 'pass'
"""
_COUNTS = ("missing", "clock_change_days", "open_interest_blank", "freshness", "rejected_rows", "refused_files")
# What is made of candles and snapshots alone must be the same where these are.
_DERIVED = ("candles_with_side", "liquidation_levels", "liquidation_map", "liquidation_heatmap", "data_gaps")


def judge(good: Path, found: Path) -> tuple[int, list[str]]:
    """How many published rows differ from those of the good archive, and those that nothing tells of."""
    with duckdb.connect() as connection:
        for name, path in (("good", good), ("found", found)):
            connection.execute(f"attach '{path}' as {name} (read_only)")
        differences = connection.execute(_DIFFERENCES).fetchall()
        gaps = connection.execute(_GAPS).fetchall()
        days = set(connection.execute(_DAYS).fetchall())
        checks = connection.execute(_CHECKS).fetchall()
        derived = []
        if not differences:
            for table in _DERIVED:
                row = connection.execute(
                    f"""
                    select count(*) from (
                        (from good.{table} except all from found.{table})
                        union all (from found.{table} except all from good.{table})
                    )
                    """
                ).fetchone()
                if row != (0,) and table != "data_gaps":
                    derived.append(f"{table} differs though its candles and snapshots are the same")
    refused = {(dataset, symbol) for name, dataset, symbol, _ in checks if name == "refused_files"}
    holes = [
        (*series, time)
        for *series, time, kind in differences
        if kind == "missing"
        and (*series, time.date()) not in days
        and not any(series == [*of] and start <= time < end for *of, start, end in gaps)
        and (series[0], series[2]) not in refused
    ]
    wrong = [f"a gap that nothing names: {' '.join(map(str, gap))}" for gap in holes[:3]]
    other = [row for row in differences if row[-1] != "missing"]
    of_dataset_and_symbol = itemgetter(0, 2)
    for (dataset, symbol), rows in groupby(sorted(other, key=of_dataset_and_symbol), of_dataset_and_symbol):
        # A check names the first place that it found; one that counts rows says nothing about those that are there.
        of_series = list(rows)
        first = min(row[4] for row in of_series)
        named = [
            detail
            for name, _, about, detail in checks
            if name not in _COUNTS and about == symbol and str(first.date()) in detail
        ]
        if not named:
            wrong.append(f"{len(of_series)} false rows of {dataset} {symbol} that no check names, from {first} on")
    return len(differences), wrong + derived


def outcome_of(place: Place, done: Run, good: Path) -> Outcome:
    """What a run caught, and whether what is published now is right."""
    steps = {step.name: step for step in done.steps}
    published = steps["publish"].outcome == "ok"
    if published:
        differences, wrong = judge(good, place.published)
    else:
        same = place.published.read_bytes() == good.read_bytes()
        differences, wrong = 0, [] if same else ["the published file changed though nothing was published"]
    return Outcome(tuple(_caught(place, steps)), published, tuple(wrong), done.exit_status, differences)


def _caught(place: Place, steps: dict[str, StepResult]) -> Iterator[str]:
    load = steps["load"].result
    for failure in load.get("failures", [])[:1]:
        yield f"landing refuses {len(load['failures'])} file: {_short(failure['error'])}"
    if load.get("rows_rejected"):
        reason = place.query("select reason from ops.rejected_rows order by line_number limit 1")[0][0]
        yield f"landing keeps {load['rows_rejected']} rows aside: {_short(reason)}"
    if load.get("shadowed"):
        yield "landing takes one of two files of a name"
    ((doubled,),) = place.query("select coalesce(sum(rows_duplicate), 0) from ops.ingestion_files") or [(0,)]
    if doubled:
        yield f"landing drops {doubled} repeated rows"
    for one in steps["build"].result.get("failures", []):
        name = one["node"].split(".")[0]
        yield f"dbt test {name}" if one["message"].startswith("Got ") else f"dbt error {name}: {_short(one['message'])}"
    for one in steps["validate"].result.get("results", []):
        if one["status"] != "pass":
            yield f"expectation {one['table']}.{one['expectation']} ({one['status']})"
    for name, status, symbol in place.query(
        "select check_name, status, symbol from marts.quality_checks where status <> 'pass' order by 2, 1, 3"
    ):
        yield f"check {name} ({status}, {symbol})"
    for dataset, count, missing in place.query(
        "select dataset, count(*), sum(missing) from marts.data_gaps group by all order by all"
    ):
        yield f"data_gaps: {count} of {dataset}, {missing} rows"


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# The runs


def prepare(folder: Path) -> tuple[Place, Run]:
    """The good archive, run and published."""
    place = Place(folder / "good")
    shutil.rmtree(place.folder, ignore_errors=True)
    write_good_archive(place.data)
    return place, place.run()


def complaints(place: Place, done: Run) -> list[str]:
    """What a run of the good archive should not have said."""
    said = [step.text for step in done.steps if step.outcome != "ok"]
    if not said:
        said += list(_caught(place, {step.name: step for step in done.steps}))
        said += [f"incomplete: {row}" for row in place.query("from marts.data_completeness where missing <> 0")]
        said += judge(place.published, place.published)[1]
    return said


def plant(good: Place, *faults: Fault) -> Outcome:
    """Runs a copy of the good archive with these faults in it. The copy stays until the next one."""
    # Always in the same place: dbt parses its project anew when the warehouse's path changes.
    place = Place(good.folder.with_name("planted"))
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    shutil.copytree(good.data, place.data)
    shutil.copy(good.published, place.published)
    if any(one.behind for one in faults):
        shutil.copy(good.warehouse, place.warehouse)
    if any(one.project for one in faults):
        place = Place(place.folder, _copy_of_the_project(place.folder / "project"))
    for one in faults:
        one.plant(place)
    before = time.perf_counter()
    outcome = outcome_of(place, place.run(), good.published)
    return Outcome(
        outcome.caught,
        outcome.published,
        outcome.wrong,
        outcome.exit_status,
        outcome.differences,
        time.perf_counter() - before,
    )


def _copy_of_the_project(target: Path) -> Path:
    target.mkdir()
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(ROOT / name, target / name)
    for name in ("models", "macros", "seeds", "tests/dbt", "analyses"):
        shutil.copytree(ROOT / name, target / name)
    return target


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def table_of(outcomes: dict[str, Outcome]) -> Table:
    """One row for each fault."""
    table = Table("fault", "what it is", "caught by", "published", "right", show_lines=True)
    for name, outcome in outcomes.items():
        caught = "\n".join(outcome.caught) or "nothing to catch"
        published = "no, the last file stays"
        if outcome.published:
            rows = f"{outcome.differences} rows differ, all told" if outcome.differences else "all rows right"
            published = f"yes, {rows if not outcome.wrong else 'false rows'}"
        table.add_row(name, FAULTS[name].description, caught, published, "\n".join(outcome.wrong) or "yes")
    return table


def main() -> int:
    """Plants the named faults, or all. 1 if the good archive raised anything or a fault slipped through."""
    folder, names = Path(sys.argv[1]).absolute(), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    good, done = prepare(folder)
    if raised := complaints(good, done):
        print("the good archive raised:", *raised, sep="\n")
        return 1
    outcomes = {}
    for name in names or FAULTS:
        outcome = outcomes[name] = plant(good, FAULTS[name])
        mark = "SLIPPED" if outcome.wrong else "ok"
        print(f"{mark:8}{name} ({outcome.seconds:.0f} s)", *outcome.wrong, file=sys.stderr, flush=True)
        if outcome.wrong:
            kept = folder / "slipped" / name
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(good.folder.with_name("planted"), kept)
    Console(width=200).print(table_of(outcomes), markup=False)
    slipped = sum(bool(outcome.wrong) for outcome in outcomes.values())
    refused = sum(not outcome.published for outcome in outcomes.values())
    print(f"{len(outcomes)} faults: {refused} kept from being published, {slipped} slipped through")
    return 1 if slipped else 0


if __name__ == "__main__":
    sys.exit(main())
