"""Where exported tables lie: a folder, or an address of an object store that fsspec knows.

Nothing is written into a file that readers can see. A file is written aside and put in its place as a whole: by rename
in a folder, by one upload in an object store. What begins with a dot is ours, and no engine reads it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from filelock import FileLock, Timeout

from loaders.errors import ExtraMissing, PathRefused, PlaceUnwritable, ZoneBusy

#: Parts that are being written, one folder for each warehouse.
PARTS = ".parts"


class Zone(Protocol):
    """A place for files. Names are relative, with slashes."""

    address: str

    def read(self, name: str) -> bytes | None:
        """A small file's content; None where there is none."""

    def names(self, folder: str) -> list[str]:
        """Names of all files below a folder, sorted."""

    def replace(self, part: Path, name: str) -> None:
        """Puts a file that lies in `parts` in its place, as a whole."""

    def remove(self, name: str) -> None:
        """Takes a file away; none there is no error."""

    def parts(self, owner: str) -> AbstractContextManager[Path]:
        """A folder of this machine for files that are being written, emptied at both ends. Raises `ZoneBusy`."""

    def turn(self) -> AbstractContextManager[object]:
        """A short turn in which nobody else writes the zone's manifest, where the place knows turns."""


def open_zone(address: str) -> Zone:
    """The zone at a folder or an address such as `s3://bucket/zone`.

    Raises `PathRefused` for a folder that holds something else, and `ExtraMissing` without what an address needs.
    """
    if "://" in address and not address.startswith("file://"):
        return ObjectStore(address)
    return Folder(Path(address.removeprefix("file://")).expanduser().absolute())


class Folder:
    """A zone in a folder."""

    def __init__(self, root: Path) -> None:
        self.address = str(root)
        self._root = root
        try:
            present = {path.name for path in root.iterdir()} if root.exists() else set()
        except OSError as error:
            raise PlaceUnwritable(root, error) from error
        if present and PARTS not in present and "manifest.json" not in present:
            raise PathRefused(f"{root} holds something that is no export of ours: choose an empty folder (--to)")

    def read(self, name: str) -> bytes | None:
        """A small file's content; None where there is none."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Names of all files below a folder, sorted."""
        found = (self._root / folder).rglob("*")
        return sorted(path.relative_to(self._root).as_posix() for path in found if path.is_file())

    def replace(self, part: Path, name: str) -> None:
        """By rename, once the file is on the disk."""
        target = self._root / name
        with part.open("rb") as written:
            os.fsync(written.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)

    def remove(self, name: str) -> None:
        """Takes a file away, and the folders that this leaves empty."""
        target = self._root / name
        target.unlink(missing_ok=True)
        for folder in PurePosixPath(name).parents:
            if folder.name and not any((self._root / folder).iterdir()):
                (self._root / folder).rmdir()
            else:
                break

    @contextmanager
    def parts(self, owner: str) -> Iterator[Path]:
        """A folder beside the files, so that a rename moves nothing."""
        folder = self._root / PARTS / owner
        lock = FileLock(self._root / PARTS / f"{owner}.lock")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise ZoneBusy(self.address) from None
        except OSError as error:
            raise PlaceUnwritable(folder, error) from error
        try:
            # What a killed export left.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield folder
        except OSError as error:
            raise PlaceUnwritable(error.filename or folder, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()

    def turn(self) -> AbstractContextManager[object]:
        """A lock of the operating system."""
        return FileLock(self._root / PARTS / "manifest.lock", timeout=60)


class ObjectStore:
    """A zone at an address of fsspec: an upload is seen when it is whole, not before."""

    def __init__(self, address: str) -> None:
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(address)
        except ImportError as missing:
            raise ExtraMissing("object-store", str(missing)) from missing
        except ValueError as unknown:
            raise PathRefused(f"{address} cannot be exported to: {unknown}") from unknown
        self._root = str(root).rstrip("/")
        self.address = address

    def read(self, name: str) -> bytes | None:
        """A small file's content; None where there is none."""
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def names(self, folder: str) -> list[str]:
        """Names of all files below a folder, sorted, as the store has them now."""
        self._files.invalidate_cache()
        found: list[Any] = self._files.find(f"{self._root}/{folder}")
        return sorted(str(name).removeprefix(self._root).lstrip("/") for name in found)

    def replace(self, part: Path, name: str) -> None:
        """By one upload."""
        self._files.put_file(str(part), f"{self._root}/{name}")
        part.unlink()

    def remove(self, name: str) -> None:
        """Takes an object away; none there is no error."""
        if self._files.exists(f"{self._root}/{name}"):
            self._files.rm_file(f"{self._root}/{name}")

    def parts(self, owner: str) -> AbstractContextManager[Path]:
        """A temporary folder of this machine."""
        return _temporary_folder(owner)

    def turn(self) -> AbstractContextManager[object]:
        """A store knows no turns: whoever writes the manifest looks again afterwards."""
        return nullcontext()


@contextmanager
def _temporary_folder(owner: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"export-{owner}-") as folder:
        yield Path(folder)
