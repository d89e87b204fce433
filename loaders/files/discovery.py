"""Walks data folders and says what lies there: files with an identity, and what was refused on sight.

Nothing is opened here; a file costs one `stat`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loaders.datasets import LAYOUTS, FileLayout, Identity, Market, NameRefused, identify
from loaders.selection import Selection

_EXTENSIONS = (".csv", ".zip", ".csv.gz")
# Of several files of one identity the archive's own form counts first.
_RANK = {".zip": 0, ".csv.gz": 1, ".csv": 2}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that could be landed, as the disk showed it."""

    path: Path
    layout: FileLayout
    identity: Identity
    size_bytes: int
    modified_ns: int
    rank: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A name that cannot be landed, with the reason and what to do."""

    path: Path
    reason: str


@dataclass(slots=True)
class Found:
    """Result of a walk. `shadowed` are files behind another one of the same identity: (file, the one that counts)."""

    candidates: list[Candidate] = field(default_factory=list)
    shadowed: list[tuple[Candidate, Candidate]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unrecognised: list[Path] = field(default_factory=list)


def discover(folders: Sequence[Path], market: Market = "um", selection: Selection | None = None) -> Found:
    """Files under `folders`, in the order in which they are to be landed: by exchange, dataset, symbol and period."""
    selection = selection or Selection()
    found = Found()
    roots = [folder.resolve() for folder in folders]
    best: dict[Identity, tuple[tuple[int, int, str], Candidate]] = {}
    walked: set[tuple[int, int]] = set()
    for number, root in enumerate(roots):
        for entry in _walk(root, roots, walked, found):
            candidate = _look(entry, market, selection, found)
            if candidate is None:
                continue
            place = (candidate.rank, number, str(candidate.path))
            other = best.get(candidate.identity)
            if other is None:
                best[candidate.identity] = (place, candidate)
            elif place < other[0]:
                found.shadowed.append((other[1], candidate))
                best[candidate.identity] = (place, candidate)
            else:
                found.shadowed.append((candidate, other[1]))
    found.candidates = sorted((candidate for _, candidate in best.values()), key=_order)
    return found


def _order(candidate: Candidate) -> tuple[str, ...]:
    identity = candidate.identity
    return (
        identity.exchange,
        identity.dataset,
        identity.market or "",
        identity.kline_type or "",
        identity.symbol or "",
        identity.interval or "",
        identity.period_start.isoformat() if identity.period_start else "",
        str(candidate.path),
    )


def _walk(
    folder: Path, roots: Sequence[Path], walked: set[tuple[int, int]], found: Found
) -> Iterator[os.DirEntry[str]]:
    """Entries that are files. Follows links to folders once (loops end), links out of the data folders never."""
    try:
        here = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.refused.append(Refused(folder, f"the folder cannot be read ({error.strerror}): check its permissions"))
        return
    if (here.st_dev, here.st_ino) in walked:
        return
    walked.add((here.st_dev, here.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not _inside(Path(entry.path), roots):
            found.refused.append(
                Refused(Path(entry.path), "the link leads out of the data folders: name its target with --data-dir")
            )
        elif entry.is_dir():
            if entry.name.endswith(_EXTENSIONS):
                found.refused.append(Refused(Path(entry.path), "is a folder, not a file: rename it, or take it away"))
            else:
                yield from _walk(Path(entry.path), roots, walked, found)
        else:
            yield entry


def _inside(path: Path, roots: Sequence[Path]) -> bool:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return any(target.is_relative_to(root) for root in roots)


def _look(entry: os.DirEntry[str], market: Market, selection: Selection, found: Found) -> Candidate | None:
    if not entry.name.endswith(_EXTENSIONS):
        return None
    path = Path(entry.path)
    try:
        recognised = identify(entry.name, path.parent.parts, market)
    except NameRefused as refusal:
        found.refused.append(Refused(path, str(refusal)))
        return None
    if recognised is None:
        found.unrecognised.append(path)
        return None
    layout, identity = recognised
    if not selection.takes(identity):
        return None
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        found.refused.append(Refused(path, "is no regular file: take it away"))
        return None
    rank = _RANK[".csv.gz" if entry.name.endswith(".csv.gz") else path.suffix]
    return Candidate(path, LAYOUTS[layout], identity, status.st_size, status.st_mtime_ns, rank)
