"""Ranges of time: half-open, UTC, as pairs (start, end)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def union(spans: Iterable[Span]) -> list[Span]:
    """The same times, in order, without overlaps; neighbours that touch become one."""
    united: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def subtract(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What of `spans` lies in none of `others`."""
    taken = union(others)
    left: list[Span] = []
    for start, end in union(spans):
        for low, high in taken:
            if high <= start or low >= end:
                continue
            if low > start:
                left.append((start, low))
            start = max(start, high)
            if start >= end:
                break
        if start < end:
            left.append((start, end))
    return left


def clip(spans: Iterable[Span], start: datetime | None, end: datetime | None) -> list[Span]:
    """What of `spans` lies in [start, end); None is no limit."""
    cut = ((max(low, start) if start else low, min(high, end) if end else high) for low, high in spans)
    return [(low, high) for low, high in cut if low < high]


def floor(time: datetime, step: timedelta) -> datetime:
    """The last multiple of `step` since 1970 that is not after `time`."""
    return time - (time - EPOCH) % step


def ceil(time: datetime, step: timedelta) -> datetime:
    """The first multiple of `step` since 1970 that is not before `time`."""
    return time + -(time - EPOCH) % step


def milliseconds(time: datetime) -> int:
    """Milliseconds since 1970, as the exchanges write times."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: int) -> datetime:
    """A time from milliseconds since 1970, UTC."""
    return EPOCH + timedelta(milliseconds=value)
