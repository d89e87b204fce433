"""Archive files onto the disk: to `.part`, compared with the published checksum, synced, renamed; several at once.

A download that was cut goes on where it ended, if the server offers ranges. What was fetched is written down in
`.loaders/fetched.jsonl` below the data folder (a line for each file, the last one counts), so that a file whose size,
tag or time changed in the archive is fetched again. A published checksum that stays wrong after one more try puts the
file aside, in `.loaders/aside/`, where no load looks; it is tried again only when the archive's file changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from filelock import FileLock, Timeout

from loaders.errors import FetchBusy
from loaders.progress import Transfer
from loaders.sources.http import CanPass, Client, NotServed
from loaders.sources.listing import CHECKSUM, RemoteFile
from loaders.sources.transport import Response, Take

Outcome = Literal["fetched", "unverified", "missing", "aside"]

_CHUNK = 1 << 20
_HELD = 32
# A zip whose sha256 is the published one is what the archive packed; whether it unpacks is asked here for those where
# that costs nothing, and by the load for all.
_UNPACKED_AT_ONCE = 16 << 20
_FOLDER = ".loaders"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one file. `unverified`: no checksum is published; `missing`: the archive has none after all."""

    file: RemoteFile
    path: Path
    outcome: Outcome
    message: str = ""


class _ChecksumWrong(Exception):
    """The file is not what its checksum tells of."""


class Records:
    """What was fetched before, by key; safe for several threads. A line that was cut by a crash is no line."""

    def __init__(self, root: Path) -> None:
        self._path = root / _FOLDER / "fetched.jsonl"
        self._lock = threading.Lock()
        # Whether the last line is known to have its end.
        self._whole = False
        self._known: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    record = json.loads(line)
                    self._known[record["key"]] = record
                except (ValueError, KeyError, TypeError):
                    continue

    def get(self, file: RemoteFile) -> dict[str, Any] | None:
        """The record of a file, whatever revision it is about."""
        return self._known.get(file.key)

    def is_current(self, file: RemoteFile) -> bool:
        """Whether the record is about this very revision."""
        record = self.get(file)
        return record is not None and _revision(file).items() <= record.items()

    def add(self, file: RemoteFile, outcome: str, sha256: str | None) -> None:
        """Writes a line. Written behind the rename: a crash between the two costs a look at the file's size."""
        record = {"key": file.key, **_revision(file), "outcome": outcome, "sha256": sha256}
        with self._lock:
            if not self._whole:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            # A line that a crash left open must not swallow this one.
            broken = not self._whole and self._path.exists() and not _ends_line(self._path)
            with self._path.open("ab") as lines:
                lines.write((("\n" if broken else "") + json.dumps(record) + "\n").encode())
            self._whole = True
            self._known[file.key] = record


def _revision(file: RemoteFile) -> dict[str, Any]:
    return {"size": file.size, "etag": file.etag, "modified": file.modified.isoformat()}


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")


@contextmanager
def fetch_lock(root: Path) -> Iterator[None]:
    """One process at a time downloads into a folder. Raises `FetchBusy`."""
    place = root / _FOLDER
    place.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(place / "fetch.lock").acquire(timeout=0):
            yield
    except Timeout:
        raise FetchBusy(root) from None


def is_stale(root: Path, records: Records, file: RemoteFile) -> bool:
    """Whether the file below `root` is another revision than the archive's. A file nobody recorded is told by size."""
    path = root / file.key
    if not path.exists():
        return False
    if records.get(file) is None:
        if path.stat().st_size != file.size:
            return True
        records.add(file, "found", None)
        return False
    return not records.is_current(file)


def is_aside(records: Records, file: RemoteFile) -> bool:
    """Whether this revision was put aside before."""
    record = records.get(file)
    return record is not None and record.get("outcome") == "aside" and records.is_current(file)


@dataclass(slots=True)
class Downloader:
    """Fetches files below `root`, in the archive's own layout."""

    client: Client
    root: Path
    connections: int
    records: Records
    transfer: Transfer
    results: list[Fetched] = field(default_factory=list)

    def fetch(self, files: Sequence[RemoteFile]) -> list[Fetched]:
        """Fetches all of them, several at once. Ends at the first error that concerns all; what is there stays.

        Raises `SourceError`, OSError (a full disk).
        """
        self.transfer.begin(len(files), sum(file.size for file in files))
        self._drop_other_parts(files)
        left = iter(files)
        pool = ThreadPoolExecutor(self.connections, "fetch")
        try:
            for ended in as_completed([pool.submit(self._fetch_all, left) for _ in range(self.connections)]):
                ended.result()
            return self.results
        except BaseException:
            # Others give up at their next request.
            self.client.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fetch_all(self, left: Iterator[RemoteFile]) -> None:
        """Fetches what others leave of the files."""
        for file in left:
            fetched = self._fetch(file)
            self.results.append(fetched)
            self.transfer.advance(1, 0)
            if fetched.outcome in ("missing", "aside"):
                self.transfer.say(f"{file.key}: {fetched.message}")

    def _part(self, file: RemoteFile) -> Path:
        # The tag in the name keeps parts of two revisions apart.
        tag = re.sub(r"[^0-9A-Za-z]", "", file.etag)[:16] or "part"
        return self.root / f"{file.key}.{tag}.part"

    def _drop_other_parts(self, files: Sequence[RemoteFile]) -> None:
        """Makes the folders, and removes what earlier fetches left of revisions that are no longer there."""
        wanted = {self._part(file) for file in files}
        for folder in {part.parent for part in wanted}:
            folder.mkdir(parents=True, exist_ok=True)
            for part in folder.glob("*.zip.*.part"):
                if part not in wanted:
                    part.unlink(missing_ok=True)

    def _fetch(self, file: RemoteFile) -> Fetched:
        target, part = self.root / file.key, self._part(file)
        try:
            try:
                sha256 = self._transfer(file, part)
            except _ChecksumWrong:
                # File and checksum are published one after the other: both are read once more.
                part.unlink(missing_ok=True)
                sha256 = self._transfer(file, part)
        except NotServed as answer:
            part.unlink(missing_ok=True)
            return Fetched(file, target, "missing", f"is listed and {answer}")
        except _ChecksumWrong as error:
            aside = self.root / _FOLDER / "aside" / file.key
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(part, aside)
            self.records.add(file, "aside", None)
            message = f"{error}, twice: put aside as {aside}, and left alone until the archive's file changes"
            return Fetched(file, target, "aside", message)
        # A checksum of an older revision beside it would make the load refuse this one.
        target.with_name(target.name + CHECKSUM).unlink(missing_ok=True)
        part.replace(target)
        outcome: Outcome = "fetched" if file.checksum else "unverified"
        self.records.add(file, outcome, sha256)
        return Fetched(file, target, outcome)

    def _transfer(self, file: RemoteFile, part: Path) -> str:
        """Brings the file to `part`, whole and synced; returns its sha256. Raises `_ChecksumWrong`."""
        wanted = self.client.get(f"/{file.key}{CHECKSUM}", _checksum) if file.checksum else None
        with part.open("a+b") as opened:
            body = _Body(opened, file.etag, self._count)
            if body.size != file.size or not body.size:
                if body.size > file.size:
                    body.begin()
                try:
                    self.client.get(f"/{file.key}", lambda response: None, headers=body.headers, into=body.append)
                finally:
                    body.flush()
            sha256 = body.digest.hexdigest()
            if wanted is not None and wanted != sha256:
                raise _ChecksumWrong(f"its sha256 is {sha256[:12]}..., the published checksum says {wanted[:12]}...")
            _look_inside(opened, file, verified=wanted is not None)
            os.fsync(opened.fileno())
        return sha256

    def _count(self, size: int) -> None:
        self.transfer.advance(0, size)


class _Body:
    """A file's bytes as they come, behind those that came before. `digest` is the sha256 of all of them."""

    def __init__(self, target: BinaryIO, etag: str, count: Callable[[int], None]) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._target = target
        self._etag = etag
        self._count = count
        self._held: list[bytes] = []
        target.seek(0)
        while chunk := target.read(_CHUNK):
            self.digest.update(chunk)
            self.size += len(chunk)
        count(self.size)

    def begin(self) -> None:
        """Starts from the first byte."""
        self.flush()
        self._count(-self.size)
        self._target.truncate(0)
        self.digest, self.size = hashlib.sha256(), 0

    def headers(self) -> dict[str, str]:
        """Asks for what is missing of this revision, or for another one whole."""
        return {"Range": f"bytes={self.size}-", "If-Range": f'"{self._etag}"'} if self.size else {}

    def append(self, response: Response) -> Take:
        """Takes an answer as it comes."""
        if response.status_code != 206 and self.size:
            self.begin()
        return self._append

    def flush(self) -> None:
        """Writes what is still held."""
        chunk = b"".join(self._held)
        self._held.clear()
        self._target.write(chunk)
        self._target.flush()
        self.digest.update(chunk)
        self._count(len(chunk))

    def _append(self, piece: bytes) -> None:
        self.size += len(piece)
        self._held.append(piece)
        # Each write, and each hash, lets another thread have the interpreter: not for pieces of 16 kB.
        if len(self._held) == _HELD:
            self.flush()


def _checksum(response: Response) -> str:
    words = response.read().decode("ascii", "replace").split()
    if not words or re.fullmatch(r"[0-9a-fA-F]{64}", words[0]) is None:
        raise CanPass("the published checksum is none")
    return words[0].lower()


def _look_inside(part: BinaryIO, file: RemoteFile, *, verified: bool) -> None:
    """Holds the zip against its own directory and sums. Raises `_ChecksumWrong`."""
    try:
        with zipfile.ZipFile(part) as archive:
            names = archive.namelist()
            if not verified or os.fstat(part.fileno()).st_size <= _UNPACKED_AT_ONCE:
                damaged = archive.testzip()
                if damaged is not None:
                    raise _ChecksumWrong(f"its member {damaged} does not have the sum that the zip says")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise _ChecksumWrong(f"is no whole zip ({error})") from None
    if names != [file.name.removesuffix(".zip") + ".csv"]:
        raise _ChecksumWrong(f"holds {', '.join(names[:3]) or 'nothing'}, not {file.name.removesuffix('.zip')}.csv")
