"""The liquidation marts against the plain reference, and promise 3 for what depends on the whole path."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tests.marts import liquidation_reference as reference
from tests.support import archive, commands
from tests.support.warehouse import PROJECT, Warehouse

CENT = 0.01
WEIGHTS = reference.read_weights(PROJECT / "seeds" / "leverage_weights.csv")


@dataclass(frozen=True, slots=True)
class Market:
    """A generated history: what the exchange would have published."""

    symbol: str
    candles: Mapping[datetime, reference.Candle]
    marks: Mapping[datetime, reference.Candle]
    snapshots: Mapping[datetime, Decimal | None]

    def write(self, root: Path, start: datetime, end: datetime) -> None:
        """The archive's files of the days from start (inclusive) to end (exclusive)."""
        for first in archive.steps(start, end, 24 * 60):
            times = list(archive.steps(first, first + timedelta(days=1), 5))
            self.write_klines(root, first, "klines", [self.candles[time] for time in times if time in self.candles])
            self.write_klines(
                root, first, "markPriceKlines", [self.marks[time] for time in times if time in self.marks]
            )
            lines = [archive.METRICS]
            for time in times:
                if time in self.snapshots:
                    contracts = self.snapshots[time] or Decimal(0)
                    value = contracts * self.candles[time].open if time in self.candles else Decimal(0)
                    lines.append(f"{time:%Y-%m-%d %H:%M:%S},{self.symbol},{contracts},{value},,,,")
            folder = root / "data/futures/um/daily/metrics" / self.symbol
            archive.write(folder / f"{self.symbol}-metrics-{first:%Y-%m-%d}.csv", lines)

    def write_liquidations(self, root: Path, start: datetime, end: datetime) -> None:
        """Liquidations recorded on these days, and a vendor's pictures, both within some percent of the price."""
        for first in archive.steps(start, end, 24 * 60):
            of = f"{first:%Y-%m-%d}"
            orders, levels = [], []
            for time in filter(self.candles.__contains__, archive.steps(first, first + timedelta(days=1), 25)):
                for side, sign in (("long", -1), ("short", 1)):
                    prices = [
                        (self.candles[time].close * (1 + sign * Decimal(part) / 1000)).quantize(Decimal("0.1"))
                        for part in (archive.noise(side, of, time.minute) % 30, *range(1, 40, 3))
                    ]
                    orders.append(archive.liquidation(time + timedelta(seconds=90), side, prices[0], Decimal(1)))
                    levels += [
                        f"{time:%Y-%m-%d %H:%M:%S},{self.symbol},{side},{price},{1 + 20 * (number == time.hour % 13)}"
                        for number, price in enumerate(prices[1:])
                    ]
            archive.liquidations(root, self.symbol, of, orders)
            archive.levels(root, self.symbol, "vendor", of, levels)

    def write_klines(self, root: Path, first: datetime, kind: str, candles: list[reference.Candle]) -> None:
        """A day's candles of one kind; no file for none."""
        if not candles:
            return
        lines = [archive.KLINES]
        for candle in candles:
            opened, closes = archive.milliseconds(candle.open_time), archive.milliseconds(candle.end) - 1
            prices = f"{candle.open},{candle.high},{candle.low},{candle.close}"
            volumes = "0,{0},0,0,0,0,0" if kind == "markPriceKlines" else "10,{0},1000,5,4,400,0"
            lines.append(f"{opened},{prices},{volumes.format(closes)}")
        folder = root / "data/futures/um/daily" / kind / self.symbol / "5m"
        archive.write(folder / f"{self.symbol}-5m-{first:%Y-%m-%d}.csv", lines)


def generate(symbol: str, start: datetime, days: int, price: str, seed: int) -> Market:
    """A walk of prices and open interest, with gaps in both, zeros, flat candles and mark prices on some days."""
    draw = random.Random(seed)
    tick = Decimal(price) / 10000
    ticks, contracts = 10000, Decimal(50000)
    candles: dict[datetime, reference.Candle] = {}
    marks: dict[datetime, reference.Candle] = {}
    snapshots: dict[datetime, Decimal | None] = {}
    end = start + timedelta(days=days)
    for time in archive.steps(start, end, 5):
        opened = ticks
        ticks = max(1000, ticks + round(draw.gauss(0, 18)))
        high, low = max(opened, ticks) + draw.randrange(12), min(opened, ticks) - draw.randrange(12)
        if draw.random() > 0.004:
            candles[time] = reference.Candle(time, opened * tick, high * tick, low * tick, ticks * tick)
        if time.day % 3 == 0 and draw.random() > 0.01:
            moved = draw.randrange(-6, 7)
            prices = [(number + moved) * tick for number in (opened, high, low, ticks)]
            marks[time] = reference.Candle(time, *prices)
        contracts += Decimal(round(draw.gauss(float(50000 - contracts) * 0.002, 150), 0))
        fate = draw.random()
        if fate < 0.002:
            snapshots[time] = None
        elif fate > 0.006:
            snapshots[time] = contracts + Decimal("0.125")
    return Market(symbol, candles, marks, snapshots)


def assert_agrees(warehouse: Warehouse, market: Market) -> None:
    """Levels, map and heatmap are what the reference says, to the cent."""
    expected = reference.simulate(
        market.candles,
        market.snapshots,
        reference.read_brackets(PROJECT / "seeds" / "margin_brackets.csv", market.symbol),
        WEIGHTS,
        market.marks,
    )
    assert expected.levels
    assert any(level.liquidated_at for level in expected.levels)
    levels = {
        (side, leverage, opened_at): rest
        for side, leverage, opened_at, *rest in warehouse.query(
            "select side, leverage, opened_at, entry_price, liquidation_price, price_bin, quantity, volume_usd,"
            " liquidated_at, liquidated_volume_usd, closed_at"
            f" from marts.liquidation_levels where symbol = '{market.symbol}'"
        )
    }
    assert len(levels) == len(expected.levels)
    for level in expected.levels:
        entry, price, price_bin, quantity, volume, liquidated_at, liquidated, closed_at = levels[
            level.side, level.leverage, level.opened_at.replace(tzinfo=None)
        ]
        assert entry == level.entry_price
        assert abs(price - level.liquidation_price) <= reference.TICK
        assert price_bin == level.price_bin
        assert abs(float(quantity) - level.quantity) <= 1e-9 * level.quantity
        assert abs(float(volume) - level.volume_usd) <= CENT
        assert liquidated_at == naive(level.liquidated_at), level
        assert closed_at == naive(level.closed_at), level
        assert (liquidated is None) == (level.liquidated_volume_usd is None), level
        if liquidated is not None and level.liquidated_volume_usd is not None:
            assert abs(float(liquidated) - level.liquidated_volume_usd) <= CENT

    newest = max(expected.pictures)
    map_bins = {
        (side, price_bin): float(volume)
        for side, price_bin, volume in warehouse.query(
            "select side, price_bin, sum(volume_usd) from marts.liquidation_map"
            f" where symbol = '{market.symbol}' group by side, price_bin"
        )
    }
    assert_same_bins(map_bins, expected.pictures[newest])

    heatmap: dict[datetime, reference.Picture] = {}
    for bucket_at, side, price_bin, volume in warehouse.query(
        f"select bucket_at, side, price_bin, volume_usd from marts.liquidation_heatmap where symbol = '{market.symbol}'"
    ):
        heatmap.setdefault(bucket_at, {})[side, price_bin] = float(volume)
    for bucket_at, picture in expected.pictures.items():
        if bucket_at > newest - timedelta(days=30) and picture:
            assert_same_bins(heatmap.pop(bucket_at.replace(tzinfo=None)), picture)
    assert heatmap == {}


def assert_same_bins(found: reference.Picture, expected: reference.Picture) -> None:
    """The same bins, their volumes to the cent. `pytest.approx` takes longer for 200,000 of them than their build."""
    assert found.keys() == expected.keys()
    assert [key for key, volume in expected.items() if not abs(found[key] - volume) <= CENT] == []


def naive(time: datetime | None) -> datetime | None:
    """As the marts have it: UTC without saying so."""
    return time.replace(tzinfo=None) if time else None


def test_a_generated_month_agrees_with_the_plain_reference_to_the_cent(warehouse: Warehouse) -> None:
    start = archive.day("2024-03-01")
    dear = generate("BTCUSDT", start, 31, "60000", seed=1)
    cheap = generate("NOBODYUSDT", start, 5, "0.02", seed=2)
    dear.write(warehouse.data, start, start + timedelta(days=31))
    cheap.write(warehouse.data, start, start + timedelta(days=5))
    warehouse.load()
    warehouse.build_untested("--select", "+path:models/marts/liquidations")
    assert any(closed for (closed,) in warehouse.query("select closed_at from marts.liquidation_levels"))
    assert_agrees(warehouse, dear)
    assert_agrees(warehouse, cheap)


def test_days_in_any_order_give_the_same_liquidation_marts(warehouse: Warehouse) -> None:
    """A day that arrives late ends levels opened long before it and changes the shrinking of all that followed."""
    start = archive.day("2024-03-01")
    market = generate("BTCUSDT", start, 5, "60000", seed=3)
    young = generate("NOBODYUSDT", start + timedelta(days=2), 2, "1", seed=4)
    for numbers in ((1, 3), (4,), (0,), (2,)):
        for number in numbers:
            market.write(warehouse.data, start + timedelta(days=number), start + timedelta(days=number + 1))
            # Some of them before the days that their maps are made of, some after.
            other = start + timedelta(days=4 - number)
            market.write_liquidations(warehouse.data, other, other + timedelta(days=1))
        if numbers == (0,):
            young.write(warehouse.data, start + timedelta(days=2), start + timedelta(days=4))
        warehouse.load()
        warehouse.build_untested("--select", "+path:models/marts/liquidations")
    fresh = Warehouse(warehouse.folder / "fresh")
    fresh.load(warehouse.data)
    fresh.build_untested("--select", "+path:models/marts/liquidations")
    expected, found = fresh.marts(), warehouse.marts()
    for name in (
        "liquidation_levels",
        "liquidation_map",
        "liquidation_heatmap",
        "liquidation_backtest",
        "liquidation_backtest_external",
    ):
        assert expected[name]
        assert found[name] == expected[name], name
    assert_agrees(warehouse, market)


def test_the_window_of_the_heatmap_moves_on_and_back(warehouse: Warehouse) -> None:
    """Old steps stand as they were built, what left the window goes, and what comes back is built again.

    Levels that the third day ended stand again once it is forgotten, and the log says since when some do.
    """
    days = ("--vars", "{liquidation_heatmap_days: 1}")
    start = archive.day("2024-03-01")
    market = generate("BTCUSDT", start, 4, "60000", seed=6)
    rows = "select * from marts.liquidation_heatmap order by all"
    levels = "select * from marts.liquidation_levels order by all"
    ended = (
        "select min(opened_at) from marts.liquidation_levels where coalesce(liquidated_at, closed_at) > '2024-03-03'"
    )
    log = "select max_by(rebuild_from, rebuild_id) from state.rebuilds where model = 'liquidation_levels'"
    logged: list[tuple[object, ...]] = []

    def built(plan_from: str | None) -> list[tuple[object, ...]]:
        warehouse.load()
        warehouse.build_untested("--select", "+liquidation_heatmap", *days)
        found = warehouse.query(rows)
        found_levels = warehouse.query(levels)
        logged.extend(warehouse.query(log))
        planned = warehouse.query("select rebuild_from::varchar from state.rebuild_plan where model like '%heatmap'")
        assert planned == [(plan_from,)]
        warehouse.build_untested("--select", "liquidation_levels", "liquidation_heatmap", "--full-refresh", *days)
        assert warehouse.query(rows) == found
        assert warehouse.query(levels) == found_levels
        return found

    # The last candle of the second day is that of 10:20: its step ends early.
    until = start + timedelta(days=1, hours=10, minutes=25)
    held = {time: candle for time, candle in market.candles.items() if time < until}
    market.write(warehouse.data, start, start + timedelta(days=1))
    Market(market.symbol, held, market.marks, market.snapshots).write(
        warehouse.data, start + timedelta(days=1), start + timedelta(days=2)
    )
    short = built("1970-01-01 00:00:00")
    # Candles alone, from noon on: what comes sooner could turn labels of snapshots before it, and reach back to them.
    third = start + timedelta(days=2)
    candles = [candle for time, candle in market.candles.items() if 12 <= (time - third) / timedelta(hours=1) < 24]
    market.write_klines(warehouse.data, third, "klines", candles)
    moved = built("2024-03-02 10:00:00")
    (first_ended,) = warehouse.query(ended)
    assert {row[1] for row in short} & {row[1] for row in moved} == set()
    assert commands.run(warehouse, "forget", "--start", "2024-03-03")[0] == 0
    for path in warehouse.data.rglob("*-2024-03-03.csv"):
        path.unlink()
    # All of the window it moved back to, and no more than that.
    assert built("2024-03-01 10:00:00") == short
    assert warehouse.query(ended) == [(None,)]
    assert logged[1] == (naive(third + timedelta(hours=11, minutes=55)),)
    assert logged[2] == first_ended


def test_a_symbol_without_levels_plans_no_window(warehouse: Warehouse) -> None:
    """What is planned is tested and published: candles alone have nothing in the window, and plan their own time."""
    start = archive.day("2024-03-01")
    market = generate("BTCUSDT", start, 4, "60000", seed=6)
    market.write(warehouse.data, start, start + timedelta(days=2))
    for number in range(2):
        archive.klines(warehouse.data, "AAAUSDT", f"2024-03-0{number + 1}")
    warehouse.load()
    warehouse.build_untested("--select", "+liquidation_heatmap")
    market.write(warehouse.data, start + timedelta(days=2), start + timedelta(days=3))
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-03")
    warehouse.load()
    warehouse.build_untested("--select", "+liquidation_heatmap")
    planned = "select symbol, rebuild_from::varchar from state.rebuild_plan where model like '%heatmap' order by all"
    assert warehouse.query(planned) == [("AAAUSDT", "2024-03-02 23:55:00"), ("BTCUSDT", "2024-03-02 23:00:00")]
    # Once there are levels, all steps in which they stand are built.
    for number in range(3):
        archive.metrics(warehouse.data, "AAAUSDT", f"2024-03-0{number + 1}")
    warehouse.load()
    warehouse.build_untested("--select", "+liquidation_heatmap")
    fresh = Warehouse(warehouse.folder / "fresh")
    fresh.load(warehouse.data)
    fresh.build_untested("--select", "+liquidation_heatmap")
    rows = "select * from marts.liquidation_heatmap order by all"
    assert warehouse.query(rows) == fresh.query(rows)
    assert {symbol for (symbol, *_) in warehouse.query(rows)} == {"AAAUSDT", "BTCUSDT"}
