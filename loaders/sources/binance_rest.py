"""REST of Binance USD-M, no key needed: candles of all times, open interest of 30 days, funding rates.

    /fapi/v1/klines                    arrays of 12; at most 1,500; weight 1, 2, 5, 10 below 100, 500, 1,001, 1,501
    /futures/data/openInterestHist     at most 500, the latest 30 days; 1,000 requests in five minutes, no weight
    /fapi/v1/fundingRate               at most 1,000; 500 requests in five minutes

2,400 weight a minute and address. The last candle is still forming: what has not closed by the server's clock is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from loaders.datasets.series import Series
from loaders.sources.budgets import Window
from loaders.sources.choice import covering_pages
from loaders.sources.http import CanPass, Client, NotServed, RequestRefused
from loaders.sources.pages import Rows
from loaders.sources.spans import EPOCH, Span, ceil, floor, from_milliseconds, milliseconds

OPEN_INTEREST_DAYS = 30
WEIGHT_A_MINUTE = 2400

_LONGEST_PAGE, _CHEAPEST_PAGE = 1500, 499
_CANDLE_PATHS = {
    "last": "/fapi/v1/klines",
    "mark": "/fapi/v1/markPriceKlines",
    "premium": "/fapi/v1/premiumIndexKlines",
}
# Later starts are asked for, so that nothing grows older than 30 days while requests wait for their turn.
_MARGIN = timedelta(minutes=30)

Found = tuple[tuple[datetime, str], ...]


class BinanceRest:
    """Reads pages of a series. One object for all series, so that the limits are counted together."""

    exchange = "binance"

    def __init__(self, client: Client, *, minute_seconds: float = 60, weight_a_minute: int = WEIGHT_A_MINUTE) -> None:
        self._client = client
        self._weight = Window(weight_a_minute, minute_seconds, header="X-MBX-USED-WEIGHT-1M")
        self._open_interest = Window(1000, 5 * minute_seconds)
        self._funding = Window(500, 5 * minute_seconds)

    def now(self) -> datetime:
        """The server's time."""
        return self._client.now()

    def reach(self, series: Series, now: datetime) -> Span | None:
        """What REST has of a series; None if nothing."""
        if series.market != "um":
            return None
        match series.dataset:
            case "klines" if series.kline_type in _CANDLE_PATHS and series.interval != "1mo":
                assert series.step is not None
                # A candle that has not closed is not served; weeks begin on Mondays, 1970 began on a Thursday.
                offset = timedelta(days=4) if series.interval == "1w" else timedelta()
                return EPOCH, floor(now - offset, series.step) + offset
            case "metrics":
                assert series.step is not None
                oldest = ceil(now - timedelta(days=OPEN_INTEREST_DAYS) + _MARGIN, series.step)
                # The snapshot of this very instant is there.
                return oldest, floor(now, series.step) + series.step
            case "fundingRate":
                return EPOCH, now
        return None

    def pages(self, series: Series, spans: Sequence[Span]) -> list[Span]:
        """The fewest requests that hold all of the spans; shorter, cheaper ones where these weigh too much."""
        match series.dataset:
            case "klines":
                assert series.step is not None
                longest = covering_pages(spans, series.step, _LONGEST_PAGE)
                if len(longest) * _weight(_LONGEST_PAGE) > WEIGHT_A_MINUTE // 2:
                    return covering_pages(spans, series.step, _CHEAPEST_PAGE)
                return longest
            case "metrics":
                return covering_pages(spans, timedelta(minutes=5), 500)
        # Rates come hourly at most.
        return covering_pages(spans, timedelta(hours=1), 1000)

    def read(self, series: Series, page: Span) -> Rows:
        """One request. Raises `NotServed`, `SourceError`."""
        start, end = page
        ends = {"startTime": milliseconds(start), "endTime": milliseconds(end) - 1}
        try:
            match series.dataset:
                case "klines":
                    found = self._candles(series, ends)
                case "metrics":
                    found = self._snapshots(series, ends)
                case _:
                    found = self._rates(series, ends)
        except RequestRefused as refusal:
            # An unknown symbol (-1121), or open interest that is too old (-1130).
            raise NotServed(f"refused: {refusal}") from None
        return Rows(series, found)

    def _candles(self, series: Series, ends: dict[str, int]) -> Found:
        assert series.step is not None
        wanted = -(-(ends["endTime"] + 1 - ends["startTime"]) // (series.step // timedelta(milliseconds=1)))
        limit = min(wanted, _LONGEST_PAGE)
        answer = self._client.get_json(
            _CANDLE_PATHS[series.kline_type],
            {"symbol": series.symbol, "interval": _interval(series.interval), **ends, "limit": limit},
            costs=[(self._weight, _weight(limit))],
            check=lambda rows: _require(rows, lambda row: len(row) == 12 and isinstance(row[0], int)),
        )
        now = milliseconds(self.now())
        return tuple(
            (from_milliseconds(row[0]), ",".join(str(cell) for cell in row))
            for row in _sorted(answer, lambda row: row[0], ends)
            if row[6] < now
        )

    def _snapshots(self, series: Series, ends: dict[str, int]) -> Found:
        answer = self._client.get_json(
            "/futures/data/openInterestHist",
            {"symbol": series.symbol, "period": "5m", **ends, "limit": 500},
            costs=[(self._open_interest, 1)],
            check=lambda rows: _require(rows, lambda row: {"timestamp", "sumOpenInterest"} <= row.keys()),
        )
        return tuple(
            (
                at := from_milliseconds(row["timestamp"]),
                f"{at:%Y-%m-%d %H:%M:%S},{series.symbol},{row['sumOpenInterest']},"
                f"{row.get('sumOpenInterestValue', '')},,,,",
            )
            for row in _sorted(answer, lambda row: row["timestamp"], ends)
        )

    def _rates(self, series: Series, ends: dict[str, int]) -> Found:
        answer = self._client.get_json(
            "/fapi/v1/fundingRate",
            {"symbol": series.symbol, **ends, "limit": 1000},
            costs=[(self._funding, 1)],
            check=lambda rows: _require(rows, lambda row: {"fundingTime", "fundingRate"} <= row.keys()),
        )
        # How many hours lie between two rates is not told here.
        return tuple(
            (from_milliseconds(row["fundingTime"]), f"{row['fundingTime']},,{row['fundingRate']}")
            for row in _sorted(answer, lambda row: row["fundingTime"], ends)
        )


def _interval(interval: str) -> str:
    return "1M" if interval == "1mo" else interval


def _weight(limit: int) -> int:
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _require(rows: Any, looks_right: Any) -> None:
    if not isinstance(rows, list):
        raise CanPass(f"the answer is no list: {str(rows)[:80]}")
    try:
        right = all(looks_right(row) for row in rows)
    except (AttributeError, TypeError, KeyError, IndexError):
        right = False
    if not right:
        raise CanPass("rows of another form than documented")


def _sorted(rows: list[Any], time_of: Any, ends: dict[str, int]) -> list[Any]:
    """Rows of the page's own time, in order, each time once."""
    by_time = {time_of(row): row for row in rows if ends["startTime"] <= time_of(row) <= ends["endTime"]}
    return [by_time[time] for time in sorted(by_time)]
