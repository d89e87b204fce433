"""How a map is judged against recorded liquidations, told plainly: event by event, in Python.

Nothing here is shared with the models. A map is what stands by side and price bin at an instant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

STEP = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

Map = Mapping[tuple[str, Decimal], float]


@dataclass(frozen=True, slots=True)
class Order:
    """A recorded liquidation; `side` is that of the position."""

    at: datetime
    side: str
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Event:
    """Orders of one side, each within a minute of the one before: the first one's time, their average price."""

    at: datetime
    side: str
    price: float


@dataclass(slots=True)
class Score:
    """What was counted for one side, horizon and tolerance."""

    hits: list[bool] = field(default_factory=list)
    coverages: list[float] = field(default_factory=list)
    null_hits: list[bool] = field(default_factory=list)

    def row(self) -> tuple[int, float, float, float | None, float | None]:
        """Events, hit rate, coverage, hit rate of the null model, lift."""
        hit_rate, null = mean(self.hits), mean(self.null_hits) if self.null_hits else None
        return len(self.hits), hit_rate, mean(self.coverages), null, hit_rate / null if null else None


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)


def events_of(orders: Iterable[Order]) -> list[Event]:
    """Gathers orders into events."""
    events = []
    for side in ("long", "short"):
        gathered: list[Order] = []
        for order in sorted((order for order in orders if order.side == side), key=lambda order: order.at):
            if gathered and order.at - gathered[-1].at > MINUTE:
                events.append(event_of(gathered))
                gathered = []
            gathered.append(order)
        if gathered:
            events.append(event_of(gathered))
    return events


def event_of(orders: Sequence[Order]) -> Event:
    """The one event that these orders are."""
    value, quantity = sum(order.price * order.quantity for order in orders), sum(order.quantity for order in orders)
    return Event(orders[0].at, orders[0].side, float(value / quantity))


def step_before(time: datetime) -> datetime:
    """The end of the last full step before an instant."""
    return (time - timedelta(microseconds=1)).replace(minute=0, second=0, microsecond=0)


def judge(
    events: Iterable[Event],
    map_at: Callable[[datetime], Map | None],
    price_at: Callable[[datetime], Decimal | None],
    horizons: Sequence[int],
    tolerances: Sequence[float],
    lags: Sequence[int],
    reach: Decimal,
    large: float,
) -> dict[tuple[str, int, float], tuple[int, float, float, float | None, float | None]]:
    """Scores by side, horizon and tolerance. `map_at` and `price_at` give None where nothing is known."""
    scores: dict[tuple[str, int, float], Score] = defaultdict(Score)
    for event in events:
        for horizon in horizons:
            standing_at = step_before(event.at - horizon * MINUTE)
            price, standing = price_at(standing_at), map_at(standing_at)
            if price is None or standing is None:
                continue
            place = event.price / float(price)
            own = large_levels(standing, event.side, price, reach, large)
            earlier = [
                large_levels(known, event.side, then, reach, large)
                for days in lags
                for then, known in [
                    (price_at(standing_at - timedelta(days=days)), map_at(standing_at - timedelta(days=days)))
                ]
                if then is not None and known is not None
            ]
            for tolerance in tolerances:
                score = scores[event.side, horizon, tolerance]
                score.hits.append(any(abs(level - place) <= tolerance for level in own))
                score.coverages.append(covered(own, event.side, tolerance, float(reach)))
                score.null_hits += [any(abs(level - place) <= tolerance for level in levels) for levels in earlier]
    return {key: score.row() for key, score in scores.items()}


def large_levels(known: Map, side: str, price: Decimal, reach: Decimal, large: float) -> list[float]:
    """Places, relative to the price, of the levels that hold so many times the mean of those within reach."""
    near = {
        price_bin: volume
        for (of, price_bin), volume in known.items()
        if of == side and volume > 0 and price * (1 - reach) <= price_bin <= price * (1 + reach)
    }
    return [
        float(price_bin) / float(price)
        for price_bin, volume in near.items()
        if volume >= large * mean(list(near.values()))
    ]


def covered(levels: Iterable[float], side: str, tolerance: float, reach: float) -> float:
    """Share of the side's range, from the price to the reach, that lies within the tolerance of a level."""
    low, high = (1 - reach, 1.0) if side == "long" else (1.0, 1 + reach)
    total, upto = 0.0, low
    for level in sorted(levels):
        start, end = max(level - tolerance, upto), min(level + tolerance, high)
        total += max(end - start, 0.0)
        upto = max(upto, end)
    return total / reach
