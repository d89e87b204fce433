"""The publication that answers, and how the next one takes its place.

Every request asks the disk whether the file was replaced. The first that finds a new one opens it; whoever is at work
on the old one ends there, and the last of them closes it.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from loaders.delivery.published import Published, stamp
from loaders.delivery.service.cache import Answer, Cache
from loaders.errors import LoadersError, PublishedMissing
from loaders.settings import Settings

log = logging.getLogger("loaders.serve")

#: Queries at the same time; more of them would only take turns on the cores.
QUERIES = 4


class Publication:
    """One publication, open. `name` tells it from all others; `cache` has the answers it gave."""

    def __init__(self, published: Published, found: tuple[int, int, int]) -> None:
        self.published = published
        self.stamp = found
        (self.about,) = published.rows("select * from published")
        text = repr(sorted((key, str(value)) for key, value in self.about.items()))
        self.name = hashlib.sha256(text.encode()).hexdigest()[:16]
        at = self.about["published_at"]
        self.published_at: datetime = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        self.cache = Cache()
        self.page: Answer | None = None
        self.page_lock = threading.Lock()
        self._symbols: frozenset[str] | None = None
        self._users = 1
        self._lock = threading.Lock()
        self._free: queue.SimpleQueue[duckdb.DuckDBPyConnection] = queue.SimpleQueue()
        for one in published.cursors:
            self._free.put(one)

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own, for one query."""
        one = self._free.get()
        try:
            yield one
        finally:
            self._free.put(one)

    def symbols(self, cursor: duckdb.DuckDBPyConnection) -> frozenset[str]:
        """Symbols with five-minute candles."""
        if self._symbols is None:
            found = cursor.execute("select distinct symbol from klines_5m").fetchall()
            self._symbols = frozenset(symbol for (symbol,) in found)
        return self._symbols

    def take(self) -> bool:
        """Counts one more user; False if it is closed already."""
        with self._lock:
            if self._users == 0:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Counts one user less; the last one closes the file."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.published.close()
            self.cache.clear()


class Publications:
    """Follows the published file."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self.settings = settings
        self.path = path
        self._current: Publication | None = None
        self._refused: tuple[int, int, int] | None = None
        self._lock = threading.Lock()

    def is_current(self) -> bool:
        """Whether the open publication is the file that lies on the disk; asks the disk, opens nothing."""
        current = self._current
        return current is not None and current.stamp == stamp(self.path)

    @contextmanager
    def current(self) -> Iterator[Publication]:
        """The newest publication that can be opened, kept open until the end.

        Raises `PublishedMissing`, `PublishedUnreadable` if there has never been one.
        """
        while True:
            publication = self._current
            if publication is None or not self.is_current():
                publication = self._newest()
            if publication.take():
                break
        try:
            yield publication
        finally:
            publication.release()

    def _newest(self) -> Publication:
        with self._lock:
            found = stamp(self.path)
            before = self._current
            if before is not None and (found is None or found in (before.stamp, self._refused)):
                return before
            if found is None:
                raise PublishedMissing(self.path)
            try:
                opened = Published.open(
                    self.path,
                    memory_limit=self.settings.memory_limit,
                    threads=self.settings.threads,
                    cursors=QUERIES,
                )
                publication = Publication(opened, found)
            except (LoadersError, duckdb.Error, ValueError) as error:
                if before is None:
                    raise
                self._refused = found
                log.warning("the new file is left alone, the last publication goes on: %s", error)
                return before
            self._current = publication
        if before is not None:
            before.release()
        log.info("publication %s of %s", publication.name, publication.about.get("published_at"))
        return publication

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            current, self._current = self._current, None
        if current is not None:
            current.release()


def plain(about: dict[str, Any]) -> dict[str, Any]:
    """The row of `published`, times as text."""
    return {name: value.isoformat() + "Z" if isinstance(value, datetime) else value for name, value in about.items()}
