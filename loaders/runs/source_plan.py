"""`plan`: for a range of days, which part is on disk, in the archive, on REST, nowhere; and a list of what to download.

The list names, for what nobody serves by itself, the files that a person would look for, in the exchange's own naming.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loaders.datasets import Series
from loaders.rendering import minute, size, table
from loaders.runs import sourcing
from loaders.runs.sourcing import SourceRequest
from loaders.settings import Settings
from loaders.sources import binance_files, kraken_files
from loaders.sources.choice import Part, Where
from loaders.sources.pages import write_whole

_FROM = {
    Where.DISK: "on disk",
    Where.ARCHIVE: "archive",
    Where.REST: "REST",
    Where.NOBODY: "nobody",
}


@dataclass(frozen=True, slots=True)
class Download:
    """A file for a person to look for."""

    series: Series
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """The parts of all series, and the files that a person would have to download."""

    parts: tuple[Part, ...]
    downloads: tuple[Download, ...]


def make(
    settings: Settings, path: Path, request: SourceRequest, say: Any, *, now: datetime | None = None, wait: float = 0
) -> SourcePlan:
    """Asks for listings only. Raises `SourceError`, `WrongUsage`."""
    at = now or datetime.now(UTC)
    found = sourcing.look(path, request, wait)
    with sourcing.sources(settings, say) as opened:
        new = sourcing.symbols_of_assets(opened, request, found)
        series = sourcing.wanted(request, found, new)
        windows = {one: sourcing.window(request, one, found, at) for one in series}
        offers = sourcing.list_offers(opened, windows, settings)
        parts = tuple(sourcing.parts(request, found, opened, offers, windows, at, skip_asked=True))
    parts = tuple(_without_slivers(parts, at))
    downloads = {
        (one.name, one.address): one
        for part in parts
        if part.where is Where.NOBODY
        for one in files_of(part.series, part.start, part.end, settings)
    }
    return SourcePlan(parts, tuple(downloads.values()))


def _without_slivers(parts: Sequence[Part], now: datetime) -> Iterator[Part]:
    """Leaves out what cannot be there yet: the candle that forms, the rate that is not due."""
    for part in parts:
        step = part.series.step or timedelta(hours=8)
        if part.where is not Where.NOBODY or part.end - part.start >= step or part.end < now - step:
            yield part


def files_of(series: Series, start: datetime, end: datetime, settings: Settings) -> Iterator[Download]:
    """The exchange's files that hold a stretch of a series, by the day where there are such; times are UTC."""
    if series.exchange == "kraken":
        for name in kraken_files.files_for(start, end):
            yield Download(series, name, kraken_files.PAGE)
        return
    for frequency in binance_files.frequencies(series)[:1]:
        at = start
        while at < end:
            key = binance_files.file_name(series, frequency, at)
            yield Download(series, key, f"{settings.binance_archive_url}/{key}")
            at = sourcing.midnight(at) + timedelta(days=1)
            if frequency == "monthly":
                at = (at.replace(day=1) + timedelta(days=32)).replace(day=1)


def write_list(plan: SourcePlan, target: Path) -> None:
    """One line for each file: name, tab, address."""
    write_whole(target, "".join(f"{one.name}\t{one.address}\n" for one in plan.downloads).encode())


def to_dict(plan: SourcePlan) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "parts": [
            {
                "series": str(part.series),
                "exchange": part.series.exchange,
                "from": part.start,
                "to": part.end,
                "source": part.where.value,
                **({"file": part.offer.file.key, "bytes": part.offer.file.size} if part.offer else {}),
            }
            for part in plan.parts
        ],
        "downloads": [{"name": one.name, "address": one.address} for one in plan.downloads],
    }


def text(plan: SourcePlan) -> str:
    """One line for each stretch of a series that comes from one source."""
    rows = [
        (
            str(part.series),
            _day(part.start),
            _day(end),
            _FROM[part.where],
            f"{files:,}" if files else "",
            size(count) if count else "",
        )
        for part, end, files, count in _stretches(plan.parts)
    ]
    lines = [table(("series", "from", "to", "source", "files", "size"), rows, right=("files", "size"))]
    lines.append("archive: `loaders fetch`; REST: `loaders backfill`; nobody: no server has it")
    if plan.downloads:
        lines.append(f"{len(plan.downloads)} files that somebody would have to find: --list FILE writes them down")
    return "\n".join(lines)


def _day(time: datetime) -> str:
    """The day, where nothing of it lies before."""
    return f"{time:%Y-%m-%d}" if (time.hour, time.minute) == (0, 0) else minute(time)


def _stretches(parts: Sequence[Part]) -> Iterator[tuple[Part, datetime, int, int]]:
    """Neighbours of one source as one: the first part, the end, files, bytes."""
    first: Part | None = None
    end, files, size = datetime.min.replace(tzinfo=UTC), 0, 0
    for part in parts:
        if first is not None and (part.series, part.where) == (first.series, first.where) and part.start <= end:
            end = max(end, part.end)
        else:
            if first is not None:
                yield first, end, files, size
            first, end, files, size = part, part.end, 0, 0
        if part.offer is not None:
            files, size = files + 1, size + part.offer.file.size
    if first is not None:
        yield first, end, files, size
