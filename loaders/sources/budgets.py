"""How much may be asked of a server. Counted here, corrected by what the answers say.

A budget tells how many seconds to wait before the next request (`seconds_to_wait`), notes what was asked (`spend`), and
learns from answers: `see` gets the headers, `throttle` is told that the server said "too many".
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol


class Budget(Protocol):
    """What a server allows."""

    def seconds_to_wait(self, cost: int) -> float:
        """Seconds until a request of that cost may be sent."""

    def spend(self, cost: int) -> None:
        """A request of that cost is being sent."""

    def see(self, headers: Mapping[str, str]) -> None:
        """An answer came with these headers."""

    def throttle(self) -> None:
        """The server said that too much was asked."""


class Window:
    """At most `limit` in any `seconds`. With `header`, the server's own count of the current window is believed.

    A tenth is left for whoever else asks from the same address.
    """

    def __init__(
        self, limit: int, seconds: float, header: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = int(limit * 0.9)
        self._seconds = seconds
        self._header = header
        self._clock = clock
        self._spent: deque[tuple[float, int]] = deque()

    def seconds_to_wait(self, cost: int) -> float:
        """See `Budget`."""
        now = self._clock()
        while self._spent and self._spent[0][0] <= now - self._seconds:
            self._spent.popleft()
        total = sum(amount for _, amount in self._spent)
        for when, amount in self._spent:
            if total + cost <= self._limit:
                return 0
            total -= amount
            if total + cost <= self._limit:
                return max(0.0, when + self._seconds - now)
        return 0

    def spend(self, cost: int) -> None:
        """See `Budget`."""
        if cost:
            self._spent.append((self._clock(), cost))

    def see(self, headers: Mapping[str, str]) -> None:
        """See `Budget`."""
        told = headers.get(self._header, "") if self._header else ""
        if told.isdigit():
            # Somebody else asks from this address, too: what the server counted more is spent now.
            surplus = int(told) - sum(amount for _, amount in self._spent)
            self.spend(max(0, surplus))

    def throttle(self) -> None:
        """See `Budget`."""
        self.spend(self._limit)


class Spacing:
    """One request every so many seconds; slower after each refusal, a little faster again while all goes well."""

    def __init__(self, seconds: float, longest: float = 15, clock: Callable[[], float] = time.monotonic) -> None:
        self._shortest = self._seconds = seconds
        self._longest = longest
        self._clock = clock
        self._last: float | None = None

    def seconds_to_wait(self, cost: int) -> float:
        """See `Budget`."""
        return 0 if self._last is None else max(0.0, self._last + self._seconds - self._clock())

    def spend(self, cost: int) -> None:
        """See `Budget`."""
        self._last = self._clock()

    def see(self, headers: Mapping[str, str]) -> None:
        """See `Budget`."""
        self._seconds = max(self._shortest, self._seconds * 0.97)

    def throttle(self) -> None:
        """See `Budget`."""
        self._seconds = min(self._longest, max(self._seconds, 0.01) * 1.6)
