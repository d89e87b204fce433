"""REST of Kraken: `OHLC`, the 720 newest candles of a pair, never older ones.

The answer stands under the pair's long name (asked for XBTUSD, it says XXBTZUSD); its last row is the candle that has
not closed; a row has VWAP before the volume. A candle without a trade is written as zeros; in the files it is absent,
and so it is here. Errors come inside a 200. About one call a second is let through, now and then less.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from loaders.datasets.kraken import MINUTES
from loaders.datasets.series import Series
from loaders.sources.budgets import Spacing
from loaders.sources.http import CanPass, Client, NotServed, Throttled
from loaders.sources.pages import Rows
from loaders.sources.spans import Span, floor, from_milliseconds, milliseconds

CANDLES = 720

_MINUTES = {interval: minutes for minutes, interval in MINUTES.items() if minutes != 720}
_PASSING = ("EGeneral:Too many requests", "EAPI:Rate limit exceeded", "EService:", "EGeneral:Internal error")


class KrakenRest:
    """Reads the newest candles of a series. One object for all pairs, so that calls keep their distance."""

    exchange = "kraken"

    def __init__(self, client: Client, seconds_between: float = 1.0) -> None:
        self._client = client
        self._spacing = Spacing(seconds_between)

    def now(self) -> datetime:
        """The server's time."""
        return self._client.now()

    def reach(self, series: Series, now: datetime) -> Span | None:
        """What REST has of a series; None if nothing. There are no candles of 12 hours."""
        if series.dataset != "ohlcvt" or series.interval not in _MINUTES:
            return None
        assert series.step is not None
        end = floor(now, series.step)
        # The newest of the 720 has not closed.
        return end - (CANDLES - 1) * series.step, end

    def pages(self, series: Series, spans: Sequence[Span]) -> list[Span]:
        """One request brings all that there is."""
        return [(spans[0][0], spans[-1][1])] if spans else []

    def read(self, series: Series, page: Span) -> Rows:
        """One request. Raises `NotServed`, `SourceError`."""
        start, end = page
        answer = self._client.get_json(
            "/0/public/OHLC",
            {
                "pair": series.symbol,
                "interval": _MINUTES[series.interval],
                # `since` itself is left out.
                "since": milliseconds(start) // 1000 - 1,
            },
            costs=[(self._spacing, 1)],
            check=_check,
        )
        (rows,) = [rows for name, rows in answer["result"].items() if name != "last"]
        closed = rows[:-1]
        now = self.now()
        assert series.step is not None
        return Rows(
            series,
            tuple(
                (at, f"{time},{opened},{high},{low},{close},{volume},{count}")
                for time, opened, high, low, close, _, volume, count in closed
                if count and start <= (at := from_milliseconds(time * 1000)) < end and at + series.step <= now
            ),
        )


def _check(answer: Any) -> None:
    """Errors inside a 200. Raises `Throttled` and `CanPass` for what passes, `NotServed` for what does not."""
    if not isinstance(answer, dict):
        raise CanPass("the answer is no object")
    errors = [str(error) for error in answer.get("error") or ()]
    if any(error.startswith(_PASSING[:2]) for error in errors):
        raise Throttled(errors[0])
    if any(error.startswith(_PASSING) for error in errors):
        raise CanPass(errors[0])
    if errors:
        raise NotServed(errors[0])
    result = answer.get("result")
    tables = [rows for name, rows in result.items() if name != "last"] if isinstance(result, dict) else []
    if len(tables) != 1 or not all(isinstance(row, list) and len(row) == 8 for row in tables[0]):
        raise CanPass("rows of another form than documented")
