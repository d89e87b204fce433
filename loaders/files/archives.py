"""The bytes of a file: zip, gz and plain, hashed, held against their checksum, inflated within limits.

Nothing is extracted by name: the one member of an archive, or one of many, is streamed into a scratch file of ours and
counted on the way.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import lzma
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from loaders.errors import FileRejected

CHUNK = 1 << 20
_CHECKSUM_BYTES = 1 << 12


# What the libraries raise on damaged bytes; the last four come from headers that make no sense.
_DAMAGED = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may inflate to, in bytes and as a multiple of its size."""

    max_bytes: int
    max_ratio: int


#: What names of files end with, in any case. Of several files of one identity the archive's own form counts first.
EXTENSIONS = (".zip", ".csv.gz", ".csv")


def extension_of(name: str) -> str | None:
    """Which of `EXTENSIONS` a name ends with, None for other names."""
    return next((extension for extension in EXTENSIONS if name.lower().endswith(extension)), None)


def copy(path: Path, scratch: Path) -> Path:
    """A copy under a name of ours."""
    handle, name = tempfile.mkstemp(suffix=".csv", dir=scratch)
    os.close(handle)
    shutil.copyfile(path, name)
    return Path(name)


def file_hash(path: Path) -> str:
    """sha256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compare_checksum(path: Path, sha256: str) -> None:
    """Holds the hash against the `.CHECKSUM` that the archive publishes beside a file, where there is one."""
    beside = path.with_name(path.name + ".CHECKSUM")
    try:
        with beside.open("rb") as file:
            told = file.read(_CHECKSUM_BYTES).decode("ascii", "replace").split()
    except (FileNotFoundError, IsADirectoryError):
        return
    except OSError as error:
        # A name that is too long with the ending behind it cannot have one.
        if error.errno == errno.ENAMETOOLONG:
            return
        raise
    if not told or re.fullmatch(r"[0-9a-fA-F]{64}", told[0]) is None:
        raise FileRejected(f"{beside.name} beside it holds no sha256: download both again, or take that one away")
    if told[0].lower() != sha256:
        raise FileRejected(
            f"is not the file that {beside.name} beside it tells of (sha256 {sha256[:12]}..., not "
            f"{told[0][:12].lower()}...): download both again"
        )


def member_hash(path: Path, member: str) -> str:
    """sha256 of a member's content, in hex: that of the same file unpacked. Raises `FileRejected`."""
    digest = hashlib.sha256()
    with archive_errors(), open_member(path, member) as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def list_members(path: Path) -> list[tuple[str, int]]:
    """Names and packed sizes of the files in a zip of many. Raises `FileRejected`, OSError."""
    with archive_errors():
        members = [member for member in _bundle(path).infolist() if not member.is_dir()]
    return [(member.filename, member.compress_size) for member in members]


def inflate(
    path: Path,
    scratch: Path,
    limits: Limits,
    packed_size: int,
    take: Callable[[bytes], None],
    member: str | None = None,
) -> Path:
    """Writes one CSV of an archive into `scratch`, counting as it streams. Raises `FileRejected`."""
    allowed = min(limits.max_bytes, max(packed_size * limits.max_ratio, CHUNK))
    handle, name = tempfile.mkstemp(suffix=".csv", dir=scratch)
    written = 0
    try:
        with os.fdopen(handle, "wb") as target, archive_errors(), open_member(path, member) as source:
            while chunk := source.read(CHUNK):
                written += len(chunk)
                if written > allowed:
                    raise FileRejected(
                        f"inflates to more than {allowed} bytes ({packed_size} packed): no prices shrink like that"
                    )
                target.write(chunk)
                take(chunk)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if written == 0:
        Path(name).unlink(missing_ok=True)
        raise FileRejected("the archive holds an empty file: download it again")
    return Path(name)


@contextmanager
def archive_errors() -> Iterator[None]:
    """What zip and gzip say about a damaged archive, as `FileRejected`."""
    try:
        yield
    except _DAMAGED as error:
        raise FileRejected(f"the archive is damaged or cut off ({error}): download it again") from error


@lru_cache(maxsize=2)
def _opened_bundle(path: Path, size: int, modified_ns: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _bundle(path: Path) -> zipfile.ZipFile:
    """A zip of thousands of members, kept open: reading its directory for each of them would take longer than they."""
    status = path.stat()
    return _opened_bundle(path, status.st_size, status.st_mtime_ns)


@contextmanager
def open_member(path: Path, member: str | None = None) -> Iterator[BinaryIO]:
    """The content of a packed file, or of the named member of a zip of many."""
    if member is not None:
        archive = _bundle(path)
        info = archive.getinfo(member)
        if info.flag_bits & 0x1:
            raise FileRejected("the archive is encrypted: unpack it and load the files")
        with archive.open(info) as stream:
            yield stream  # type: ignore[misc]
        return
    if extension_of(path.name) == ".csv.gz":
        with gzip.open(path) as stream:
            yield stream  # type: ignore[misc]
        return
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise FileRejected(f"the archive holds {len(members)} files, not one: unzip it and load the files")
        only = members[0]
        name = PurePosixPath(only.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise FileRejected(f"the archive's file climbs out of its folder ({only.filename!r}): do not trust it")
        if name.name.lower() != path.name[: -len(".zip")].lower() + ".csv":
            raise FileRejected(f"the archive holds {name.name!r}, not what its name says: download it again")
        if only.flag_bits & 0x1:
            raise FileRejected("the archive is encrypted: unpack it and load the file")
        with archive.open(only) as stream:
            yield stream  # type: ignore[misc]
