"""Archive files onto the disk: to `.part`, compared with the published checksum, synced, renamed; several at once.

A download that was cut goes on where it ended, if the server offers ranges. What was fetched is written down in
`.loaders/fetched.jsonl` below the data folder (a line for each file, the last one counts), so that a file whose size,
tag or time changed in the archive is fetched again. A published checksum that stays wrong after one more try puts the
file aside, in `.loaders/aside/`, where no load looks; it is tried again only when the archive's file changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import threading
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

from filelock import FileLock, Timeout

from loaders.errors import FetchBusy
from loaders.progress import Transfer
from loaders.sources.http import CanPass, Client, NotServed
from loaders.sources.listing import CHECKSUM, RemoteFile
from loaders.sources.transport import Ended, Response, Take, Transfers

Outcome = Literal["fetched", "unverified", "missing", "aside"]

_CHUNK = 1 << 20
# What may wait for those who hash and write: so many chunks of a file, so many files for each connection.
_CHUNKS_WAITING = 4
_FILES_WAITING = 2
_LOOK_SECONDS = 0.1
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
    """What was fetched before, by key; safe for several threads. A line that was cut by a crash is no line.

    The file stays open from the first line that is added until `close`.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / _FOLDER / "fetched.jsonl"
        self._lock = threading.Lock()
        self._lines: FileIO | None = None
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
            lines = self._lines = self._lines or self._opened()
            lines.write((json.dumps(record) + "\n").encode())
            self._known[file.key] = record

    def close(self) -> None:
        """Nothing is written any more."""
        with self._lock:
            if self._lines is not None:
                self._lines.close()
                self._lines = None

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> FileIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A line that a crash left open must not swallow the next one.
        broken = self._path.exists() and not _ends_line(self._path)
        # Not held back: what is renamed is written down.
        lines = self._path.open("ab", buffering=0)
        if broken:
            lines.write(b"\n")
        return lines


def _revision(file: RemoteFile) -> dict[str, Any]:
    return {"size": file.size, "etag": file.etag, "modified": file.modified.isoformat()}


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")


@contextlib.contextmanager
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
        jobs = [_Job.of(file, self.root) for file in files]
        earlier = _earlier_parts([job.part for job in jobs])
        pool = ThreadPoolExecutor(self.connections, "fetch")
        with self.client.together() as transfers:
            files_under_way = _Round(self, transfers, pool, jobs, earlier)
            try:
                files_under_way.run()
                return self.results
            except BaseException:
                # Others give up at their next request.
                self.client.close()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                files_under_way.close()

    def count(self, size: int) -> None:
        """So many bytes have come; fewer than none if they must come again."""
        self.transfer.advance(0, size)

    def finish(self, job: _Job) -> bool:
        """Asks for what the job lacks, compares, syncs, renames. False if the checksum was wrong the first time."""
        fetched = self._finished(job)
        if fetched is None:
            return False
        self.results.append(fetched)
        self.transfer.advance(1, 0)
        if fetched.outcome in ("missing", "aside"):
            self.transfer.say(f"{fetched.file.key}: {fetched.message}")
        return True

    def _finished(self, job: _Job) -> Fetched | None:
        file, target = job.file, job.target
        try:
            sha256 = self._transfer(job)
        except NotServed as answer:
            job.part.unlink(missing_ok=True)
            return Fetched(file, target, "missing", f"is listed and {answer}")
        except _ChecksumWrong as error:
            if not job.again:
                job.part.unlink(missing_ok=True)
                return None
            aside = self.root / _FOLDER / "aside" / file.key
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(job.part, aside)
            self.records.add(file, "aside", None)
            message = f"{error}, twice: put aside as {aside}, and left alone until the archive's file changes"
            return Fetched(file, target, "aside", message)
        # A checksum of an older revision beside it would make the load refuse this one.
        target.with_name(target.name + CHECKSUM).unlink(missing_ok=True)
        job.part.replace(target)
        outcome: Outcome = "fetched" if file.checksum else "unverified"
        self.records.add(file, outcome, sha256)
        return Fetched(file, target, outcome)

    def _transfer(self, job: _Job) -> str:
        """Brings the file to its part, whole and synced; returns its sha256. Raises `_ChecksumWrong`."""
        file = job.file
        wanted = self.client.get(f"/{file.key}{CHECKSUM}", _checksum, first=job.checksum) if file.checksum else None
        with job.body or _Body(job.part, file.etag, self.count) as body:
            body.flush()
            if job.content is not None or body.size != file.size or not body.size:
                if job.content is None and body.size > file.size:
                    body.begin()
                try:
                    self.client.get(
                        f"/{file.key}",
                        lambda response: None,
                        headers=body.headers,
                        into=body.append,
                        first=job.content,
                    )
                finally:
                    body.flush()
            sha256 = body.digest.hexdigest()
            if wanted is not None and wanted != sha256:
                raise _ChecksumWrong(f"its sha256 is {sha256[:12]}..., the published checksum says {wanted[:12]}...")
            _look_inside(body.content(), body.size, file, verified=wanted is not None)
            body.sync()
        return sha256


@dataclass(slots=True, eq=False)
class _Job:
    """A file on its way: how the first attempts at its checksum and its content ended, as far as they were made.

    `again`: its checksum was wrong once.
    """

    file: RemoteFile
    target: Path
    part: Path
    checksum: Ended | None = None
    content: Ended | None = None
    body: _Body | None = None
    again: bool = False

    @classmethod
    def of(cls, file: RemoteFile, root: Path) -> _Job:
        """A file that nobody has asked for yet."""
        target = root / file.key
        # The tag in the name keeps parts of two revisions apart.
        tag = re.sub(r"[^0-9A-Za-z]", "", file.etag)[:16] or "part"
        return cls(file, target, target.with_name(f"{target.name}.{tag}.part"))


def _earlier_parts(wanted: Sequence[Path]) -> set[Path]:
    """Which of the parts an earlier fetch has left. Makes their folders, and removes parts of other revisions."""
    found = {part for folder in {part.parent for part in wanted} for part in _parts_in(folder)}
    for part in found.difference(wanted):
        part.unlink(missing_ok=True)
    return found.intersection(wanted)


def _parts_in(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.glob("*.zip.*.part")


class _Round:
    """All files of one fetch: one thread asks for them, others hash, look inside, write and sync.

    What does not go as usual, from a part of an earlier fetch to a server that wants to be left alone, is left to a
    thread that asks for itself and may wait (`Downloader.finish`). Both together have as many requests under way as
    there are connections.
    """

    def __init__(
        self,
        downloader: Downloader,
        transfers: Transfers,
        pool: ThreadPoolExecutor,
        jobs: Sequence[_Job],
        earlier: set[Path],
    ) -> None:
        self._downloader = downloader
        self._client = downloader.client
        self._transfers = transfers
        self._pool = pool
        self._left = deque(jobs)
        self._earlier = earlier
        self._asked = 0
        # Whether a job asks for itself, by what becomes of it.
        self._given: dict[Future[bool], tuple[_Job, bool]] = {}
        self._asking_themselves = 0
        self._under_way: set[_Job] = set()

    def run(self) -> None:
        """Raises what ends everything."""
        while self._left or self._asked or self._given:
            while self._left and self._has_room():
                self._begin(self._left.popleft())
            if self._asked:
                self._transfers.work(_LOOK_SECONDS)
            elif self._given:
                wait(self._given, return_when=FIRST_COMPLETED)
            for future in [one for one in self._given if one.done()]:
                self._take_back(future)

    def close(self) -> None:
        """Writes what has come of files that are not whole, so that the next fetch goes on there."""
        for job in self._under_way:
            if job.body is not None:
                with job.body, contextlib.suppress(OSError):
                    job.body.flush()

    def _has_room(self) -> bool:
        connections = self._downloader.connections
        busy = self._asked + self._asking_themselves
        # What was asked for must not pile up before those who write it.
        return busy < connections and len(self._given) < connections * _FILES_WAITING

    def _begin(self, job: _Job) -> None:
        self._under_way.add(job)
        if job.again or not self._client.is_free or job.part in self._earlier:
            self._give(job, asks=True)
        elif job.file.checksum:
            self._ask_checksum(job)
        else:
            self._ask_content(job)

    def _ask_checksum(self, job: _Job) -> None:
        def ended(outcome: Ended) -> None:
            self._asked -= 1
            job.checksum = outcome
            if isinstance(outcome, Exception) or not self._client.is_free:
                self._give(job, asks=True)
            else:
                self._ask_content(job)

        self._asked += 1
        self._client.start(self._transfers, f"/{job.file.key}{CHECKSUM}", ended)

    def _ask_content(self, job: _Job) -> None:
        def ended(outcome: Ended) -> None:
            self._asked -= 1
            job.content = outcome
            self._give(job, asks=isinstance(outcome, Exception))

        job.body = _Body(job.part, job.file.etag, self._downloader.count, self._pool)
        self._asked += 1
        self._client.start(self._transfers, f"/{job.file.key}", ended, job.body.append)

    def _give(self, job: _Job, *, asks: bool) -> None:
        self._asking_themselves += asks
        self._given[self._pool.submit(self._downloader.finish, job)] = job, asks

    def _take_back(self, future: Future[bool]) -> None:
        job, asked = self._given.pop(future)
        self._asking_themselves -= asked
        self._under_way.remove(job)
        if not future.result():
            # File and checksum are published one after the other: both are read once more.
            self._left.appendleft(_Job(job.file, job.target, job.part, again=True))


class _Body:
    """A file's bytes as they come, behind those that came before. `digest` is the sha256 of all of them.

    With a `pool`, its threads hash and write while more comes; `append` waits where they cannot follow. `flush` ends
    that: from then on the calling thread does everything itself.
    """

    def __init__(
        self, path: Path, etag: str, count: Callable[[int], None], pool: ThreadPoolExecutor | None = None
    ) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._path = path
        self._etag = etag
        self._count = count
        self._pool = pool
        self._descriptor: int | None = None
        # Pieces as they come, and joined ones that wait to be hashed and written.
        self._held: list[bytes] = []
        self._held_size = 0
        self._chunks: deque[bytes] = deque()
        self._room = threading.Semaphore(_CHUNKS_WAITING)
        self._writing = threading.Lock()
        self._error: OSError | None = None
        # All that has come, where it came as one chunk.
        self._whole: bytes | None = None
        if pool is None and path.exists():
            with path.open("rb") as earlier:
                while chunk := earlier.read(_CHUNK):
                    self.digest.update(chunk)
                    self.size += len(chunk)
            count(self.size)
        self._written = self.size

    def __enter__(self) -> _Body:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def begin(self) -> None:
        """Starts from the first byte."""
        self.flush()
        self._count(-self.size)
        os.ftruncate(self._opened(), 0)
        self.digest, self.size, self._written, self._whole = hashlib.sha256(), 0, 0, None

    def headers(self) -> dict[str, str]:
        """Asks for what is missing of this revision, or for another one whole."""
        return {"Range": f"bytes={self.size}-", "If-Range": f'"{self._etag}"'} if self.size else {}

    def append(self, response: Response) -> Take:
        """Takes an answer as it comes."""
        if response.status_code != 206 and self.size:
            self.begin()
        return self._append

    def flush(self) -> None:
        """Hashes and writes what is still held. Raises OSError, also what a thread of the pool ran into."""
        self._pool = None
        self._join()
        self._write_chunks()
        if self._error is not None:
            raise self._error

    def content(self) -> BinaryIO:
        """All of the bytes, to be read."""
        return self._path.open("rb") if self._whole is None else io.BytesIO(self._whole)

    def sync(self) -> None:
        """Returns when the disk has all of it."""
        os.fsync(self._opened())

    def _opened(self) -> int:
        if self._descriptor is None:
            # Not as a file of Python's: each of its calls lets another thread have the interpreter, and it makes six
            # to open one.
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        return self._descriptor

    def _append(self, piece: bytes) -> None:
        if self._error is not None:
            raise self._error
        self.size += len(piece)
        self._held.append(piece)
        self._held_size += len(piece)
        # Each write, and each hash, lets another thread have the interpreter: not for pieces of 16 kB.
        if self._held_size >= _CHUNK:
            if self._pool is None:
                self._join()
                self._write_chunks()
            else:
                self._room.acquire()
                self._join()
                self._pool.submit(self._write_chunks)

    def _join(self) -> None:
        if self._held:
            self._chunks.append(b"".join(self._held))
            self._held.clear()
            self._held_size = 0

    def _write_chunks(self) -> None:
        """Hashes and writes what waits, in order, whichever thread comes."""
        with self._writing:
            while self._chunks:
                self._write(self._chunks.popleft())
                self._room.release()

    def _write(self, chunk: bytes) -> None:
        if self._error is None:
            try:
                self._whole = None if self._written else chunk
                left = memoryview(chunk)
                while left:
                    left = left[os.write(self._opened(), left) :]
                self._written += len(chunk)
            except OSError as error:
                # Whoever appends or flushes next is told.
                self._error = error
            self.digest.update(chunk)
            self._count(len(chunk))


def _checksum(response: Response) -> str:
    words = response.read().decode("ascii", "replace").split()
    if not words or re.fullmatch(r"[0-9a-fA-F]{64}", words[0]) is None:
        raise CanPass("the published checksum is none")
    return words[0].lower()


def _look_inside(content: BinaryIO, size: int, file: RemoteFile, *, verified: bool) -> None:
    """Holds the zip against its own directory and sums. Raises `_ChecksumWrong`."""
    try:
        with content, zipfile.ZipFile(content) as archive:
            names = archive.namelist()
            if not verified or size <= _UNPACKED_AT_ONCE:
                damaged = archive.testzip()
                if damaged is not None:
                    raise _ChecksumWrong(f"its member {damaged} does not have the sum that the zip says")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise _ChecksumWrong(f"is no whole zip ({error})") from None
    if names != [file.name.removesuffix(".zip") + ".csv"]:
        raise _ChecksumWrong(f"holds {', '.join(names[:3]) or 'nothing'}, not {file.name.removesuffix('.zip')}.csv")
