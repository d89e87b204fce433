"""How far a load or a download has come: a bar on a terminal, plain lines elsewhere. Everything here goes to stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol


class Reporter(Protocol):
    """What a load tells while it runs."""

    def begin(self, files: int) -> None:
        """So many files are to be landed."""

    def advance(self, files: int, rows: int) -> None:
        """So many more files and rows are done."""

    def step(self, line: str) -> None:
        """What is done at this moment; the next step takes its place, an empty one ends it."""

    def say(self, line: str) -> None:
        """Something the user should read."""

    def __enter__(self) -> Reporter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Transfer(Protocol):
    """What a download tells while it runs, from several threads."""

    def begin(self, files: int, size: int) -> None:
        """So many files and bytes are to come."""

    def advance(self, files: int, size: int) -> None:
        """So many more files and bytes are there; bytes that come a second time are taken back first."""

    def say(self, line: str) -> None:
        """Something the user should read."""

    def __enter__(self) -> Transfer: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TransferLines:
    """Plain lines, at most one every few seconds."""

    def __init__(self, every_seconds: float = 5) -> None:
        self._every = every_seconds
        self._files = self._size = self._done = self._come = 0
        self._started = self._told = time.monotonic()

    def begin(self, files: int, size: int) -> None:
        """See `Transfer`."""
        self._files, self._size = files, size
        self._started = self._told = time.monotonic()

    def advance(self, files: int, size: int) -> None:
        """See `Transfer`."""
        self._done += files
        self._come += size
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            rate = self._come / (now - self._started)
            left = max(self._size - self._come, 0) / rate if rate > 0 else 0
            self.say(
                f"{self._done}/{self._files} files, {self._come:,} of {self._size:,} bytes, "
                f"{rate / 1e6:,.1f} MB/s, {left:.0f} s left"
            )

    def say(self, line: str) -> None:
        """See `Transfer`."""
        print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> TransferLines:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Lines:
    """Plain lines, at most one every few seconds: readable in cron's mail and in a CI log."""

    def __init__(self, every_seconds: float = 5) -> None:
        self._every = every_seconds
        self._files = self._done = self._rows = 0
        self._started = self._told = time.monotonic()

    def begin(self, files: int) -> None:
        """See `Reporter`."""
        self._files = files
        self._started = self._told = time.monotonic()

    def advance(self, files: int, rows: int) -> None:
        """See `Reporter`."""
        self._done += files
        self._rows += rows
        if time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            seconds = self._told - self._started
            left = seconds / max(self._done, 1) * (self._files - self._done)
            self.say(
                f"{self._done}/{self._files} files, {self._rows:,} rows, "
                f"{self._rows / seconds:,.0f} rows/s, {left:.0f} s left"
            )

    def step(self, line: str) -> None:
        """See `Reporter`."""
        if line and time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            self.say(line)

    def say(self, line: str) -> None:
        """See `Reporter`."""
        print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def transfer() -> Transfer:
    """The same choice as `reporter`, for downloads."""
    if not sys.stderr.isatty():
        return TransferLines()
    from loaders.bars import TransferBar

    return TransferBar()


def reporter() -> Reporter:
    """A bar where somebody looks, lines where nobody does."""
    if not sys.stderr.isatty():
        return Lines()
    from loaders.bars import Bar

    return Bar()
