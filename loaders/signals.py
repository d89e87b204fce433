"""Ends a command on SIGINT or SIGTERM, in order, with 128 + the signal's number as its exit status.

The signal's handler raises, so that every `finally` on the way is run: transactions are rolled back, locks let go,
dbt's process is ended. But the engine turns whatever a handler raises during a query into a plain `RuntimeError`, and
Great Expectations takes that for an answer. So the signal is remembered as well, and who may have lost it asks `check`.

Nothing is raised while a module is imported: it would leave the interpreter's lock of imports taken, so that a thread
that imports something waits for ever. The signal is sent once more a moment later. While something is `whole`, such as
tidying up, it waits for its end.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_received: list[int] = []
# One for each `whole` that has begun.
_wholes: list[None] = []
# Seconds until a signal that came during an import is sent once more.
_LATER = 0.05


class Interrupted(SystemExit):
    """A signal asked the process to end. `code` is 128 + its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextmanager
def raise_on_signal() -> Iterator[None]:
    """Within it, SIGINT and SIGTERM raise `Interrupted`; at its end at the latest, if it was lost on the way.

    Does nothing outside the main thread, to which signals come.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    before = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        check()
    except Exception:
        check()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if _end not in before.values():
            # The outermost one: what was received has been raised, and is nothing to who asks later.
            _received.clear()


def check() -> None:
    """Raises `Interrupted` if a signal came since `raise_on_signal` began."""
    if _received:
        raise Interrupted(_received[0])


@contextmanager
def whole() -> Iterator[None]:
    """For what takes a moment and must not be done by halves: a signal that comes within raises at its end."""
    before = len(_received)
    _wholes.append(None)
    try:
        yield
    finally:
        _wholes.pop()
    if not _wholes and len(_received) > before:
        raise Interrupted(_received[before])


def _end(number: int, frame: FrameType | None) -> None:
    if _imports(frame):
        again = threading.Timer(_LATER, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    _received.append(number)
    if not _wholes:
        raise Interrupted(number)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
