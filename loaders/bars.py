"""Progress on a terminal, where somebody looks. Imported there only: what draws it takes long to import."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class TransferBar:
    """A bar with bytes, rate and time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("fetching {task.fields[done]:,} of {task.fields[files]:,} files"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("fetching", total=None, done=0, files=0)
        self._done = 0

    def begin(self, files: int, size: int) -> None:
        """See `progress.Transfer`."""
        self._progress.update(self._task, total=size, files=files)

    def advance(self, files: int, size: int) -> None:
        """See `progress.Transfer`."""
        self._done += files
        self._progress.update(self._task, advance=size, done=self._done)

    def say(self, line: str) -> None:
        """See `progress.Transfer`."""
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def __enter__(self) -> TransferBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


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
        """See `progress.Reporter`."""
        self._started = time.monotonic()
        self._progress.update(self._task, total=files)

    def advance(self, files: int, rows: int) -> None:
        """See `progress.Reporter`."""
        self._rows += rows
        rate = self._rows / max(time.monotonic() - self._started, 0.001)
        self._progress.update(self._task, advance=files, rows=self._rows, rate=rate)

    def step(self, line: str) -> None:
        """See `progress.Reporter`."""
        if line:
            self._status.update(escape(line))
            self._status.start()
        else:
            self._status.stop()

    def say(self, line: str) -> None:
        """See `progress.Reporter`."""
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
