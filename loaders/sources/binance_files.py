"""How the Binance archive names the files of a series, and which of its trees are kept up.

    data/futures/{um|cm}/{daily|monthly}/{type}/{SYMBOL}/[{interval}/]{SYMBOL}-{type or interval}-{period}.zip
    data/spot/{daily|monthly}/...
    data3/liquidationSnapshot/{SYMBOL}/{SYMBOL}-liquidationSnapshot-{day}.zip    recorded liquidations of USD-M, 2023/24

Metrics are published by the day only, funding by the month only, and the daily trees of candles longer than a day are
abandoned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from loaders.datasets import INTERVALS
from loaders.datasets.series import Series
from loaders.sources.listing import Listing, RemoteFile
from loaders.sources.spans import Span

Frequency = Literal["daily", "monthly"]

_TYPES = {"last": "klines", "mark": "markPriceKlines", "index": "indexPriceKlines", "premium": "premiumIndexKlines"}
_PERIOD = re.compile(r"-(\d{4}-\d\d(?:-\d\d)?)\.zip")


@dataclass(frozen=True, slots=True)
class Offer:
    """A file that the archive offers for a period."""

    file: RemoteFile
    start: datetime
    end: datetime

    @property
    def span(self) -> Span:
        """The file's period."""
        return self.start, self.end

    @property
    def is_month(self) -> bool:
        """Whether it holds a month."""
        return self.end - self.start > timedelta(days=1)


def frequencies(series: Series) -> tuple[Frequency, ...]:
    """How often files of a series are published; nothing for what the archive does not have."""
    if series.exchange != "binance":
        return ()
    match series.dataset:
        case "metrics":
            return ("daily",) if series.market == "um" else ()
        case "liquidations":
            return ("daily",) if series.market in ("um", "cm") else ()
        case "fundingRate":
            return ("monthly",)
        case "klines" if INTERVALS[series.interval] > INTERVALS["1d"]:
            return ("monthly",)
        case "klines" | "aggTrades":
            return ("daily", "monthly")
    return ()


def folder(series: Series, frequency: Frequency) -> str:
    """Key of the folder, with its slash."""
    if series.dataset == "liquidations":
        root = "data3" if series.market == "um" else f"data/futures/{series.market}/daily"
        return f"{root}/liquidationSnapshot/{series.symbol}/"
    root = "data/spot" if series.market == "spot" else f"data/futures/{series.market}"
    kind = _TYPES[series.kline_type] if series.dataset == "klines" else series.dataset
    interval = f"{series.interval}/" if series.interval else ""
    return f"{root}/{frequency}/{kind}/{series.symbol}/{interval}"


def symbols_folder(series: Series, frequency: Frequency) -> str:
    """Key of the folder that has one folder for each symbol."""
    return folder(series, frequency).partition(f"/{series.symbol}/")[0] + "/"


def stem(series: Series) -> str:
    """What a file's name begins with, up to the period."""
    what = "liquidationSnapshot" if series.dataset == "liquidations" else series.interval or series.dataset
    return f"{series.symbol}-{what}-"


def file_name(series: Series, frequency: Frequency, at: datetime) -> str:
    """Key of the file that would hold a time."""
    return f"{folder(series, frequency)}{stem(series)}{at:{'%Y-%m-%d' if frequency == 'daily' else '%Y-%m'}}.zip"


def offers(listing: Listing, series: Series, window: Span) -> list[Offer]:
    """Files of a series that the archive has for a window, days and months, in order of their periods."""
    start, end = window
    found: list[Offer] = []
    if start >= end:
        return found
    beginning = stem(series)
    for frequency in frequencies(series):
        form = "%Y-%m-%d" if frequency == "daily" else "%Y-%m"
        last = end - timedelta(microseconds=1)
        files = listing.files(
            folder(series, frequency), first=f"{beginning}{start:{form}}", last=f"{beginning}{last:{form}}"
        )
        found += _offers(files, beginning, len("2024-01-01" if frequency == "daily" else "2024-01"))
    return sorted((offer for offer in found if offer.start < end and offer.end > start), key=lambda offer: offer.span)


def _offers(files: Iterable[RemoteFile], beginning: str, length: int) -> Iterable[Offer]:
    for file in files:
        # Other names are junk: copies, old kinds, files of another symbol.
        match = _PERIOD.fullmatch(file.name[len(beginning) - 1 :]) if file.name.startswith(beginning) else None
        if match is None or len(match[1]) != length:
            continue
        try:
            start = datetime.strptime(match[1], "%Y-%m-%d" if length == 10 else "%Y-%m").replace(tzinfo=UTC)
        except ValueError:
            continue
        yield Offer(
            file, start, start + timedelta(days=1) if length == 10 else (start + timedelta(days=32)).replace(day=1)
        )
