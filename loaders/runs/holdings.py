"""What is there of each series, from the data folders, the ledger and the last build's gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from loaders.datasets import Identity, Market
from loaders.datasets.series import Series
from loaders.files.discovery import Candidate, discover
from loaders.selection import Selection
from loaders.sources import pages
from loaders.sources.choice import Held
from loaders.sources.spans import Span, union
from loaders.warehouse import ledger

# An attempt says something for good once the exchange had time to publish what was asked for.
_SETTLED = timedelta(hours=1)

_GAPS = """
    select exchange, dataset, market, symbol, "interval", gap_start, gap_end
    from marts.data_gaps
"""

_ATTEMPTS = """
    select exchange, dataset, market, kline_type, symbol, "interval", gap_start, gap_end
    from ops.backfill_attempts
    where outcome = 'filled' or (outcome <> 'failed' and attempted_at >= gap_end + $1)
"""


# Of these nothing may be there yet but the wish.
_FAILURES = """
    select exchange, dataset, market, kline_type, symbol, "interval", min(gap_start), max(gap_end)
    from ops.backfill_attempts
    where outcome = 'failed'
    group by all
"""


@dataclass(frozen=True, slots=True)
class Holdings:
    """By series: what is there, what REST has answered for good, and what it was asked for without an answer."""

    held: dict[Series, Held] = field(default_factory=dict)
    asked: dict[Series, list[Span]] = field(default_factory=dict)
    failed: dict[Series, list[Span]] = field(default_factory=dict)

    def of(self, series: Series) -> Held:
        """What is there of a series; nothing if it was never seen."""
        return self.held.get(series, Held())


def gather(
    connection: duckdb.DuckDBPyConnection | None, folders: Sequence[Path], market: Market, selection: Selection
) -> Holdings:
    """What lies in the folders or was landed, of the symbols, datasets and intervals that are asked for."""
    everywhen = replace(selection, start=None, end=None)
    spans: dict[Series, list[Span]] = {}
    archive: dict[Series, set[Span]] = {}
    landed = ledger.landed_ranges(connection) if connection is not None else {}
    for identity, (first, last) in landed.items():
        series = Series.of(identity)
        if series is not None and everywhen.takes(identity):
            _add(series, identity, _landed_span(series, identity, first, last), spans, archive)
    for candidate in discover(folders, market, everywhen).candidates:
        series = Series.of(candidate.identity)
        if series is not None and candidate.identity not in landed:
            _add(series, candidate.identity, _span_on_disk(series, candidate), spans, archive)
    gaps = _by_series(connection, _GAPS, series_of_gap) if connection is not None else {}
    asked = _by_series(connection, _ATTEMPTS, _attempt_series, [_SETTLED]) if connection is not None else {}
    failed = _by_series(connection, _FAILURES, _attempt_series) if connection is not None else {}
    for series in failed:
        if everywhen.takes_series(series.exchange, series.dataset, series.symbol, series.interval):
            spans.setdefault(series, [])
    return Holdings(
        {
            series: Held(tuple(union(held)), tuple(gaps.get(series, ())), frozenset(archive.get(series, ())))
            for series, held in spans.items()
        },
        asked,
        failed,
    )


def _add(
    series: Series,
    identity: Identity,
    span: Span | None,
    spans: dict[Series, list[Span]],
    archive: dict[Series, set[Span]],
) -> None:
    held = spans.setdefault(series, [])
    if span is not None:
        held.append(span)
    if identity.origin == "archive" and identity.period_start and identity.period_end:
        archive.setdefault(series, set()).add((identity.period_start, identity.period_end))


def _landed_span(series: Series, identity: Identity, first: datetime, last: datetime) -> Span:
    """An archive file tells of its whole period, everything else of its rows."""
    if identity.origin == "archive" and identity.period_start and identity.period_end:
        return identity.period_start, identity.period_end
    return first, last + (series.step or timedelta(seconds=1))


def _span_on_disk(series: Series, candidate: Candidate) -> Span | None:
    identity = candidate.identity
    if identity.origin == "rest":
        return pages.covered(candidate.path, series)
    if identity.period_start and identity.period_end:
        return identity.period_start, identity.period_end
    # A file that names no period tells nothing before it was landed.
    return None


def _by_series(
    connection: duckdb.DuckDBPyConnection, query: str, series_of: Any, parameters: Iterable[Any] = ()
) -> dict[Series, list[Span]]:
    """Ranges by series; none where the table has not been made yet."""
    try:
        rows = connection.execute(query, list(parameters)).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        # Not made yet, or by an older version.
        return {}
    found: dict[Series, list[Span]] = {}
    for *names, start, end in rows:
        found.setdefault(series_of(*names), []).append((start.replace(tzinfo=UTC), end.replace(tzinfo=UTC)))
    return found


def series_of_gap(exchange: str, dataset: str, market: str, symbol: str, interval: str) -> Series:
    """The series that a gap of `marts.data_gaps` is in."""
    # Gaps are those of last-price candles, and snapshots stand under their five minutes there.
    return Series(
        exchange,
        dataset,
        market,
        "last" if dataset == "klines" else "",
        symbol,
        "" if dataset == "metrics" else interval,
    )


def _attempt_series(
    exchange: str, dataset: str, market: str, kline_type: str | None, symbol: str, interval: str | None
) -> Series:
    return Series(exchange, dataset, market, kline_type or "", symbol, interval or "")
