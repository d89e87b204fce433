"""`backfill`: what REST still has of gaps and of the time since the last row, kept as files, landed, and told.

Pages are written to disk first: a load lands them like any other file, so that a rebuild needs no network. What came of
each range is counted in raw after the load, and stands in `ops.backfill_attempts`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import duckdb

from loaders import warehouse
from loaders.datasets import LAYOUTS, Series
from loaders.errors import SourceError, WarehouseBusy
from loaders.ingest import load, preflight
from loaders.ingest.load import LoadResult, Request
from loaders.progress import Reporter
from loaders.runs import holdings, sourcing
from loaders.runs.holdings import Holdings
from loaders.runs.sourcing import RestSource, SourceRequest, Sources
from loaders.settings import Settings
from loaders.sources import pages
from loaders.sources.choice import Part, Where
from loaders.sources.http import NotServed
from loaders.sources.spans import Span, ceil, union
from loaders.warehouse import ledger, transaction

# Rates come every eight hours, or more often: only then one is surely due.
_RATE_DUE = timedelta(hours=8)
_JITTER = timedelta(minutes=1)
_EVERY = timedelta(minutes=5)
# The newest snapshot appears some seconds after its time.
_LATE = timedelta(seconds=20)


@dataclass(slots=True)
class Attempt:
    """A range of a series that REST is asked for. `error` if it did not answer, `answer` if it said why it has none."""

    series: Series
    start: datetime
    end: datetime
    is_tail: bool
    error: str | None = None
    answer: str | None = None
    present: int = 0
    missing: int | None = None
    attempted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last: datetime | None = None

    @property
    def outcome(self) -> str:
        """`filled`, `partly`, `not to be had` or `failed`."""
        if self.error is not None:
            return "failed"
        if not self.present:
            return "not to be had"
        return "filled" if self.missing is None or self.present >= self.missing else "partly"


@dataclass(slots=True)
class BackfillResult:
    """What was asked and what came of it. `errors`: one line for each exchange that could not be asked to the end."""

    attempts: list[Attempt] = field(default_factory=list)
    pages: list[Path] = field(default_factory=list)
    rows: int = 0
    requests: int = 0
    errors: list[str] = field(default_factory=list)
    error_status: int = 0
    loaded: LoadResult | None = None

    @property
    def exit_status(self) -> int:
        """0, 1 if something was refused, 75 if an exchange did not answer."""
        loaded = self.loaded.exit_status if self.loaded else 0
        return loaded or self.error_status


def needs(path: Path, request: SourceRequest, opened: Sources, now: datetime, wait_seconds: float = 0) -> list[Attempt]:
    """The ranges that REST is to be asked for, in the order of asking."""
    return list(_needs(sourcing.look(path, request, wait_seconds), request, opened, now))


def _needs(found: Holdings, request: SourceRequest, opened: Sources, now: datetime) -> Iterator[Attempt]:
    series = sourcing.wanted(request, found)
    windows = {one: sourcing.window(request, one, found, _end_for(one, opened, now)) for one in series}
    for part in sourcing.parts(request, found, opened, {}, windows, now, skip_asked=True):
        if part.where is Where.REST and (attempt := _attempt_of(part, now)) is not None:
            yield attempt


def _end_for(series: Series, opened: Sources, now: datetime) -> datetime:
    """Up to when a series has rows: the snapshot of this instant is one."""
    reach = opened.rest[series.exchange].reach(series, now)
    return max(now, reach[1]) if reach else now


def _attempt_of(part: Part, now: datetime) -> Attempt | None:
    series, (start, end) = part.series, part.span
    is_tail = now - end < (series.step or _RATE_DUE)
    if series.dataset == "fundingRate":
        if is_tail and end - start < _RATE_DUE + _JITTER:
            return None
        return Attempt(series, start - _JITTER, end - _JITTER, is_tail)
    assert series.step is not None
    start = start if series.step > timedelta(days=1) else ceil(start, series.step)
    if end - start < series.step:
        return None
    return Attempt(series, start, end, is_tail)


def collect(
    opened: Sources,
    root: Path,
    attempts: Sequence[Attempt],
    say: Callable[[str], None],
    *,
    by_day: bool = False,
) -> BackfillResult:
    """Asks for the ranges and writes pages. An exchange that does not answer is left; the other one is still asked."""
    result = BackfillResult(list(attempts))
    given_up: dict[str, str] = {}
    for series, group in _by_series(attempts):
        rest = opened.rest[series.exchange]
        for page in rest.pages(series, union((one.start, one.end) for one in group)):
            about = [one for one in group if one.start < page[1] and one.end > page[0]]
            if series.exchange in given_up:
                for one in about:
                    one.error = given_up[series.exchange]
                continue
            try:
                _ask(rest, series, page, about, root, result, by_day=by_day)
            except SourceError as error:
                given_up[series.exchange] = str(error)
                for one in about:
                    one.error = str(error)
                result.errors.append(str(error))
                result.error_status = max(result.error_status, error.exit_status)
                say(str(error))
    return result


def _ask(
    rest: RestSource,
    series: Series,
    page: Span,
    about: Sequence[Attempt],
    root: Path,
    result: BackfillResult,
    *,
    by_day: bool,
) -> None:
    result.requests += 1
    try:
        rows = rest.read(series, page)
    except NotServed as answer:
        for one in about:
            one.answer = str(answer)
        return
    result.rows += len(rows.rows)
    if by_day:
        result.pages += pages.add_to_day(root, rows)
    elif (written := pages.write_page(root, rows)) is not None:
        result.pages.append(written)
    for one in about:
        times = [at for at, _ in rows.rows if one.start <= at < one.end]
        one.last = max(times, default=one.last)


def _by_series(attempts: Iterable[Attempt]) -> Iterator[tuple[Series, list[Attempt]]]:
    grouped: dict[Series, list[Attempt]] = {}
    for one in attempts:
        grouped.setdefault(one.series, []).append(one)
    yield from grouped.items()


def record(connection: duckdb.DuckDBPyConnection, result: BackfillResult, job_id: str | None) -> None:
    """Counts what is in raw of each range now, and writes the attempts."""
    for one in result.attempts:
        if one.is_tail and one.error is None and one.last is not None:
            # What has not been published yet is asked for again.
            one.end = min(one.end, one.last + (one.series.step or timedelta(seconds=1)))
        one.present = _rows_between(connection, one.series, one.start, one.end)
        step = one.series.step
        # Kraken has no candle where nobody traded.
        one.missing = (one.end - one.start) // step if step and one.series.dataset != "ohlcvt" else None
    # An empty tail is no fact: nothing has happened since, as far as anybody knows.
    told = [one for one in result.attempts if one.present or one.error or not one.is_tail or _is_old(one)]
    result.attempts = told
    if not told:
        return
    with transaction(connection):
        ledger.write_attempts(
            connection,
            {
                "job_id": [job_id] * len(told),
                "exchange": [one.series.exchange for one in told],
                "dataset": [one.series.dataset for one in told],
                "market": [one.series.market for one in told],
                "kline_type": [one.series.kline_type or None for one in told],
                "symbol": [one.series.symbol for one in told],
                "interval": [one.series.interval or None for one in told],
                "gap_start": [one.start.replace(tzinfo=None) for one in told],
                "gap_end": [one.end.replace(tzinfo=None) for one in told],
                "missing": [one.missing for one in told],
                "present": [one.present for one in told],
                "outcome": [one.outcome for one in told],
                "message": [one.error or one.answer for one in told],
                "attempted_at": [one.attempted_at.replace(tzinfo=None) for one in told],
            },
        )


def _is_old(attempt: Attempt) -> bool:
    return attempt.end - attempt.start >= timedelta(days=1)


def _rows_between(connection: duckdb.DuckDBPyConnection, series: Series, start: datetime, end: datetime) -> int:
    """Different times of a series in raw."""
    layout = LAYOUTS[series.dataset]
    names = {
        "market": series.market,
        "kline_type": series.kline_type,
        "symbol": series.symbol,
        "interval": series.interval,
    }
    if series.dataset == "ohlcvt":
        minutes = (series.step or timedelta()) // timedelta(minutes=1)
        wanted: dict[str, Any] = {"pair": series.symbol, "interval_minutes": minutes}
    else:
        wanted = {name: value for name, value in names.items() if value}
    conditions = " and ".join(f'"{name}" = ${place}' for place, name in enumerate(wanted, 3))
    row = connection.execute(
        f"""
        select count(distinct "{layout.time}")
        from raw.{layout.table}
        where "{layout.time}" >= $1 and "{layout.time}" < $2 and {conditions}
        """,
        [start.replace(tzinfo=None), end.replace(tzinfo=None), *wanted.values()],
    ).fetchone()
    return row[0] if row else 0


def land(
    settings: Settings, path: Path, request: SourceRequest, result: BackfillResult, reporter: Reporter, wait: float = 0
) -> None:
    """Lands what lies in `rest/`, and records the attempts. Raises `WarehouseBusy`."""
    folder = request.root / pages.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with warehouse.writer(settings, path, readable=(folder,), wait_seconds=wait) as opened, reporter as progress:
        landing = Request((folder,), replace(request.selection, start=None, end=None), retries=settings.retries)
        result.loaded = load.load(opened, settings, landing, progress, ready=preflight.require_room)
        # What the exchange has of a symbol, the attempts say.
        result.loaded.not_found = {}
        record(opened.connection, result, result.loaded.job_id)


def backfill(
    settings: Settings,
    path: Path,
    request: SourceRequest,
    reporter: Reporter,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
    wait_seconds: float = 0,
) -> BackfillResult:
    """Asks, keeps, lands and records. With `dry_run` nothing is asked and nothing changes."""
    at = now or datetime.now(UTC)
    with sourcing.sources(settings, reporter.say) as opened:
        attempts = needs(path, request, opened, at, wait_seconds)
        if dry_run:
            asked = sum(
                len(opened.rest[series.exchange].pages(series, union((one.start, one.end) for one in group)))
                for series, group in _by_series(attempts)
            )
            return BackfillResult(attempts, requests=asked)
        result = collect(opened, request.root, attempts, reporter.say)
    if attempts or _anything_kept(request):
        land(settings, path, request, result, reporter, wait_seconds)
    return result


def ask(
    settings: Settings, path: Path, request: SourceRequest, say: Callable[[str], None], wait_seconds: float = 0
) -> BackfillResult:
    """Asks and keeps; landing and recording are the caller's."""
    with sourcing.sources(settings, say) as opened:
        attempts = needs(path, request, opened, datetime.now(UTC), wait_seconds)
        return collect(opened, request.root, attempts, say)


def _anything_kept(request: SourceRequest) -> bool:
    return next((request.root / pages.FOLDER).rglob("*.csv"), None) is not None


def follow(
    settings: Settings,
    path: Path,
    request: SourceRequest,
    reporter: Callable[[], Reporter],
    say: Callable[[str], None],
    *,
    rounds: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Collects what is new every five minutes, until a signal ends it; `rounds` ends it earlier.

    Rows go to one file for each series and day. A round in which an exchange does not answer is made up for by the next
    one: everything since the last row is asked for. Rows are landed whenever the warehouse is free.
    """
    # No request may outlast a round.
    patient = attrs.evolve(settings, request_attempts=min(settings.request_attempts, 4))
    with sourcing.sources(patient, say) as opened:
        kept: BackfillResult | None = None
        done = 0
        while rounds is None or done < rounds:
            done += 1
            try:
                attempts = [one for one in _needs(_look_anyway(path, request), request, opened, clock()) if one.is_tail]
                result = collect(opened, request.root, attempts, say, by_day=True)
                result.attempts += kept.attempts if kept else []
                kept = result
                land(settings, path, request, result, reporter())
                say(f"{clock():%Y-%m-%d %H:%M} {result.rows} rows of {len(attempts)} series")
                kept = None
            except WarehouseBusy as busy:
                # What was collected is on disk, and is landed in a later round.
                say(f"{busy}; {kept.rows if kept else 0} rows are kept on disk")
            if rounds is None or done < rounds:
                sleep(_until_next(clock()))


def _look_anyway(path: Path, request: SourceRequest) -> Holdings:
    """What is there; by the folders alone while somebody writes to the warehouse."""
    try:
        return sourcing.look(path, request)
    except WarehouseBusy:
        return holdings.gather(None, request.folders, request.market, request.selection)


def _until_next(now: datetime) -> float:
    """Seconds to shortly after the next five minutes."""
    return (ceil(now + timedelta(seconds=1), _EVERY) + _LATE - now).total_seconds()


def to_dict(result: BackfillResult, *, dry_run: bool = False) -> dict[str, Any]:
    """The result as plain data."""
    return {
        "dry_run": dry_run,
        "requests": result.requests,
        "rows": result.rows,
        "pages": [str(page) for page in result.pages],
        "attempts": [
            {
                "series": str(one.series),
                "from": one.start,
                "to": one.end,
                "missing": one.missing,
                "present": one.present,
                "outcome": "planned" if dry_run else one.outcome,
                "message": one.error or one.answer,
            }
            for one in result.attempts
        ],
        "errors": result.errors,
        "load": load.to_dict(result.loaded) if result.loaded else None,
        "exit_status": result.exit_status,
    }


def text(result: BackfillResult, *, dry_run: bool = False) -> str:
    """The same for people."""
    lines = [_line(one, "ask" if dry_run else one.outcome) for one in result.attempts]
    if dry_run:
        lines.append(f"{result.requests} requests for {len(result.attempts)} ranges; nothing was asked or changed")
    else:
        lines.append(summary(result))
    return "\n".join(lines)


def _line(attempt: Attempt, outcome: str) -> str:
    message = attempt.error or attempt.answer
    span = f"{attempt.start:%Y-%m-%d %H:%M} to {attempt.end:%Y-%m-%d %H:%M}"
    return f"{outcome:13} {attempt.series!s:36} {span}" + (f"  {message}" if message else "")


def summary(result: BackfillResult) -> str:
    """One line: rows, requests, what came of the ranges."""
    outcomes = Counter(one.outcome for one in result.attempts)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return f"{result.rows:,} rows from {result.requests} requests; {len(result.attempts)} ranges" + (
        f": {counted}" if counted else ""
    )
