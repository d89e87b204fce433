"""Which part of a range of time comes from disk, from the archive, from REST, and what nobody serves.

`loaders plan` shows it, `fetch` and `backfill` do what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from loaders.datasets.series import Series
from loaders.sources.binance_files import Offer
from loaders.sources.spans import Span, clip, subtract, union


class Where(Enum):
    """Who has it."""

    DISK = "disk"
    ARCHIVE = "archive"
    REST = "rest"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Held:
    """What is there of a series: periods of its files, on disk or landed, and the gaps within them.

    `archive` are the periods of archive files alone, one by one: what need not be downloaded again.
    """

    spans: tuple[Span, ...] = ()
    gaps: tuple[Span, ...] = ()
    archive: frozenset[Span] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a series' range, and where it comes from; `offer` is the file, for the archive's."""

    series: Series
    start: datetime
    end: datetime
    where: Where
    offer: Offer | None = None

    @property
    def span(self) -> Span:
        """Its range of time."""
        return self.start, self.end


def decide(
    series: Series, window: Span, held: Held, offers: Sequence[Offer] = (), reach: Span | None = None
) -> list[Part]:
    """The parts of a window, in order. `reach` is what REST serves of the series.

    Months that lie wholly in the window and of which nothing is there come as one file; for others days are taken, and
    the month's file for what no day has.
    """
    present = clip(subtract(held.spans, held.gaps), *window)
    missing = subtract([window], present)
    parts = [Part(series, *span, Where.DISK) for span in present]
    chosen = list(_choose(window, missing, present, [offer for offer in offers if offer.span not in held.archive]))
    parts += [Part(series, *offer.span, Where.ARCHIVE, offer) for offer in chosen]
    missing = subtract(missing, [offer.span for offer in chosen])
    rest = clip(missing, *reach) if reach else []
    parts += [Part(series, *span, Where.REST) for span in rest]
    parts += [Part(series, *span, Where.NOBODY) for span in subtract(missing, rest)]
    return sorted(parts, key=lambda part: (part.start, part.end))


def _choose(window: Span, missing: Sequence[Span], present: Sequence[Span], offers: Sequence[Offer]) -> Iterator[Offer]:
    months = [offer for offer in offers if offer.is_month]
    days = [offer for offer in offers if not offer.is_month]
    left = list(missing)
    for month in months:
        inside = window[0] <= month.start and month.end <= window[1]
        if inside and not clip(present, *month.span) and clip(left, *month.span):
            yield month
            left = subtract(left, [month.span])
    taken = [day for day in days if clip(left, *day.span)]
    yield from taken
    left = subtract(left, [day.span for day in taken])
    yield from (month for month in months if clip(left, *month.span))


def covering_pages(spans: Sequence[Span], step: timedelta, limit: int) -> list[Span]:
    """The fewest pages of at most `limit` steps that hold all of the spans: each begins at the first time not covered.

    A page that would end in a stretch that is there already ends before it.
    """
    pages: list[Span] = []
    left = union(spans)
    while left:
        start = left[0][0]
        end = clip(left, start, start + limit * step)[-1][1]
        pages.append((start, end))
        left = subtract(left, [(start, end)])
    return pages
