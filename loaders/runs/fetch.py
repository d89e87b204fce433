"""`fetch`: the archive's files that are missing, or have changed there, onto the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loaders.progress import Transfer
from loaders.runs import sourcing
from loaders.runs.sourcing import SourceRequest, Sources
from loaders.settings import Settings
from loaders.sources.choice import Where
from loaders.sources.download import Downloader, Fetched, Records, fetch_lock, is_aside, is_stale
from loaders.sources.listing import RemoteFile


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch, and why."""

    file: RemoteFile
    reason: str


@dataclass(slots=True)
class FetchResult:
    """What a fetch found and did. `aside` were put aside by an earlier fetch and have not changed since."""

    wanted: list[Wanted] = field(default_factory=list)
    fetched: list[Fetched] = field(default_factory=list)
    aside: list[RemoteFile] = field(default_factory=list)
    series: int = 0
    requests: int = 0

    @property
    def exit_status(self) -> int:
        """0, 1 if a file was put aside now."""
        return 1 if any(one.outcome == "aside" for one in self.fetched) else 0


def fetch(
    settings: Settings,
    path: Path,
    request: SourceRequest,
    transfer: Transfer,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
    wait_seconds: float = 0,
) -> FetchResult:
    """Fetches what `choice` takes from the archive, and what changed there since it was fetched.

    Raises `SourceError`, `WrongUsage`.
    """
    at = now or datetime.now(UTC)
    found = sourcing.look(path, request, wait_seconds)
    result = FetchResult()
    with transfer, sourcing.sources(settings, transfer.say) as opened:
        new = sourcing.symbols_of_assets(opened, request, found)
        series = [one for one in sourcing.wanted(request, found, new) if one.exchange == "binance"]
        windows = {one: sourcing.window(request, one, found, sourcing.midnight(at)) for one in series}
        offers = sourcing.list_offers(opened, windows, settings)
        result.series = len(series)
        request.root.mkdir(parents=True, exist_ok=True)
        with fetch_lock(request.root), Records(request.root) as records:
            for part in sourcing.parts(request, found, opened, offers, windows, at, skip_asked=False):
                if part.where is Where.ARCHIVE and part.offer is not None:
                    _take(result, records, part.offer.file, "missing")
            for one in series:
                for offer in offers[one]:
                    if is_stale(request.root, records, offer.file):
                        _take(result, records, offer.file, "changed in the archive")
            if not dry_run:
                _download(settings, opened, request, records, transfer, result)
        result.requests = opened.archive.requests
    return result


def _take(result: FetchResult, records: Records, file: RemoteFile, reason: str) -> None:
    if is_aside(records, file):
        result.aside.append(file)
    else:
        result.wanted.append(Wanted(file, reason))


def _download(
    settings: Settings,
    opened: Sources,
    request: SourceRequest,
    records: Records,
    transfer: Transfer,
    result: FetchResult,
) -> None:
    downloader = Downloader(opened.archive, request.root, settings.connections, records, transfer, result.fetched)
    downloader.fetch([one.file for one in result.wanted])


def to_dict(result: FetchResult, *, dry_run: bool) -> dict[str, Any]:
    """The result as plain data."""
    return {
        "dry_run": dry_run,
        "series": result.series,
        "files": [{"key": one.file.key, "bytes": one.file.size, "reason": one.reason} for one in result.wanted],
        "bytes": sum(one.file.size for one in result.wanted),
        "outcomes": dict(Counter(one.outcome for one in result.fetched)),
        "put_aside": [one.file.key for one in result.fetched if one.outcome == "aside"],
        "still_aside": [one.key for one in result.aside],
        "exit_status": result.exit_status,
    }


def text(result: FetchResult, *, dry_run: bool) -> str:
    """The same for people."""
    size = sum(one.file.size for one in result.wanted)
    if dry_run:
        lines = [f"{one.file.size:>14,}  {one.file.key}  ({one.reason})" for one in result.wanted]
        lines.append(f"{len(result.wanted)} files to fetch, {size:,} bytes; nothing was changed")
    else:
        lines = [summary(result)]
    lines += [f"left aside, its checksum was wrong and it has not changed: {one.key}" for one in result.aside]
    return "\n".join(lines)


def summary(result: FetchResult) -> str:
    """One line: how many files of how many series."""
    outcomes = Counter[str](one.outcome for one in result.fetched)
    whole = [one for one in result.fetched if one.outcome in ("fetched", "unverified")]
    parts: Sequence[str] = [
        f"{len(whole)} files fetched ({sum(one.file.size for one in whole):,} bytes) for {result.series} series",
        *(f"{outcomes[name]} {label}" for name, label in _LABELS.items() if outcomes[name]),
    ]
    return ", ".join(parts)


_LABELS = {"unverified": "without a published checksum", "missing": "listed and not there", "aside": "put aside"}
