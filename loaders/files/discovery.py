"""Walks data folders and says what lies there: files with an identity, and what was refused on sight.

Nothing is opened here, a file costs one `stat`; only of zips of many files (Kraken's downloads) the directory is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from loaders.datasets import LAYOUTS, FileLayout, Identity, Market, NameRefused, identify
from loaders.datasets.names import is_bundle
from loaders.errors import FileRejected
from loaders.files.archives import EXTENSIONS, extension_of, list_members
from loaders.paths import is_text, printable
from loaders.selection import Selection

# Something of that name holds prices, in a form that is not read: another compression, a download that broke off.
_DATED = re.compile(r"[-_](?:[A-Za-z]+|\d+[a-z]+)[-_]\d{4}-\d\d")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz", ".parquet")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that could be landed, as the disk showed it.

    `member` is its name within the archive at `path`, if it is one of many there; its size is then the packed one.
    """

    path: Path
    layout: FileLayout
    identity: Identity
    size_bytes: int
    modified_ns: int
    rank: int
    member: str | None = None

    @property
    def is_packed(self) -> bool:
        """Whether it is to be inflated before it is read."""
        return self.rank < EXTENSIONS.index(".csv")

    @property
    def location(self) -> Path:
        """What the ledger and messages call it: the path, with the member's name behind it."""
        return self.path if self.member is None else self.path / self.member


@dataclass(frozen=True, slots=True)
class Refused:
    """A name that cannot be landed, with the reason and what to do.

    `named` says whether it is called like a file of a dataset, or may be: then the ledger keeps it. Everything else
    that lies in somebody's folders is only told.
    """

    path: Path
    reason: str
    named: bool = True


@dataclass(slots=True)
class Found:
    """Result of a walk. `shadowed` are files behind another one of the same identity: (file, the one that counts).

    `symbols` are those of all names that were recognised, whether they were asked for or not; `by_folder` counts these
    names for each data folder.
    """

    candidates: list[Candidate] = field(default_factory=list)
    shadowed: list[tuple[Candidate, Candidate]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unrecognised: list[Path] = field(default_factory=list)
    symbols: set[str] = field(default_factory=set)
    by_folder: dict[Path, int] = field(default_factory=dict)

    @property
    def empty_folders(self) -> list[Path]:
        """Data folders in which nothing is called like a file of a dataset: the disk may not be mounted."""
        refused = [one.path for one in self.refused]
        return [
            folder
            for folder, count in self.by_folder.items()
            if not count and not any(path.is_relative_to(folder) for path in refused)
        ]

    def count(self, identity: Identity, folder: Path) -> None:
        """Takes note of a recognised name."""
        self.by_folder[folder] += 1
        if identity.symbol is not None:
            self.symbols.add(identity.symbol)


def discover(folders: Sequence[Path], market: Market = "um", selection: Selection | None = None) -> Found:
    """Files under `folders`, in the order in which they are to be landed: by exchange, dataset, symbol and period."""
    selection = selection or Selection()
    found = Found()
    roots = [folder.resolve() for folder in folders]
    for folder in [root for root in roots if not is_text(root)]:
        found.refused.append(_not_text(folder))
        roots.remove(folder)
    best: dict[Identity, tuple[tuple[int, int, str], Candidate]] = {}
    walked: set[tuple[int, int]] = set()
    for number, root in enumerate(roots):
        found.by_folder[root] = 0
        for entry, folder in _walk(root, roots, walked, found):
            for candidate in _look(entry, folder, market, root, selection, found):
                place = (candidate.rank, number, str(candidate.location))
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
        str(candidate.location),
    )


def _walk(
    root: Path, roots: Sequence[Path], walked: set[tuple[int, int]], found: Found
) -> Iterator[tuple[os.DirEntry[str], Path]]:
    """Entries that are files, with their folders. Follows links to folders once (loops end), links out of the data
    folders never.
    """
    # Not by recursion: people's folders may be nested deeper than Python's calls can be.
    waiting: list[tuple[Path | os.DirEntry[str], Path]] = [(root, root)]
    while waiting:
        entry, folder = waiting.pop()
        if isinstance(entry, os.DirEntry):
            try:
                inner = _folder_of(entry, roots, found)
            except OSError as error:
                named = _is_named(Path(entry.path))
                found.refused.append(Refused(Path(entry.path), _unreadable(error), named))
                continue
            if inner is None:
                continue
            if inner is entry:
                yield entry, folder
                continue
            entry = Path(entry.path)
        try:
            here = entry.stat()
            if (here.st_dev, here.st_ino) in walked:
                continue
            walked.add((here.st_dev, here.st_ino))
            with os.scandir(entry) as listed:
                entries = sorted(listed, key=lambda one: one.name, reverse=True)
        except OSError as error:
            found.refused.append(Refused(entry, _unreadable(error, "the folder"), named=False))
            continue
        waiting += [(one, entry) for one in entries if not one.name.startswith(".")]


def _folder_of(entry: os.DirEntry[str], roots: Sequence[Path], found: Found) -> os.DirEntry[str] | Path | None:
    """The folder to walk, the entry itself if it is a file, None if it was refused or is of no interest."""
    # What most entries are.
    if is_text(entry.name) and not entry.is_symlink() and not entry.is_dir():
        return entry
    path = Path(entry.path)
    if not is_text(entry.name):
        if entry.is_dir() or extension_of(entry.name):
            found.refused.append(_not_text(path))
        return None
    if entry.is_symlink() and not _inside(path, roots):
        # Like any file: what is called like none of a dataset is of no interest. A folder may hold some.
        if _is_named(path) or os.path.isdir(path):  # noqa: PTH112 (of a loop of links, False)
            reason = "the link leads out of the data folders: name its target with --data-dir"
            found.refused.append(Refused(path, reason, _is_named(path)))
        elif extension_of(entry.name):
            found.unrecognised.append(path)
        return None
    if not entry.is_dir():
        # A link to a file.
        return entry
    if _is_named(path):
        found.refused.append(Refused(path, "is a folder, not a file: rename it, or take it away"))
        return None
    return path


def _is_named(path: Path) -> bool:
    """Whether a path is called like a file of a dataset, or was meant to be."""
    extension = extension_of(path.name)
    if extension is None:
        return False
    try:
        name = path.name[: -len(extension)] + extension
        return is_bundle(path.name) or identify(name, path.parent.parts) is not None
    except NameRefused:
        return True


def _not_text(path: Path) -> Refused:
    return Refused(Path(printable(path)), "its name is not UTF-8, so it cannot be written down: rename it")


def _unreadable(error: OSError, what: str = "the file") -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{what} has gone since the folder was listed: load again"
    return f"{what} cannot be read ({error.strerror}): check its permissions"


def _inside(path: Path, roots: Sequence[Path]) -> bool:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return any(target.is_relative_to(root) for root in roots)


def _look(
    entry: os.DirEntry[str], folder: Path, market: Market, root: Path, selection: Selection, found: Found
) -> Iterator[Candidate]:
    # The folder's path is not taken apart again for each of its files.
    path = folder / entry.name
    extension = extension_of(entry.name)
    if extension is None:
        name = entry.name.lower()
        if name.endswith(_PACKED) or (_DATED.search(entry.name) and not name.endswith(".checksum")):
            found.unrecognised.append(path)
        return
    if is_bundle(entry.name):
        yield from _members(path, market, root, selection, found)
        return
    try:
        recognised = identify(entry.name[: -len(extension)] + extension, folder.parts, market)
    except NameRefused as refusal:
        found.refused.append(Refused(path, str(refusal)))
        return
    if recognised is None:
        found.unrecognised.append(path)
        return
    layout, identity = recognised
    found.count(identity, root)
    if not selection.takes(identity):
        return
    try:
        status = entry.stat()
    except OSError as error:
        found.refused.append(Refused(path, _unreadable(error)))
        return
    if not stat.S_ISREG(status.st_mode):
        found.refused.append(Refused(path, "is no regular file: take it away"))
        return
    rank = EXTENSIONS.index(extension)
    yield Candidate(path, LAYOUTS[layout], identity, status.st_size, status.st_mtime_ns, rank)


def _members(path: Path, market: Market, root: Path, selection: Selection, found: Found) -> Iterator[Candidate]:
    """The files within a zip of many, by its directory. Only their names are looked at."""
    try:
        status = path.stat()
        members = list_members(path)
    except OSError as error:
        found.refused.append(Refused(path, _unreadable(error)))
        return
    except FileRejected as error:
        found.refused.append(Refused(path, str(error)))
        return
    for name, size in members:
        inside = PurePosixPath(name)
        if inside.suffix != ".csv":
            found.unrecognised.append(path / inside)
            continue
        try:
            recognised = identify(inside.name, (*path.parent.parts, path.stem, *inside.parent.parts), market)
        except NameRefused as refusal:
            found.refused.append(Refused(path / inside, str(refusal)))
            continue
        if recognised is None:
            found.unrecognised.append(path / inside)
            continue
        found.count(recognised[1], root)
        if selection.takes(recognised[1]):
            layout, identity = recognised
            yield Candidate(path, LAYOUTS[layout], identity, size, status.st_mtime_ns, EXTENSIONS.index(".zip"), name)
