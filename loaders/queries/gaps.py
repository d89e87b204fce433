"""The gaps of `marts.data_gaps`, with what depends on the clock: since when each is known, and whether REST has it.

The gaps themselves are defined in SQL, once. What the exchanges' REST interfaces still have:

- Binance USD-M klines and funding rates: all of them; open interest: the latest 30 days only.
- Kraken OHLC: the 720 newest candles, and none of 12 hours.
- Trades, spot and COIN-M rows, liquidations: nothing that these loaders can ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

import duckdb

from loaders.datasets import INTERVALS, interval_microseconds
from loaders.errors import MartsMissing
from loaders.rendering import counted, length, minute, table, wrapped
from loaders.selection import Selection

OPEN_INTEREST_DAYS = 30
KRAKEN_CANDLES = 720

# More series than these get a line each; of a series, the longest gaps are shown.
_SERIES_SHOWN = 20
_GAPS_SHOWN = 8

# The latest attempt of each range; a reader may meet a ledger that has no attempts yet.
_ATTEMPTS = """
    select exchange, dataset, market, symbol, "interval", gap_start, gap_end, outcome, attempted_at
    from ops.backfill_attempts
    where coalesce(kline_type, 'last') = 'last'
    order by attempted_at
"""

# A gap is known once rows on both of its sides are there.
_GAPS = """
    select
        gaps.exchange,
        gaps.dataset,
        gaps.market,
        gaps.symbol,
        gaps.interval,
        gaps.gap_start,
        gaps.gap_end,
        gaps.missing,
        gaps.suggested_file,
        greatest(
            min(files.finished_at) filter (where files.first_time <= gaps.gap_start),
            min(files.finished_at) filter (where files.last_time >= gaps.gap_end)
        ) as known_since
    from marts.data_gaps as gaps
    left join ops.ingestion_files as files
        on
            files.status = 'loaded'
            and gaps.exchange = files.exchange
            and gaps.dataset = files.dataset
            and gaps.market = files.market
            and gaps.symbol = files.symbol
            and gaps.interval = coalesce(files.interval, gaps.interval)
            and coalesce(files.kline_type, 'last') = 'last'
    group by all
    order by all
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap: `missing` rows in [gap_start, gap_end), UTC. `rest` says whether REST has them: all, part or no.

    `attempt` is what came of the latest attempt to fill it; `filled` stands until the next build has seen it.
    """

    exchange: str
    dataset: str
    market: str
    symbol: str
    interval: str
    gap_start: datetime
    gap_end: datetime
    missing: int
    suggested_file: str
    known_since: datetime | None
    rest: str
    attempt: str | None = None
    attempted_at: datetime | None = None

    @property
    def fillable(self) -> bool:
        """Whether `loaders backfill` would ask for it."""
        return self.rest != "no" and self.attempt in (None, "failed")


def find(connection: duckdb.DuckDBPyConnection, selection: Selection, at: datetime) -> list[Gap]:
    """The gaps that are asked for, as the last `dbt build` saw them; `at` is the time of day, UTC, without a zone.

    Raises `MartsMissing` if nothing was built, or an older version built it.
    """
    try:
        rows = connection.execute(_GAPS).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise MartsMissing("marts.data_gaps") from error
    gaps = [
        Gap(exchange, dataset, market, symbol, interval, start, end, missing, suggested_file, known_since, rest)
        for exchange, dataset, market, symbol, interval, start, end, missing, suggested_file, known_since in rows
        for rest in [_rest(exchange, dataset, market, interval, start, end, at)]
    ]
    return _with_attempts(connection, [gap for gap in gaps if _asked(gap, selection)])


def _with_attempts(connection: duckdb.DuckDBPyConnection, gaps: Sequence[Gap]) -> list[Gap]:
    try:
        rows = connection.execute(_ATTEMPTS).fetchall()
    except duckdb.CatalogException:
        return list(gaps)
    attempts: dict[tuple[str, ...], list[tuple[datetime, datetime, str, datetime]]] = {}
    for exchange, dataset, market, symbol, interval, start, end, outcome, at in rows:
        # Snapshots stand under their five minutes among the gaps.
        step = "5m" if dataset == "metrics" else interval or ""
        attempts.setdefault((exchange, dataset, market, symbol, step), []).append((start, end, outcome, at))
    found = []
    for gap in gaps:
        series = (gap.exchange, gap.dataset, gap.market, gap.symbol, gap.interval)
        about = [
            (outcome, at)
            for start, end, outcome, at in attempts.get(series, [])
            if start < gap.gap_end and end > gap.gap_start
        ]
        found.append(replace(gap, attempt=about[-1][0], attempted_at=about[-1][1]) if about else gap)
    return found


def _asked(gap: Gap, selection: Selection) -> bool:
    start = selection.start.replace(tzinfo=None) if selection.start else datetime.min  # noqa: DTZ901
    end = selection.end.replace(tzinfo=None) if selection.end else datetime.max  # noqa: DTZ901
    return (
        gap.gap_start < end
        and gap.gap_end > start
        and (not selection.exchanges or gap.exchange in selection.exchanges)
        and selection.takes_symbol(gap.symbol)
        and (not selection.datasets or gap.dataset in selection.datasets)
        and (not selection.intervals or gap.interval in selection.intervals)
    )


def _rest(exchange: str, dataset: str, market: str, interval: str, start: datetime, end: datetime, at: datetime) -> str:
    """`all` of the gap, `part` of it, or `no`."""
    match exchange, dataset, market:
        case "binance", ("klines" | "fundingRate"), "um":
            return "all"
        case "binance", "metrics", "um":
            reaches_back_to = at - timedelta(days=OPEN_INTEREST_DAYS)
        case "kraken", "ohlcvt", _ if interval in INTERVALS and interval != "12h":
            reaches_back_to = at - KRAKEN_CANDLES * timedelta(microseconds=interval_microseconds(interval))
        case _:
            return "no"
    if start >= reaches_back_to:
        return "all"
    return "part" if end > reaches_back_to else "no"


def to_dict(gaps: Sequence[Gap]) -> dict[str, Any]:
    """The gaps as plain data."""
    return {
        "gaps": [asdict(gap) | {"fillable": gap.fillable} for gap in gaps],
        "fillable": sum(gap.fillable for gap in gaps),
        "missing": sum(gap.missing for gap in gaps),
    }


def text(gaps: Sequence[Gap]) -> str:
    """The gaps by series, with totals, within the terminal's width. Many series get a line each."""
    if not gaps:
        return "no gaps"
    by_series = {series: list(found) for series, found in groupby(gaps, key=_series)}
    fillable, missing = sum(gap.fillable for gap in gaps), sum(gap.missing for gap in gaps)
    summary = (
        f"{counted(len(gaps), 'gap')} in {len(by_series):,} series, {counted(missing, 'row')} missing. "
        f"REST still has {fillable:,} of them (`loaders backfill`); for the others see whether the archive has the "
        "files (`loaders fetch`, or a list for any downloader: `loaders gaps --urls`)"
    )
    if len(by_series) > _SERIES_SHOWN:
        note = "(`loaders gaps --symbol SYMBOL` shows from when to when, --json all of them)"
        return f"{wrapped(summary)}\n\n{_series_table(by_series)}\n{note}"
    return "\n\n".join([wrapped(summary), *(_block(series, found) for series, found in by_series.items())])


def _series(gap: Gap) -> str:
    return " ".join(part for part in (gap.exchange, gap.dataset, gap.market, gap.symbol, gap.interval) if part)


def _longest(gaps: Sequence[Gap]) -> Gap:
    return max(gaps, key=lambda gap: gap.gap_end - gap.gap_start)


def _series_table(by_series: Mapping[str, Sequence[Gap]]) -> str:
    rows = []
    for series, gaps in by_series.items():
        longest = _longest(gaps)
        rows.append(
            (
                series,
                f"{len(gaps):,}",
                f"{sum(gap.missing for gap in gaps):,}",
                f"{length(longest.gap_end - longest.gap_start)} {longest.gap_start:%Y-%m-%d}",
                f"{sum(gap.fillable for gap in gaps):,}",
            )
        )
    return table(("series", "gaps", "missing", "longest, from", "on REST"), rows, right=("gaps", "missing", "on REST"))


def _block(series: str, gaps: Sequence[Gap]) -> str:
    """A series: totals, its gaps (the longest where they are many), and from which to which file would fill them."""
    head = f"{series}: {counted(len(gaps), 'gap')}, {counted(sum(gap.missing for gap in gaps), 'row')} missing"
    longest = sorted(gaps, key=lambda gap: gap.gap_start - gap.gap_end)[:_GAPS_SHOWN]
    shown = sorted(longest, key=lambda gap: gap.gap_start)
    lines = [
        (
            f"{minute(gap.gap_start)} to {minute(gap.gap_end)}",
            length(gap.gap_end - gap.gap_start),
            f"{gap.missing:,}",
            gap.rest,
            gap.attempt or "",
        )
        for gap in shown
    ]
    columns = ("from, to", "length", "missing", "REST", "attempt")
    drawn = table(columns, lines, right=("missing",), indent=2)
    if len(gaps) > len(shown):
        drawn += f"\n  and {len(gaps) - len(shown):,} shorter ones (--json has all)"
    files = sorted({gap.suggested_file for gap in gaps if gap.suggested_file})
    if len(files) > 1:
        drawn += "\n" + wrapped(f"{files[0]} to {PurePosixPath(files[-1]).name} ({len(files):,} files)", "    ", "  ")
    elif files:
        drawn += f"\n  {files[0]}"
    return f"{head}\n{drawn}"
