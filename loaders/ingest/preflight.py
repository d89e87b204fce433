"""Looks before a load: is the warehouse free and sound, is there room, do the files open?"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from loaders import warehouse
from loaders.errors import FileRejected, LoadersError, NotEnoughDisk
from loaders.files.inspection import peek
from loaders.ingest import load, plan
from loaders.ingest.load import Request
from loaders.ingest.plan import FilePlan
from loaders.warehouse import schema

# Measured: aggTrades take 0.20 of their CSV in the warehouse, one-minute candles 0.45. Archives of both inflate 5 to 8
# times; the largest lies inflated in the scratch folder, with the two files prepared ahead of it.
_STORED_SHARE = 0.5
_INFLATION = 8
_INFLATED_AT_ONCE = 3
# Before this time of day the clock was never set: the archive's files are all younger.
_CLOCK_FLOOR = datetime(2025, 1, 1, tzinfo=UTC)
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the answer."""

    name: str
    passed: bool
    detail: str


def bytes_needed(steps: Sequence[FilePlan]) -> int:
    """Free disk that landing these files may take, in bytes, scratch space included."""
    sizes = [_inflated(step) for step in steps]
    packed = sorted((size for step, size in zip(steps, sizes, strict=True) if step.candidate.rank < 2), reverse=True)
    return int(sum(sizes) * _STORED_SHARE) + sum(packed[:_INFLATED_AT_ONCE])


def require_room(path: Path, steps: Sequence[FilePlan]) -> None:
    """Raises `NotEnoughDisk` if the plan does not fit beside the warehouse."""
    check = _disk(path, steps)
    if not check.passed:
        raise NotEnoughDisk(f"{check.detail}: make room, or load less at a time (--symbol, --start, --end)")


def checks(path: Path, request: Request) -> Iterator[Check]:
    """All checks, one after the other; none changes anything."""
    yield _lock(path)
    opened, landed = _opens(path)
    yield opened
    yield _log(path)
    try:
        with warehouse.reader(path) if path.exists() else nullcontext(None) as connection:
            found, steps = load.survey(connection, request)
    except LoadersError:
        found, steps = load.survey(None, request)
    work = plan.to_do(steps)
    yield _disk(path, work)
    if request.folders:
        yield _files(work)
        refused = [f"{one.path}: {one.reason}" for one in found.refused]
        yield Check("names", not refused, "; ".join(refused[:_NAMED]) or "no name was refused")
    yield _clock(landed)


def _lock(path: Path) -> Check:
    if warehouse.locked(path):
        return Check("lock", False, f"{warehouse.holder_of(path) or 'another loader'} writes to {path}: wait for it")
    return Check("lock", True, "no loader is writing")


def _opens(path: Path) -> tuple[Check, datetime | None]:
    if not path.exists():
        return Check("warehouse", True, f"{path} does not exist yet, the first load makes it"), None
    try:
        with warehouse.reader(path) as connection:
            version = schema.version_of(connection)
            if version is not None and version > schema.VERSION:
                return Check(
                    "warehouse", False, f"tables of version {version}, these loaders know {schema.VERSION}"
                ), None
            if version is None:
                return Check("warehouse", True, "opens; no loader has written to it yet"), None
            row = connection.execute(
                """
                select count(*) filter (where status = 'loaded'), sum(rows_loaded) filter (where status = 'loaded'),
                    max(finished_at)
                from ops.ingestion_files
                """
            ).fetchone()
            assert row is not None
            return Check("warehouse", True, f"opens; {row[0]} files, {row[1] or 0:,} rows"), row[2]
    except (LoadersError, duckdb.Error) as error:
        return Check("warehouse", False, str(error)), None


def _log(path: Path) -> Check:
    log = path.with_name(path.name + ".wal")
    size = log.stat().st_size if log.exists() else 0
    if size:
        return Check(
            "log", True, f"{log.name} holds {size:,} bytes that the next writer replays: keep it with the file"
        )
    return Check("log", True, "nothing waits to be replayed")


def _disk(path: Path, work: Sequence[FilePlan]) -> Check:
    folder = next(place for place in (path.parent, *path.parents) if place.exists())
    free = shutil.disk_usage(folder).free
    needed = bytes_needed(work)
    packed = sum(step.candidate.size_bytes for step in work)
    detail = f"{free:,} bytes free, {needed:,} needed for {len(work)} files of {packed:,} bytes"
    return Check("disk", free > needed, detail)


def _files(work: Sequence[FilePlan]) -> Check:
    failures = []
    for step in work:
        try:
            peek(step.candidate)
        except (FileRejected, OSError) as error:
            failures.append(f"{step.candidate.location}: {error}")
    if failures:
        more = f" (and {len(failures) - _NAMED} more)" if len(failures) > _NAMED else ""
        return Check("files", False, "; ".join(failures[:_NAMED]) + more)
    return Check("files", True, f"{len(work)} files to land can be opened and begin as they should")


def _clock(landed: datetime | None) -> Check:
    now = datetime.now(UTC)
    if now < _CLOCK_FLOOR or (landed is not None and now < landed.replace(tzinfo=UTC)):
        return Check("clock", False, f"the clock says {now:%Y-%m-%d %H:%M} UTC, before the last landing: set it")
    return Check("clock", True, f"{now:%Y-%m-%d %H:%M} UTC, local zone {time.tzname[0]}; every stored time is UTC")


def _inflated(step: FilePlan) -> int:
    size = step.candidate.size_bytes
    return size * _INFLATION if step.candidate.rank < 2 else size
