"""Answers of one publication: it never changes, so neither do they. The least recently used go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

#: Bytes that the answers of one publication may take.
BYTES = 48 * 2**20


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and the headers that go with it."""

    body: bytes
    media: str
    headers: dict[str, str]


class Cache:
    """Answers by what was asked."""

    def __init__(self, limit: int = BYTES) -> None:
        self.limit = limit
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Answer | None:
        """The answer, if it was kept."""
        with self._lock:
            answer = self._answers.get(key)
            if answer is not None:
                self._answers.move_to_end(key)
            return answer

    def put(self, key: Hashable, answer: Answer) -> None:
        """Keeps an answer, unless it is as large as a quarter of all."""
        size = len(answer.body)
        if size > self.limit // 4:
            return
        with self._lock:
            before = self._answers.pop(key, None)
            self._bytes += size - (len(before.body) if before else 0)
            self._answers[key] = answer
            while self._bytes > self.limit:
                _, gone = self._answers.popitem(last=False)
                self._bytes -= len(gone.body)

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._answers.clear()
            self._bytes = 0
