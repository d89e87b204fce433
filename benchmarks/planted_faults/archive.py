"""The good archive, and a place where a copy of it is run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from loaders.ingest.load import Request
from loaders.progress import Lines
from loaders.runs import pipeline, sample
from loaders.runs.pipeline import Run
from loaders.selection import Selection
from loaders.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
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

    def run(self, *, full: bool = False) -> Run:
        """The run that cron calls, in this process; dbt has its folders beside this one and keeps what it parsed.

        `full` is the weekly one, which asks everything again.
        """
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
                full=full,
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
            write_csv(place.candles(symbol, day), sample.KLINE_COLUMNS, rows)
            write_csv(
                place.metrics(symbol, day),
                sample.METRIC_COLUMNS,
                [row for row in snapshots if row.startswith(str(day))],
            )
            if instrument is not BTC:
                continue
            minutes = sample.of_day(sample.candles(by_minute, 1, FIRST), day)
            rows = [sample.kline_row(instrument, candle, "1m") for candle in minutes]
            write_csv(place.candles(symbol, day, "1m"), sample.KLINE_COLUMNS, rows)
            rows = list(sample.mark_rows(instrument, of_day, marks))
            write_csv(place.candles(symbol, day, kind="markPriceKlines"), sample.KLINE_COLUMNS, rows)
            if day != FIRST:
                of_minutes = by_minute[number * 1440 : (number + 1) * 1440]
                rows = [sample.trade_row(instrument, trade) for trades in of_minutes for trade in trades]
                write_csv(place.trades(day), sample.TRADE_COLUMNS, rows)
        if instrument is BTC:
            for minutes_long in (60, 1440):
                rows = [
                    f"{candle.open_time // 1000},{','.join(f'{price / 100:.2f}' for price in candle[1:5])},"
                    f"{candle.volume / 1000:.3f},{candle.trade_count}"
                    for candle in sample.candles(by_minute, minutes_long, FIRST)
                ]
                write_csv(place.kraken(minutes_long), "", rows)


def write_csv(path: Path, header: str, rows: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in ([header, *rows] if header else rows)))
