"""Looks before a load: is the warehouse free and sound, is there room, do the files open?"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from loaders import warehouse
from loaders.errors import FileRejected, LoadersError, NotEnoughDisk
from loaders.files.discovery import Found
from loaders.files.inspection import peek
from loaders.ingest import load, plan
from loaders.ingest.load import Request, Survey
from loaders.ingest.plan import FilePlan
from loaders.rendering import counted, length, minute, near, size, wrapped
from loaders.selection import not_found_lines
from loaders.warehouse import ledger, schema

# Measured: aggTrades take 0.20 of their CSV in the warehouse, one-minute candles 0.45. The largest archive lies
# inflated in the scratch folder, with the two files prepared ahead of it.
_STORED_SHARE = 0.5
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
    sizes = [step.text_bytes() for step in steps]
    packed = sorted((size for step, size in zip(steps, sizes, strict=True) if step.candidate.is_packed), reverse=True)
    return int(sum(sizes) * _STORED_SHARE + sum(packed[:_INFLATED_AT_ONCE]))


def require_room(path: Path, steps: Sequence[FilePlan]) -> None:
    """Raises `NotEnoughDisk` if the plan does not fit beside the warehouse."""
    check = _disk(path, steps)
    if not check.passed:
        raise NotEnoughDisk(f"{check.detail}: make room, or load less at a time (--symbol, --start, --end)")


def survey(path: Path, request: Request) -> Survey:
    """What lies in the folders and what is to be done with it; where the warehouse does not open, all is new."""
    try:
        with warehouse.reader(path) if path.exists() else nullcontext(None) as connection:
            return load.survey(connection, request)
    except LoadersError:
        return load.survey(None, request)


def checks(path: Path, request: Request, surveyed: Survey, max_age: timedelta | None = None) -> Iterator[Check]:
    """All checks, one after the other; none changes anything. `max_age` is how old the newest row may be."""
    yield _lock(path)
    opened = _opens(path)
    yield opened.check
    yield _log(path)
    found, work = surveyed.found, plan.to_do(surveyed.steps)
    yield _disk(path, work)
    if request.folders:
        yield _folders(found)
        yield _files(work)
        refused = [f"{near(one.path)}: {one.reason}" for one in found.refused]
        yield Check("names", not refused, _few(refused) or "no name was refused")
        if request.selection.symbols:
            missing = not_found_lines(load.not_found(request, found), "file of the data folders")
            yield Check("symbols", not missing, _few(missing) or "each has files")
    yield age_check(newest_of(opened.newest, work), max_age)
    yield _clock(opened.landed)


def to_dict(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """The checks as plain data."""
    return [{"name": one.name, "passed": one.passed, "detail": one.detail} for one in checks]


def text(checks: Sequence[Check]) -> str:
    """A line for each check, and whether all is well."""
    bad = sum(not one.passed for one in checks)
    summary = f"{counted(bad, 'check')} of {len(checks)} failed" if bad else f"all {len(checks)} checks passed"
    lines = [wrapped(one.detail, " " * 17, f"{'ok' if one.passed else 'FAIL':5} {one.name:10} ") for one in checks]
    return "\n".join([*lines, summary])


def _lock(path: Path) -> Check:
    if warehouse.locked(path):
        return Check("lock", False, f"{warehouse.holder_of(path) or 'another loader'} writes to {path}: wait for it")
    return Check("lock", True, "no loader is writing")


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the warehouse tells: when it was last written to, and the newest time of its rows, UTC."""

    check: Check
    landed: datetime | None = None
    newest: datetime | None = None


def _opens(path: Path) -> _Opened:
    if not path.exists():
        return _Opened(Check("warehouse", True, f"{near(path)} does not exist yet, the first load makes it"))
    try:
        with warehouse.reader(path) as connection:
            version = schema.version_of(connection)
            if version is not None and version > schema.VERSION:
                told = f"tables of version {version}, these loaders know {schema.VERSION}"
                return _Opened(Check("warehouse", False, told))
            if version is None:
                return _Opened(Check("warehouse", True, "opens; no loader has written to it yet"))
            row = connection.execute(
                """
                select count(*) filter (where status = 'loaded'), sum(rows_loaded) filter (where status = 'loaded'),
                    max(finished_at)
                from ops.ingestion_files
                """
            ).fetchone()
            assert row is not None
            check = Check("warehouse", True, f"opens; {row[0]:,} files, {row[1] or 0:,} rows")
            return _Opened(check, row[2], ledger.data_until(connection))
    except (LoadersError, duckdb.Error) as error:
        return _Opened(Check("warehouse", False, str(error)))


def _log(path: Path) -> Check:
    log = path.with_name(path.name + ".wal")
    held = log.stat().st_size if log.exists() else 0
    if held:
        return Check("log", True, f"{log.name} holds {size(held)} that the next writer replays: keep it with the file")
    return Check("log", True, "nothing waits to be replayed")


def _disk(path: Path, work: Sequence[FilePlan]) -> Check:
    folder = next(place for place in (path.parent, *path.parents) if place.exists())
    free = shutil.disk_usage(folder).free
    needed = bytes_needed(work)
    packed = sum(step.candidate.size_bytes for step in work)
    detail = f"{size(free)} free, {size(needed)} needed for {counted(len(work), 'file')} of {size(packed)}"
    return Check("disk", free > needed, detail)


def _files(work: Sequence[FilePlan]) -> Check:
    failures = []
    for step in work:
        try:
            peek(step.candidate)
        except (FileRejected, OSError) as error:
            failures.append(f"{near(step.candidate.location)}: {error}")
    return Check("files", not failures, _few(failures) or f"to land: {len(work):,}, and each begins as it should")


def _folders(found: Found) -> Check:
    """A folder in which nothing lies is one whose disk is not mounted, more often than not."""
    empty = found.empty_folders
    if empty or not found.by_folder:
        which = ", ".join(near(folder) for folder in empty) or "no folder"
        return Check("folders", False, f"{which} holds no file of a dataset: is the disk mounted, the path right?")
    files = counted(sum(found.by_folder.values()), "file")
    return Check("folders", True, f"{files} of datasets in {counted(len(found.by_folder), 'folder')}")


def newest_of(landed: datetime | None, work: Sequence[FilePlan]) -> datetime | None:
    """The newest time that the warehouse has once these files are landed, as far as their names tell, UTC."""
    now = ledger.now()
    files = [step.candidate.identity for step in work if step.candidate.identity.dataset in ledger.STEADY_DATASETS]
    times = [min(file.period_end.replace(tzinfo=None), now) for file in files if file.period_end is not None]
    return max([*times, *([landed] if landed else [])], default=None)


def age_check(newest: datetime | None, max_age: timedelta | None) -> Check:
    """Whether the newest row is young enough by the clock. Without `max_age` any age is right, and told."""
    limit = f"; --max-age is {length(max_age)}" if max_age is not None else ""
    if newest is None:
        return Check("age", max_age is None, f"no data{limit}")
    age = max(ledger.now() - newest, timedelta(0))
    told = f"data until {minute(newest)}, {length(age)} ago"
    if max_age is not None and age > max_age:
        return Check("age", False, f"{told}{limit}: `loaders fetch` or `backfill`, or look why nothing comes")
    return Check("age", True, told + limit)


def _few(lines: Sequence[str]) -> str:
    more = f" (and {len(lines) - _NAMED:,} more)" if len(lines) > _NAMED else ""
    return "; ".join(lines[:_NAMED]) + more


def _clock(landed: datetime | None) -> Check:
    now = datetime.now(UTC)
    if now < _CLOCK_FLOOR or (landed is not None and now < landed.replace(tzinfo=UTC)):
        return Check("clock", False, f"the clock says {now:%Y-%m-%d %H:%M} UTC, before the last landing: set it")
    return Check("clock", True, f"{now:%Y-%m-%d %H:%M} UTC, local zone {time.tzname[0]}; every stored time is UTC")
