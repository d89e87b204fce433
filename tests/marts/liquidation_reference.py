"""The life of liquidation levels, told plainly: candle by candle, level by level, in Python.

Nothing here is shared with the models. Prices are exact decimals; what is left of a level is a float that every fall of
open interest multiplies, where the models take a difference of summed logarithms. Slow on purpose: this is what the
marts are compared with, to the cent, and what their speed is measured against.

Within a candle: cross, shrink, open, picture.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache
from pathlib import Path

STEP = timedelta(minutes=5)
CLOSED_BELOW = 0.001
TICK = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Candle:
    """Five minutes of prices, from open_time on."""

    open_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @property
    def end(self) -> datetime:
        """The first instant after the candle."""
        return self.open_time + STEP


@dataclass(frozen=True, slots=True)
class Bracket:
    """Maintenance margin of positions with a notional in (floor, cap]."""

    floor: Decimal
    cap: Decimal
    maintenance_margin_rate: Decimal
    max_leverage: int
    cum: Decimal


@dataclass(slots=True)
class Level:
    """Positions that one candle opened on one side with one leverage."""

    side: str
    leverage: int
    opened_at: datetime
    entry_price: Decimal
    liquidation_price: Decimal
    price_bin: Decimal
    quantity: float
    #: Notional as opened.
    volume_usd: float
    remaining: float = 1.0
    liquidated_at: datetime | None = None
    liquidated_volume_usd: float | None = None
    closed_at: datetime | None = None


Picture = dict[tuple[str, Decimal], float]


@dataclass(slots=True)
class History:
    """What became of a symbol: every level there ever was, and the picture at the end of each step of time.

    No long that stands has a liquidation price above `highest_long`, no short one below `lowest_short`.
    """

    levels: list[Level] = field(default_factory=list)
    standing: list[Level] = field(default_factory=list)
    highest_long: Decimal = Decimal("-Infinity")
    lowest_short: Decimal = Decimal("Infinity")
    pictures: dict[datetime, Picture] = field(default_factory=dict)


def read_brackets(seed: Path, symbol: str) -> list[Bracket]:
    """The symbol's first set of brackets in the seed, or `DEFAULT`'s."""
    with seed.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [row for row in rows if row["symbol"] == symbol] or [row for row in rows if row["symbol"] == "DEFAULT"]
    first_day = min(row["valid_from"] for row in rows)
    return [
        Bracket(
            floor=Decimal(row["notional_floor"]),
            cap=Decimal(row["notional_cap"]),
            maintenance_margin_rate=Decimal(row["maintenance_margin_rate"]),
            max_leverage=int(row["max_leverage"]),
            cum=Decimal(row["cum"]),
        )
        for row in rows
        if row["valid_from"] == first_day
    ]


def read_weights(seed: Path) -> dict[int, Decimal]:
    """Share of opened positions by leverage."""
    with seed.open(encoding="utf-8", newline="") as file:
        return {int(row["leverage"]): Decimal(row["weight"]) for row in csv.DictReader(file) if Decimal(row["weight"])}


def liquidation_price(
    side: str, entry_price: Decimal, leverage: int, notional: Decimal, brackets: Sequence[Bracket]
) -> Decimal:
    """Isolated margin; found by trying each bracket and keeping the one that its own price falls into."""
    with localcontext(prec=60):
        sign = 1 if side == "long" else -1
        quantity = notional / entry_price
        wallet = notional / leverage
        for bracket in brackets:
            price = (wallet + bracket.cum - sign * notional) / (quantity * (bracket.maintenance_margin_rate - sign))
            if bracket.floor <= quantity * price <= bracket.cap:
                return price.quantize(TICK, ROUND_HALF_UP)
    raise ValueError(f"no bracket holds a {side} of {notional} at {leverage}x")


def allowed_weights(
    weights: Mapping[int, Decimal], notional: Decimal, brackets: Iterable[Bracket]
) -> dict[int, Decimal]:
    """The weights of the leverages that a position of this notional may have, scaled to sum to 1."""
    highest = next((bracket.max_leverage for bracket in brackets if bracket.floor < notional <= bracket.cap), 0)
    allowed = {leverage: weight for leverage, weight in weights.items() if leverage <= highest}
    return {leverage: weight / sum(allowed.values()) for leverage, weight in allowed.items()}


WIDTHS = [digit * Decimal(10) ** exponent for exponent in range(-8, 8) for digit in (1, 2, 5)]


@cache
def price_bin(price: Decimal) -> Decimal:
    """Lower edge of the bin: a multiple of the largest of 1, 2, 5 times a power of ten up to a thousandth."""
    width = max((width for width in WIDTHS if width <= price / 1000), default=TICK)
    return (price // width) * width


def simulate(
    candles: Mapping[datetime, Candle],
    snapshots: Mapping[datetime, Decimal | None],
    brackets: Sequence[Bracket],
    weights: Mapping[int, Decimal],
    mark_candles: Mapping[datetime, Candle] | None = None,
    notional: Decimal = Decimal(10000),
    picture_minutes: int = 60,
) -> History:
    """Plays a symbol's history; candles by open time, open interest by instant (None or 0: unknown)."""
    history = History()
    shares = allowed_weights(weights, notional, brackets)
    marks = mark_candles or {}
    ends = {candle.end for candle in candles.values()} | {candle.end for candle in marks.values()}
    times = sorted(time for time in ends | set(snapshots) if time <= max(candles) + STEP)
    pictured = {bucket_start(open_time, picture_minutes) for open_time in candles}
    last_known: Decimal | None = None
    for time, following in zip(times, [*times[1:], None], strict=True):
        candle = candles.get(time - STEP)
        cross(history, marks.get(time - STEP, candle), time)

        now = snapshots.get(time) or None
        if now is not None:
            if last_known is not None and now < last_known:
                shrink(history, float(now / last_known), time)
            last_known = now

        before = snapshots.get(time - STEP) or None
        if candle is not None and now is not None and before is not None and now > before:
            open_levels(history, candle, now - before, shares, notional, brackets)

        bucket_at = bucket_start(time - STEP, picture_minutes)
        is_over = following is None or bucket_start(following - STEP, picture_minutes) != bucket_at
        if is_over and bucket_at in pictured:
            history.pictures[bucket_at] = picture(history)
    return history


def bucket_start(time: datetime, minutes: int) -> datetime:
    """Start of the step of time in which an instant lies."""
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return time - (time - midnight) % timedelta(minutes=minutes)


def cross(history: History, candle: Candle | None, time: datetime) -> None:
    """Ends the levels that the candle reaches."""
    if candle is None or (candle.low > history.highest_long and candle.high < history.lowest_short):
        return
    longs = [level for level in history.standing if level.side == "long"]
    shorts = [level for level in history.standing if level.side == "short"]
    reached = [level for level in longs if candle.low <= level.liquidation_price]
    reached += [level for level in shorts if candle.high >= level.liquidation_price]
    for level in reached:
        level.liquidated_at = time
        level.liquidated_volume_usd = level.volume_usd * level.remaining
    history.standing = [level for level in history.standing if level.liquidated_at is None]
    history.highest_long = max(
        (level.liquidation_price for level in longs if level.liquidated_at is None), default=Decimal("-Infinity")
    )
    history.lowest_short = min(
        (level.liquidation_price for level in shorts if level.liquidated_at is None), default=Decimal("Infinity")
    )


def shrink(history: History, share: float, time: datetime) -> None:
    """Takes from every standing level the share of open interest that was closed."""
    for level in history.standing:
        level.remaining *= share
    closed = [level for level in history.standing if level.remaining < CLOSED_BELOW]
    for level in closed:
        level.closed_at = time
    if closed:
        history.standing = [level for level in history.standing if level.closed_at is None]


def open_levels(
    history: History,
    candle: Candle,
    contracts: Decimal,
    shares: Mapping[int, Decimal],
    notional: Decimal,
    brackets: Sequence[Bracket],
) -> None:
    """Opens a level for each leverage: longs in a rising candle, shorts in a falling one."""
    if candle.close == candle.open:
        return
    side = "long" if candle.close > candle.open else "short"
    for leverage, share in shares.items():
        price = liquidation_price(side, candle.close, leverage, notional, brackets)
        level = Level(
            side=side,
            leverage=leverage,
            opened_at=candle.end,
            entry_price=candle.close,
            liquidation_price=price,
            price_bin=price_bin(price),
            quantity=float(contracts * share),
            volume_usd=float(contracts * share) * float(candle.close),
        )
        if side == "long":
            history.highest_long = max(history.highest_long, price)
        else:
            history.lowest_short = min(history.lowest_short, price)
        history.levels.append(level)
        history.standing.append(level)


def picture(history: History) -> Picture:
    """What stands, in USD of notional, by side and price bin."""
    volumes: Picture = defaultdict(float)
    for level in history.standing:
        volumes[level.side, level.price_bin] += level.volume_usd * level.remaining
    return dict(volumes)
