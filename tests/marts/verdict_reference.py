"""The verdict worked out a second way: level by level and candle by candle, with none of the project's SQL.

A market of a few days is made of a random walk; recorded liquidations come where the price falls or rises fast, so that
there is something to find. Brackets, formula and rounding are those of `liquidation_reference`.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from tests.marts import liquidation_reference as reference
from tests.support import archive
from tests.support.warehouse import PROJECT

SYMBOL = "BTCUSDT"
STEP = timedelta(minutes=5)
START = archive.utc(2024, 3, 1)
DAYS = 4
LEVERAGES = (5, 10, 20, 25, 50, 75, 100, 125)
OTHER_DAYS = 2
BRACKETS = reference.read_brackets(PROJECT / "seeds" / "margin_brackets.csv", SYMBOL)
Key = tuple[str, str, int, datetime]


@dataclass
class Candle:
    """Five minutes, with the open interest at their end; None is a snapshot that is missing."""

    start: datetime
    opened: Decimal
    high: Decimal
    low: Decimal
    closed: Decimal
    volume: Decimal
    open_interest: Decimal | None


@dataclass
class Order:
    """A recorded order: side of the position, bankruptcy price, quantity."""

    time: datetime
    side: str
    price: Decimal
    quantity: Decimal


@dataclass
class Market:
    """A symbol's candles from START on, the snapshot at START, and the orders of the last two days."""

    first_open_interest: Decimal
    candles: list[Candle] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)


def walk(seed: int = 7) -> Market:
    """A random walk of about 0.15 % a candle, with a fall and a rise every half a day."""
    chance = random.Random(seed)
    cents = Decimal("0.1")
    price, contracts = Decimal("50000.0"), Decimal("20000.000")
    market = Market(contracts)
    for number in range(288 * DAYS):
        start = START + number * STEP
        drift = {0: -0.004, 1: -0.003, 60: 0.004, 61: 0.003}.get(number % 144, 0.0)
        closed = (price * Decimal(1 + chance.gauss(drift, 0.0012))).quantize(cents)
        high = (max(price, closed) * Decimal(1 + abs(chance.gauss(0, 0.0006)))).quantize(cents)
        low = (min(price, closed) * Decimal(1 - abs(chance.gauss(0, 0.0006)))).quantize(cents)
        volume = Decimal(chance.randint(20_000, 400_000)) / 1000
        contracts += Decimal(chance.randint(-150_000, 150_000)) / 1000
        known = None if number in (300, 301, 700) else contracts
        market.candles.append(Candle(start, price, high, low, closed, volume, known))
        if number >= 288 * (DAYS - 2):
            for side, reach in (("long", low / price - 1), ("short", high / price - 1)):
                adverse = float(-reach if side == "long" else reach)
                for _ in range(int(adverse * 1500 * chance.random())):
                    seconds = chance.randrange(300)
                    sign = 1 if side == "long" else -1
                    # The bankruptcy price lies beyond the liquidation price by the maintenance margin.
                    at = (low if side == "long" else high) * (1 - sign * Decimal("0.004"))
                    market.orders.append(
                        Order(
                            start + timedelta(seconds=seconds),
                            side,
                            at.quantize(cents),
                            Decimal(chance.randint(1, 900)) / 1000,
                        )
                    )
        price = closed
    # Within a recording, and far from any candle: a stray.
    market.orders.append(Order(START + timedelta(days=3), "long", Decimal("137819.0"), Decimal("0.5")))
    unique = {(each.time, each.side, each.price, each.quantity): each for each in market.orders}
    market.orders = sorted(unique.values(), key=lambda each: each.time)
    return market


def write(market: Market, root: Path) -> None:
    """The market as files of the archive and one recording with a header."""
    for day in range(DAYS):
        of = f"{START + timedelta(days=day):%Y-%m-%d}"
        today = market.candles[288 * day : 288 * (day + 1)]
        rows = [archive.KLINES]
        labels = [archive.METRICS]
        before = market.candles[288 * day - 1].open_interest if day else market.first_open_interest
        for candle in today:
            opened = int(candle.start.replace(tzinfo=archive.day(of).tzinfo).timestamp() * 1000)
            rows.append(
                f"{opened},{candle.opened},{candle.high},{candle.low},{candle.closed},{candle.volume},"
                f"{opened + 299_999},"
                f"{candle.volume * candle.closed:.4f},10,0,0,0"
            )
            labels.append(f"{candle.start:%Y-%m-%d %H:%M:%S},{SYMBOL},{'' if before is None else before},,,,,")
            before = candle.open_interest
        folder = root / "data/futures/um/daily"
        archive.write(folder / f"klines/{SYMBOL}/5m/{SYMBOL}-5m-{of}.csv", rows)
        archive.write(folder / f"metrics/{SYMBOL}/{SYMBOL}-metrics-{of}.csv", labels)
    lines = ["Symbol,Side,Order Type,Time,Quantity,Price"]
    for order in market.orders:
        time = int(order.time.replace(tzinfo=archive.day(of).tzinfo).timestamp() * 1000)
        lines.append(
            f"{SYMBOL},{'SELL' if order.side == 'long' else 'BUY'},LIMIT,{time},{order.quantity},{order.price}"
        )
    archive.write(root / f"forceOrder_{START + timedelta(days=DAYS - 2):%Y-%m-%d}.csv", lines)


def snapshots(market: Market) -> Iterator[tuple[Candle, Decimal | None, Decimal | None]]:
    """Each candle with the change of open interest during it, and the last known one before its end.

    The snapshot at the end of the last candle is in no file.
    """
    last: Decimal | None = market.first_open_interest
    before: Decimal | None = market.first_open_interest
    for number, candle in enumerate(market.candles):
        now = candle.open_interest if number < len(market.candles) - 1 else None
        delta = None if now is None or before is None else now - before
        yield candle, delta, last
        before = now
        last = now if now is not None else last


def crossed(market: Market) -> dict[Key, float]:
    """(provider, side, leverage, end of the candle) → USD that stood at the levels it crosses."""
    found: dict[Key, float] = defaultdict(float)
    steps = list(snapshots(market))
    opened: dict[str, dict[datetime, tuple[float, float, float]]] = defaultdict(dict)
    for candle, delta, _ in steps:
        end = candle.start + STEP
        volume = float(candle.volume)
        opened["volume_alone"][end] = opened["fixed_distances"][end] = (0.0, volume / 2, volume / 2)
        if delta is None:
            continue
        rise = max(float(delta), 0.0)
        up, down = candle.closed > candle.opened, candle.closed < candle.opened
        opened["net"][end] = (rise, rise if up else 0.0, rise if down else 0.0)
        assert candle.open_interest is not None
        both = min(max((volume + float(delta)) / 2, float(delta), 0.0), float(candle.open_interest))
        opened["gross"][end] = (both, both, both)
    closes = {candle.start + STEP: float(candle.closed) for candle, _, _ in steps}
    for name in ("net", "gross"):
        opened[f"{name}_of_other_days"] = {end + timedelta(days=OTHER_DAYS): what for end, what in opened[name].items()}
    for provider, openings in opened.items():
        shrinks = opened[provider.removesuffix("_of_other_days")] if "volume" not in provider else {}
        levels: list[list[float]] = []
        places: list[tuple[str, int]] = []
        standing: list[int] = []
        for candle, _, last in steps:
            end, low, high = candle.start + STEP, float(candle.low), float(candle.high)
            still = []
            for number in standing:
                price, left, _ = levels[number]
                side, leverage = places[number]
                if low <= price if side == "long" else high >= price:
                    found[provider, side, leverage, end] += left
                else:
                    still.append(number)
            standing = still
            if provider not in ("volume_alone", "fixed_distances") and candle is not steps[-1][0]:
                if candle.open_interest is not None and last is not None:
                    new = shrinks.get(end, (0.0, 0.0, 0.0))[0]
                    share = min(1.0, (float(candle.open_interest) - new) / float(last))
                    for number in standing:
                        levels[number][1] *= share
                standing = [number for number in standing if levels[number][1] >= levels[number][2] / 1000]
            if end in openings and end in closes:
                _, longs, shorts = openings[end]
                for side, quantity in (("long", longs), ("short", shorts)):
                    for leverage in LEVERAGES if quantity > 0 else ():
                        volume = quantity * closes[end]
                        standing.append(len(levels))
                        levels.append([level_price(provider, side, leverage, candle.closed), volume, volume])
                        places.append((side, leverage))
    first = START + timedelta(days=DAYS - 2)
    return {key: usd for key, usd in found.items() if is_recorded(market, key[3]) and key[3] > first}


def level_price(provider: str, side: str, leverage: int, entry: Decimal) -> float:
    """Where a level lies."""
    if provider == "fixed_distances":
        return float(entry) * (1 - 1 / leverage if side == "long" else 1 + 1 / leverage)
    return float(reference.liquidation_price(side, entry, leverage, Decimal(10_000), BRACKETS))


def is_recorded(market: Market, end: datetime) -> bool:
    """Whether a candle lies wholly between the first order and the last one."""
    return market.orders[0].time <= end - STEP and end <= market.orders[-1].time


@dataclass
class Judged:
    """A candle of the recording as one side sees it."""

    end: datetime
    move: float
    traded: float
    extreme: float
    liquidated: float
    block: int


def judged(market: Market, side: str, extremes: tuple[float, ...], block_hours: int) -> list[Judged]:
    """The candles of the recording, with what was liquidated in each and of how many hours it is an extreme."""
    usd: dict[datetime, float] = defaultdict(float)
    for order in market.orders:
        if order.side == side and order.price < 100_000:
            sign = 1 if side == "long" else -1
            price = (order.price / (1 - sign * Decimal("0.004"))).quantize(Decimal("1e-8"))
            usd[START + (order.time - START) // STEP * STEP + STEP] += float(price * order.quantity)
    found = []
    for number, candle in enumerate(market.candles):
        end = candle.start + STEP
        if not is_recorded(market, end):
            continue
        extreme = 0.0
        for hours in extremes:
            before = market.candles[max(0, number - round(hours * 12)) : number]
            if side == "long" and candle.low < min(each.low for each in before):
                extreme = hours
            if side == "short" and candle.high > max(each.high for each in before):
                extreme = hours
        reach = candle.opened - candle.low if side == "long" else candle.high - candle.opened
        hours_since_1970 = (candle.start - datetime(1970, 1, 1)) // timedelta(hours=block_hours)  # noqa: DTZ001
        found.append(
            Judged(
                end,
                float(reach / candle.opened),
                float(candle.volume * candle.closed),
                extreme,
                usd[end],
                hours_since_1970,
            )
        )
    return found


def ratio(candles: list[Judged], crossing: Mapping[datetime, bool], edges: tuple[float, ...]) -> float | None:
    """Recorded USD of crossing candles ÷ what as many others of the same move saw."""
    cells: dict[int, list[tuple[bool, float]]] = defaultdict(list)
    for candle in candles:
        cell = sum(candle.move >= edge for edge in edges)
        cells[cell].append((crossing[candle.end], candle.liquidated))
    saw = expected = 0.0
    for rows in cells.values():
        inside = [usd for crosses, usd in rows if crosses]
        outside = [usd for crosses, usd in rows if not crosses]
        if inside and outside:
            saw += sum(inside)
            expected += len(inside) * sum(outside) / len(outside)
    return saw / expected if saw > 0 and expected > 0 else None


def interval(
    candles: list[Judged], crossing: Mapping[datetime, bool], edges: tuple[float, ...]
) -> tuple[float, float] | None:
    """95 % interval of `ratio`, leaving out one block at a time."""
    blocks = sorted({candle.block for candle in candles})
    logs = []
    for block in blocks:
        found = ratio([candle for candle in candles if candle.block != block], crossing, edges)
        if found is None:
            return None
        logs.append(math.log(found))
    whole = ratio(candles, crossing, edges)
    assert whole is not None
    spread = math.sqrt((len(blocks) - 1) / len(blocks) * float(np.sum((np.array(logs) - np.mean(logs)) ** 2)))
    return math.exp(math.log(whole) - 1.96 * spread), math.exp(math.log(whole) + 1.96 * spread)
