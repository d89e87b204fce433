"""How far a load has come: a bar on a terminal, plain lines elsewhere. Everything here goes to stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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


class Bar:
    """A bar with files, rows, rate and time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("landing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("landing", total=None, rows=0, rate=0.0)
        self._rows = 0
        self._started = time.monotonic()
        self._status = self._console.status("")

    def begin(self, files: int) -> None:
        """See `Reporter`."""
        self._started = time.monotonic()
        self._progress.update(self._task, total=files)

    def advance(self, files: int, rows: int) -> None:
        """See `Reporter`."""
        self._rows += rows
        rate = self._rows / max(time.monotonic() - self._started, 0.001)
        self._progress.update(self._task, advance=files, rows=self._rows, rate=rate)

    def step(self, line: str) -> None:
        """See `Reporter`."""
        if line:
            self._status.update(escape(line))
            self._status.start()
        else:
            self._status.stop()

    def say(self, line: str) -> None:
        """See `Reporter`."""
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def reporter() -> Reporter:
    """A bar where somebody looks, lines where nobody does."""
    return Bar() if sys.stderr.isatty() else Lines()
