"""What a file is, from its name and the folders above it.

Archive: `data/futures/um/{daily|monthly}/{type}/{SYMBOL}/[{interval}/]{SYMBOL}-{type or interval}-{period}.zip`;
people also keep `SYMBOL/{aggTrades,metrics,klines/5m}/` or everything in one folder. External levels are named by
their users: `{SYMBOL}-levels-{PROVIDER}[-{period}].csv`. Answers of REST are kept as
`rest-{exchange}-{market}-{type}-{SYMBOL}[-{interval}]-{from}-{to}.csv`. Kraken's downloads hold the files of all pairs:
`Kraken_OHLCVT.zip`, `Kraken_OHLCVT_Q1_2026.zip`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from loaders.datasets.base import INTERVALS, SYMBOL, Identity, Market, NameRefused
from loaders.datasets.kraken import MINUTES, pair_name
from loaders.datasets.series import Series

_KLINE_TYPES = {
    "klines": "last",
    "markPriceKlines": "mark",
    "indexPriceKlines": "index",
    "premiumIndexKlines": "premium",
}
_TYPES = {
    "aggTrades": "aggTrades",
    "metrics": "metrics",
    "fundingRate": "fundingRate",
    "liquidationSnapshot": "liquidations",
}
_EXTENSION = r"\.(?:csv|zip|csv\.gz)"
_ARCHIVE = re.compile(
    rf"(?P<symbol>.+)-(?P<what>{'|'.join([*_TYPES, *INTERVALS])})-(?P<period>\d{{4}}-\d\d(?:-\d\d)?){_EXTENSION}"
)
_RECORDING = re.compile(
    rf"forceOrder[_-](?P<start>\d{{4}}-\d\d-\d\d)(?:(?:[_-]|[_-]to[_-])(?P<end>\d{{4}}-\d\d-\d\d))?{_EXTENSION}"
)
_LEVELS = re.compile(
    rf"(?P<symbol>.+?)-levels(?:-(?P<provider>.+?))??(?:-(?P<period>\d{{4}}-\d\d(?:-\d\d)?))?{_EXTENSION}"
)
_PROVIDER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_OHLCVT = re.compile(rf"(?P<pair>[A-Z0-9]{{5,24}})_(?P<minutes>\d{{1,5}}){_EXTENSION}")
_BUNDLE = re.compile(r".*OHLCVT.*[.]zip", re.IGNORECASE)
_REST = re.compile(
    rf"rest-(?P<exchange>binance|kraken)-(?P<market>um|cm|spot)"
    rf"-(?P<what>{'|'.join([*_KLINE_TYPES, 'metrics', 'fundingRate', 'ohlcvt'])})-(?P<symbol>[^-]+)"
    rf"(?:-(?P<interval>{'|'.join(INTERVALS)}))?-(?P<start>\d{{8}}T\d{{6}}Z)-(?P<end>\d{{8}}T\d{{6}}Z)[.]csv"
)
_REST_TIME = "%Y%m%dT%H%M%SZ"
_QUARTER = re.compile(r"Q([1-4])[ _-]?(\d{4})|(\d{4})[ _-]?Q([1-4])")
# A folder is taken for a symbol's only where it ends like one: people have folders called DATA or BINANCE, too.
_SYMBOL_FOLDER = re.compile(r"[A-Z0-9]{2,20}(?:USDT|USDC|BUSD|USD|BTC|ETH|BNB)(?:_[A-Z0-9]{3,8})?")

# Hundreds of thousands of names share their folders, symbols and days: what was found about so many of each is kept.
_KEPT = 10_000


def identify(name: str, folders: tuple[str, ...], market: Market = "um") -> tuple[str, Identity] | None:
    """Layout and identity of a file called `name` under `folders` (outermost first), or None for a stranger.

    `market` is taken where the folders do not say. Raises `NameRefused` if the name has the shape of a dataset's
    file but cannot be one: a symbol with characters no symbol has, a date that does not exist, a folder that
    contradicts it.
    """
    if match := _REST.fullmatch(name):
        return _rest_page(match)
    if match := _LEVELS.fullmatch(name):
        return "levels", _levels(match, folders, _market_of(folders) or market)
    if match := _ARCHIVE.fullmatch(name):
        return _archive_file(match, folders, _market_of(folders) or market)
    if match := _RECORDING.fullmatch(name):
        place = _market_of(folders) or market
        return "forceOrder", Identity("binance", "liquidations", place, None, None, None, *_recorded(match), "stream")
    if (match := _OHLCVT.fullmatch(name)) and (interval := MINUTES.get(int(match["minutes"]))):
        quarter_start, quarter_end = _quarter_of(folders)
        identity = Identity(
            "kraken", "ohlcvt", "spot", None, pair_name(match["pair"]), interval, quarter_start, quarter_end
        )
        return "ohlcvt", identity
    return None


def is_bundle(name: str) -> bool:
    """Whether a zip holds the files of many pairs, as Kraken's downloads do."""
    return _BUNDLE.fullmatch(name) is not None


def rest_name(series: Series, start: datetime, end: datetime) -> str:
    """Name of the file that keeps REST's rows of a series from `start` to before `end`."""
    what = next((name for name, kind in _KLINE_TYPES.items() if kind == series.kline_type), series.dataset)
    what = what if series.dataset == "klines" else series.dataset
    interval = f"-{series.interval}" if series.interval else ""
    return (
        f"rest-{series.exchange}-{series.market}-{what}-{series.symbol}{interval}"
        f"-{start:{_REST_TIME}}-{end:{_REST_TIME}}.csv"
    )


def _rest_page(match: re.Match[str]) -> tuple[str, Identity]:
    symbol, what = _symbol(match["symbol"]), match["what"]
    try:
        start, end = (datetime.strptime(match[name], _REST_TIME).replace(tzinfo=UTC) for name in ("start", "end"))
    except ValueError:
        raise NameRefused(f"{match['start']} or {match['end']} is no time: rename the file") from None
    dataset = "klines" if what in _KLINE_TYPES else what
    if end <= start or (match["interval"] is None) == (dataset in ("klines", "ohlcvt")):
        raise NameRefused("is named like an answer of REST, and cannot be one: rename the file")
    kline_type = _KLINE_TYPES.get(what)
    return dataset, Identity(
        match["exchange"], dataset, match["market"], kline_type, symbol, match["interval"], start, end, "rest"
    )


def _archive_file(match: re.Match[str], folders: tuple[str, ...], market: Market) -> tuple[str, Identity]:
    symbol, what = _symbol(match["symbol"]), match["what"]
    start, end = _period(match["period"])
    _agree(symbol, what, folders)
    if what in _TYPES:
        return what, Identity("binance", _TYPES[what], market, None, symbol, None, start, end)
    kline_type = next((_KLINE_TYPES[folder] for folder in reversed(folders) if folder in _KLINE_TYPES), "last")
    return "klines", Identity("binance", "klines", market, kline_type, symbol, what, start, end)


def _levels(match: re.Match[str], folders: tuple[str, ...], market: Market) -> Identity:
    symbol, provider = _symbol(match["symbol"]), match["provider"] or ""
    if not _PROVIDER.fullmatch(provider):
        raise NameRefused(
            f"{provider!r} is no name of a provider (a letter, then up to 39 letters, digits and underscores): "
            f"name the file {symbol}-levels-PROVIDER.csv"
        )
    start, end = _period(match["period"]) if match["period"] else (None, None)
    _agree(symbol, "levels", folders)
    return Identity("binance", "levels", market, None, symbol, None, start, end, provider=provider)


@lru_cache(maxsize=_KEPT)
def _symbol(text: str) -> str:
    if not SYMBOL.fullmatch(text):
        raise NameRefused(f"{text!r} is no symbol (capitals, digits, at most one underscore): rename the file")
    return text


@lru_cache(maxsize=_KEPT)
def _agree(symbol: str, what: str, folders: tuple[str, ...]) -> None:
    """Raises `NameRefused` if the nearest folders name another symbol, interval or type."""
    for folder in folders[-3:]:
        if _SYMBOL_FOLDER.fullmatch(folder) and folder != symbol:
            raise NameRefused(f"the name says {symbol}, the folder {folder}: move the file where it belongs")
    if folders and folders[-1] in INTERVALS and what in INTERVALS and folders[-1] != what:
        raise NameRefused(f"the name says {what}, the folder {folders[-1]}: move the file where it belongs")
    types = [folder for folder in folders[-3:] if folder in _TYPES or folder in _KLINE_TYPES]
    if types and (types[-1] != what if what in _TYPES else types[-1] not in _KLINE_TYPES):
        raise NameRefused(f"the name says {what}, the folder {types[-1]}: move the file where it belongs")


@lru_cache(maxsize=_KEPT)
def _market_of(folders: tuple[str, ...]) -> Market | None:
    following = (*folders[1:], "")
    for folder, inner in reversed(list(zip(folders, following, strict=True))):
        if folder == "futures" and inner == "um":
            return "um"
        if folder == "futures" and inner == "cm":
            return "cm"
        if folder == "spot":
            return "spot"
    return None


@lru_cache(maxsize=_KEPT)
def _period(text: str) -> tuple[datetime, datetime]:
    """Start and exclusive end of `2026-06-28` or `2026-06`, UTC. Raises `NameRefused` for what no calendar has."""
    try:
        # Not by strptime, which takes a third of the time of a walk.
        numbers = [int(one) for one in text.split("-")]
        first = datetime(numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 1, tzinfo=UTC)
        if len(numbers) == 3:
            return first, first + timedelta(days=1)
        return first, (first + timedelta(days=32)).replace(day=1)
    except (ValueError, OverflowError):
        raise NameRefused(f"{text} is no date: rename the file") from None


def _recorded(match: re.Match[str]) -> tuple[datetime, datetime | None]:
    """First day of a recording and the exclusive end, None where the name gives none: its rows tell how long it ran."""
    start, _ = _period(match["start"])
    if match["end"] is None:
        return start, None
    _, end = _period(match["end"])
    if end <= start:
        raise NameRefused(f"{match['end']} is before {match['start']}: rename the file")
    return start, end


def _quarter_of(folders: tuple[str, ...]) -> tuple[datetime | None, datetime | None]:
    """Kraken's quarterly downloads hold the same names as the full one; only their folder tells them apart."""
    # The folder inside an archive need not name the quarter, the archive's own name does.
    match = next((found for folder in reversed(folders[-2:]) if (found := _QUARTER.search(folder))), None)
    if match is None:
        return None, None
    quarter = int(match[1] or match[4])
    start = datetime(int(match[2] or match[3]), 3 * quarter - 2, 1, tzinfo=UTC)
    return start, (start + timedelta(days=93)).replace(day=1)
