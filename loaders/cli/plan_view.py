"""What a load would do with each file, shown by series, with totals and paths as seen from the data folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from loaders import warehouse
from loaders.files.discovery import Found
from loaders.ingest import load as loading
from loaders.ingest.load import Request, Survey
from loaders.ingest.plan import Action, FilePlan, to_do
from loaders.rendering import counted, few, near, size
from loaders.selection import not_found_lines

# Of a series, as many files are named; the rest is counted. All of them are in the JSON document.
_NAMED = 6


@dataclass(frozen=True, slots=True)
class Planned:
    """What lies in the folders, and what would be done with each file."""

    request: Request
    found: Found
    steps: Sequence[FilePlan]

    @property
    def work(self) -> list[FilePlan]:
        """Steps that are not skips."""
        return to_do(self.steps)

    @property
    def not_found(self) -> dict[str, list[str]]:
        """Symbols that no file has, with those that may have been meant."""
        return loading.not_found(self.request, self.found)

    @property
    def exit_status(self) -> int:
        """1 if a name was refused or a symbol was not found."""
        return 1 if self.found.refused or self.not_found else 0


def make(path: Path, request: Request, wait_seconds: float, before: Survey | None = None) -> Planned:
    """Looks, and changes nothing; at the folders only if `before`, what was found there, does not stand.

    Raises `WarehouseBusy`.
    """
    opened = warehouse.reader(path, wait_seconds=wait_seconds) if path.exists() else nullcontext(None)
    with opened as connection:
        surveyed = loading.survey(connection, request, before)
    return Planned(request, surveyed.found, list(loading.settle(surveyed.steps, surveyed.found)))


def to_dict(planned: Planned) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "dry_run": True,
        "steps": [
            {
                "path": step.candidate.location,
                "action": step.action.value,
                "reason": step.reason,
                "bytes": step.candidate.size_bytes,
            }
            for step in planned.steps
        ],
        "refused": [{"path": one.path, "reason": one.reason} for one in planned.found.refused],
        "unrecognised": planned.found.unrecognised,
        "not_found": planned.not_found,
        "files": len(planned.work),
        "bytes": _bytes(planned.work),
    }


def text(planned: Planned) -> str:
    """A line for each series, and below it the files that are not skipped."""
    lines = [f"in {near(folder)}" for folder in planned.request.folders]
    for series, steps in groupby(sorted(planned.steps, key=_order), key=_series):
        lines += _of_series(series, list(steps), planned.request.folders)
    lines += [f"refuse: {near(one.path)}\n    {one.reason}" for one in planned.found.refused]
    ignored = [f"ignore: {near(one)} (named like no dataset)" for one in planned.found.unrecognised]
    lines += few(ignored, _NAMED, "    ")
    lines += not_found_lines(planned.not_found, "file of the data folders")
    work = planned.work
    skipped = len(planned.steps) - len(work)
    lines.append(
        f"{counted(len(work), 'file')} to land ({size(_bytes(work))}), {skipped:,} to skip; nothing was changed"
    )
    return "\n".join(lines)


def _of_series(series: str, steps: Sequence[FilePlan], folders: Sequence[Path]) -> Iterator[str]:
    counts = []
    for action in Action:
        of_action = [step for step in steps if step.action is action]
        if of_action:
            counts.append(f"{len(of_action):,} to {action.value}")
    work = to_do(steps)
    yield f"{series}: {', '.join(counts)}" + (f" ({size(_bytes(work))})" if work else "")
    files = [
        f"    {step.action.value:8} {_within(step.candidate.location, folders)}"
        + (f" ({step.reason})" if step.action is not Action.LOAD else "")
        for step in work
    ]
    yield from few(files, _NAMED, "    ")


def _within(path: Path, folders: Sequence[Path]) -> str:
    """A path as seen from its data folder, or as it is: folders may be links."""
    for folder in folders:
        for spelled in (folder, folder.resolve()):
            if path.is_relative_to(spelled):
                return str(path.relative_to(spelled))
    return str(path)


def _series(step: FilePlan) -> str:
    identity = step.candidate.identity
    parts = (identity.exchange, identity.dataset, identity.market, identity.symbol, identity.interval)
    kind = identity.kline_type if identity.kline_type not in (None, "last") else None
    return " ".join(part for part in (*parts, kind, identity.provider) if part)


def _order(step: FilePlan) -> tuple[str, str]:
    return _series(step), str(step.candidate.location)


def _bytes(steps: Sequence[FilePlan]) -> int:
    return sum(step.candidate.size_bytes for step in steps)
