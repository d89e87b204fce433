"""What the three commands about sources share: which series are meant, over which time, and the servers.

`plan` shows what `choice.decide` says of each series; `fetch` does the archive's part of it, `backfill` that of REST.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from loaders import warehouse
from loaders.datasets import Market, Series
from loaders.datasets.kraken import pair_name
from loaders.errors import WrongUsage
from loaders.runs import holdings
from loaders.runs.holdings import Holdings
from loaders.selection import Selection
from loaders.settings import Settings
from loaders.sources import binance_files
from loaders.sources.binance_files import Offer
from loaders.sources.binance_rest import BinanceRest
from loaders.sources.choice import Part, Where, decide
from loaders.sources.http import Client
from loaders.sources.kraken_rest import KrakenRest
from loaders.sources.listing import Listing
from loaders.sources.pages import Rows
from loaders.sources.spans import Span, subtract

# Nothing was traded on these exchanges before.
ORIGIN = datetime(2013, 1, 1, tzinfo=UTC)

DEFAULT_INTERVAL = "5m"
_DEFAULT_DATASETS = ("klines", "metrics", "fundingRate")


class RestSource(Protocol):
    """What each exchange's REST module offers; a third exchange has the same."""

    exchange: str

    def now(self) -> datetime:
        """The server's time."""

    def reach(self, series: Series, now: datetime) -> Span | None:
        """What is served of a series, or None."""

    def pages(self, series: Series, spans: list[Span]) -> list[Span]:
        """The requests that hold all of the spans."""

    def read(self, series: Series, page: Span) -> Rows:
        """One request."""


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """What is asked for. `folders`: the first one takes what is fetched. `kline_types` of candles, by default last."""

    folders: tuple[Path, ...]
    selection: Selection
    market: Market = "um"
    kline_types: tuple[str, ...] = ("last",)

    @property
    def root(self) -> Path:
        """Where files go."""
        return self.folders[0]


@dataclass(frozen=True, slots=True)
class Sources:
    """The servers, open."""

    archive: Client
    listing: Listing
    rest: dict[str, RestSource]


@contextlib.contextmanager
def sources(settings: Settings, say: Callable[[str], None]) -> Iterator[Sources]:
    """All servers that the settings name; nothing is asked of them yet."""
    with contextlib.ExitStack() as stack:

        def client(name: str, url: str) -> Client:
            return stack.enter_context(Client(name, url, settings, say=say))

        yield Sources(
            client("the Binance archive", settings.binance_archive_url),
            Listing(client("the archive's listing", settings.binance_listing_url)),
            {
                "binance": BinanceRest(client("Binance REST", settings.binance_rest_url)),
                "kraken": KrakenRest(client("Kraken REST", settings.kraken_rest_url), settings.kraken_seconds_between),
            },
        )


def look(path: Path, request: SourceRequest, wait_seconds: float = 0) -> Holdings:
    """What is there, by the warehouse (if it exists) and the folders."""
    opened = warehouse.reader(path, wait_seconds=wait_seconds) if path.exists() else contextlib.nullcontext(None)
    with opened as connection:
        return holdings.gather(connection, request.folders, request.market, request.selection)


def wanted(request: SourceRequest, found: Holdings, new_symbols: frozenset[str] = frozenset()) -> list[Series]:
    """The series that are meant: those that are there and asked for, and those of symbols that are named and new.

    A named symbol without `--dataset` means what is there of it, and of one of Binance five-minute candles, open
    interest and funding as well: a first fetch that was killed must not be taken for a wish. Raises `WrongUsage` if
    nothing is there and nothing was named.
    """
    selection = request.selection
    series = {one for one in found.held if not selection.datasets or one.dataset in selection.datasets}
    for symbol in {*selection.symbols, *new_symbols}:
        elsewhere = {one.exchange for one in found.held if one.symbol in (symbol, pair_name(symbol))} - {"binance"}
        datasets = selection.datasets or (() if elsewhere else _DEFAULT_DATASETS)
        for dataset in datasets:
            series |= set(_series_of(symbol, dataset, request))
    series = {one for one in series if not selection.exchanges or one.exchange in selection.exchanges}
    if not series and not found.held and not (selection.symbols or selection.assets):
        raise WrongUsage("nothing is landed yet, so nothing tells what is wanted: name it with --symbol or --tier")
    return sorted(series)


def _series_of(symbol: str, dataset: str, request: SourceRequest) -> Iterator[Series]:
    intervals = sorted(request.selection.intervals) or [DEFAULT_INTERVAL]
    match dataset:
        case "klines":
            for kline_type in request.kline_types:
                yield from (Series("binance", dataset, request.market, kline_type, symbol, one) for one in intervals)
        case "ohlcvt":
            yield from (Series("kraken", dataset, "spot", "", pair_name(symbol), one) for one in intervals)
        case "levels":
            return
        case _:
            yield Series("binance", dataset, request.market, "", symbol, "")


def window(request: SourceRequest, series: Series, found: Holdings, now: datetime) -> Span:
    """The range of time that is meant: from what is there, or the beginning, to `now`, where the options do not say."""
    spans = found.of(series).spans or found.failed.get(series)
    start = request.selection.start or (spans[0][0] if spans else ORIGIN)
    end = min(request.selection.end or now, now)
    return start, max(start, end)


def midnight(time: datetime) -> datetime:
    """The day's start, UTC."""
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def list_offers(opened: Sources, windows: dict[Series, Span], settings: Settings) -> dict[Series, list[Offer]]:
    """What the archive has of each series. Raises `SourceUnavailable` if any page of a listing failed."""
    with ThreadPoolExecutor(settings.connections, "list") as pool:
        jobs = {
            series: pool.submit(binance_files.offers, opened.listing, series, span) for series, span in windows.items()
        }
        try:
            return {series: job.result() for series, job in jobs.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def symbols_of_assets(opened: Sources, request: SourceRequest, found: Holdings) -> frozenset[str]:
    """Symbols that a tier adds: the archive's USDT symbols of assets of which nothing is there yet."""
    selection = request.selection
    if not selection.assets or request.market != "um":
        return frozenset()
    there = {one.symbol for one in found.held if one.exchange == "binance"}
    missing = {f"{asset}USDT" for asset in selection.assets} - there
    probe = Series("binance", "klines", request.market, "last", "X", DEFAULT_INTERVAL)
    return frozenset(opened.listing.folders(binance_files.symbols_folder(probe, "monthly"))) & missing


def parts(
    request: SourceRequest,
    found: Holdings,
    opened: Sources,
    offers: dict[Series, list[Offer]],
    windows: dict[Series, Span],
    now: datetime,
    *,
    skip_asked: bool,
) -> Iterator[Part]:
    """What `decide` says of each series. With `skip_asked`, REST is not asked again for what it has answered."""
    for series, span in windows.items():
        rest = opened.rest[series.exchange].reach(series, now)
        for part in decide(series, span, found.of(series), offers.get(series, ()), rest):
            yield from _without_asked(part, found) if skip_asked else (part,)


def _without_asked(part: Part, found: Holdings) -> Iterator[Part]:
    if part.where is not Where.REST:
        yield part
        return
    for span in subtract([part.span], found.asked.get(part.series, [])):
        yield Part(part.series, *span, Where.REST)
