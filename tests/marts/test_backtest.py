"""The backtest: what it says is what a plain reference says, and it can come out bad."""

from __future__ import annotations

import random
from bisect import bisect_right
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests.marts import backtest_reference as plain
from tests.marts import liquidation_reference as reference
from tests.marts.test_liquidations import WEIGHTS, generate
from tests.support import archive
from tests.support.warehouse import PROJECT, Warehouse

DAYS = 24
START = archive.day("2024-03-01")
HOUR = timedelta(hours=1)
BINS = 60
EVENTS = 400

Bins = list[tuple[str, float, float]]


def generated(draw: random.Random) -> tuple[dict[datetime, float], list[tuple[datetime, str, float]]]:
    """Hourly closes, and events at random times from the eighth day on, within 4 % of the price on their own side."""
    closes, price = {}, 60000.0
    for hour in range(DAYS * 24):
        price *= 1 + draw.gauss(0, 0.003)
        closes[START + hour * HOUR] = round(price, 1)
    events = []
    for number in range(EVENTS):
        at = START + timedelta(days=8) + timedelta(seconds=number * (DAYS - 8) * 86400 / EVENTS + 600)
        side = draw.choice(("long", "short"))
        away = draw.uniform(0.002, 0.04) * (-1 if side == "long" else 1)
        before = closes[at.replace(minute=0, second=0, microsecond=0) - HOUR]
        events.append((at, side, round(before * (1 + away), 1)))
    return closes, events


def noise(draw: random.Random, bucket_at: datetime, close: float, events: list[tuple[datetime, str, float]]) -> Bins:
    """Bins anywhere on both sides, a tenth of them large."""
    return [
        (side, close * (1 + sign * draw.uniform(0.001, 0.1)), draw.choice((1.0,) * 9 + (20.0,)))
        for side, sign in (("long", -1), ("short", 1))
        for _ in range(BINS)
    ]


def prophecy(draw: random.Random, bucket_at: datetime, close: float, events: list[tuple[datetime, str, float]]) -> Bins:
    """Small bins anywhere, and a large one where each event of the next two hours will be."""
    small = [(side, price, 1.0) for side, price, _ in noise(draw, bucket_at, close, events)]
    near = [event for event in events if timedelta(0) <= event[0] - bucket_at <= timedelta(hours=3)]
    return small + [(side, price, 50.0) for _, side, price in near]


#: A symbol's map: what it shows of each hour is unlike the other's.
MAPS = {"AAAUSDT": noise, "BBBUSDT": prophecy}
MARTS = pytest.mark.parametrize("mart", ["liquidation_backtest", "liquidation_backtest_external"])


def write_market(warehouse: Warehouse, symbol: str, closes: dict[datetime, float], events: list[Any]) -> None:
    """Candles of an hour's close each, and the events as recorded liquidations."""
    for day in range(DAYS):
        first = START + timedelta(days=day)
        of = f"{first:%Y-%m-%d}"
        lines = [archive.KLINES]
        for hour in archive.steps(first, first + timedelta(days=1), 60):
            opened, price = archive.milliseconds(hour + timedelta(minutes=55)), closes[hour]
            lines.append(f"{opened},{price},{price},{price},{price},10,{opened + 299_999},1000,5,4,400,0")
        archive.write(warehouse.data / f"data/futures/um/daily/klines/{symbol}/5m/{symbol}-5m-{of}.csv", lines)
        rows = [
            # a quantity that stays in the first bracket
            archive.liquidation(at, side, Decimal(str(price)), Decimal("0.01"))
            for at, side, price in events
            if first <= at < first + timedelta(days=1)
        ]
        if rows:
            archive.liquidations(warehouse.data, symbol, of, rows)


def stand_for_an_hour(warehouse: Warehouse, symbol: str, bins: dict[tuple[datetime, str, float], float]) -> None:
    """Writes each bin as a level of our own that stands for an hour."""
    times, sides, prices = zip(*bins, strict=True)
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            "insert into marts.liquidation_levels (symbol, side, leverage, opened_at, price_bin, volume_usd, closed_at,"
            " log_share_at_open)"
            " select $5, unnest($2), 10, unnest($1), unnest($3), unnest($4), unnest($1) + interval '1 hour', 0",
            [[time.replace(tzinfo=None) for time in times], list(sides), list(prices), list(bins.values()), symbol],
        )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Both maps, each as levels of our own and as a vendor's, judged for the shortest horizon."""
    warehouse = Warehouse(tmp_path_factory.mktemp("judged"))
    maps = {}
    for symbol, draw_map in MAPS.items():
        draw = random.Random(7)
        closes, events = generated(draw)
        write_market(warehouse, symbol, closes, events)
        bins = maps[symbol] = {
            (bucket_at + HOUR, side, round(price, 1)): volume
            for bucket_at, close in closes.items()
            for side, price, volume in draw_map(draw, bucket_at, close, events)
        }
        rows = [f"{time:%Y-%m-%d %H:%M:%S},{symbol},{side},{price},{usd}" for (time, side, price), usd in bins.items()]
        archive.levels(warehouse.data, symbol, "vendor", None, rows)
    warehouse.load()
    warehouse.build_untested("--select", "+liquidation_backtest", "+liquidation_backtest_external")
    for symbol, bins in maps.items():
        stand_for_an_hour(warehouse, symbol, bins)
    warehouse.build_untested(
        *("--select", "recorded_liquidations", "int_backtest_cases+"),
        *("--vars", "{liquidation_backtest_horizons_minutes: [0]}"),
    )
    return warehouse


def verdict(judged: Warehouse, mart: str, symbol: str) -> list[tuple[Any, ...]]:
    """What the backtest says of a map, by side: events, hit rate, coverage, null hit rate, lift."""
    return judged.query(
        f"select events, hit_rate, coverage_share, null_hit_rate, lift from marts.{mart}"
        f" where symbol = '{symbol}' and tolerance = 0.0025 order by side"
    )


@MARTS
def test_a_map_of_noise_has_no_lift(judged: Warehouse, mart: str) -> None:
    """About 200 events a side and a hit rate near 0.25: the lift's standard error is near 0.13, thrice that is 0.4."""
    sides = verdict(judged, mart, "AAAUSDT")
    assert len(sides) == 2
    for events, hit_rate, coverage, _null, lift in sides:
        assert events > 150
        assert 0 < coverage < 0.5
        assert 0 < hit_rate < 0.6
        assert float(lift) == pytest.approx(1, abs=0.4)


@MARTS
def test_a_map_that_knows_the_future_has_a_high_lift(judged: Warehouse, mart: str) -> None:
    """Every event stands in the map before it; on other days such a level is there by chance alone."""
    sides = verdict(judged, mart, "BBBUSDT")
    assert len(sides) == 2
    for _events, hit_rate, _coverage, null_hit_rate, lift in sides:
        assert hit_rate > 0.95
        assert null_hit_rate < 0.4
        assert lift > 3


HISTORY_DAYS = 12
HORIZONS, TOLERANCES, LAGS = (0, 60, 240), (0.001, 0.0025, 0.005), (1, 2, 3, 5, 7)


def some_orders(draw: random.Random, candles: dict[datetime, reference.Candle], end: datetime) -> list[plain.Order]:
    """Liquidations from before the first candle to after the last one, some in bursts, one at a full hour."""
    orders = [plain.Order(START + timedelta(days=4, hours=5), "long", Decimal("59000.0"), Decimal(2))]
    at = START - timedelta(hours=5)
    while at < end + timedelta(hours=5):
        candle = candles.get(at.replace(minute=at.minute // 5 * 5, second=0, microsecond=0))
        near = candle.close if candle else Decimal(60000)
        side = draw.choice(("long", "short"))
        price = near * (1 + Decimal(draw.randrange(300)) / 10_000 * (-1 if side == "long" else 1))
        orders.append(plain.Order(at, side, price.quantize(Decimal("0.1")), Decimal(draw.randrange(1, 900)) / 1000))
        at += timedelta(seconds=draw.choice((7, 59, 60, 61, 500, 1500, 4000)))
    return orders


def some_pictures(draw: random.Random) -> dict[datetime, dict[tuple[str, Decimal], float]]:
    """A vendor's maps: every few hours for some days, at odd minutes; some of a side alone, some of nothing at all."""
    pictures = {}
    at = START + timedelta(days=1, minutes=17)
    while at < START + timedelta(days=7):
        levels = {
            (side, Decimal(60000 + sign * 37 * draw.randrange(1, 150))): float(draw.choice((0, 1, 2, 3, 40)))
            for side, sign in (("long", -1), ("short", 1))
            if draw.random() > 0.1
            for _ in range(30)
        }
        pictures[at] = levels or {("long", Decimal(50000)): 0.0}
        at += timedelta(minutes=draw.choice((60, 180, 437, 900)))
    return pictures


def rate_of(order: plain.Order) -> Decimal:
    """Maintenance margin rate of BTCUSDT's first bracket, or of the second, from 50,000 USD on."""
    bankruptcy = order.price * (Decimal("0.996") if order.side == "long" else Decimal("1.004"))
    return Decimal("0.004") if order.quantity * bankruptcy <= 50_000 else Decimal("0.005")


def test_all_recorded_liquidations_are_judged_as_the_plain_reference_judges_them(warehouse: Warehouse) -> None:
    """Ours and a vendor's, over the whole history although the heatmap keeps its last two days only."""
    draw = random.Random(11)
    end = START + timedelta(days=HISTORY_DAYS)
    market = generate("BTCUSDT", START, HISTORY_DAYS, "60000", seed=5)
    market.write(warehouse.data, START, end)
    orders = some_orders(draw, dict(market.candles), end)
    for first in archive.steps(START - timedelta(days=1), end + timedelta(days=1), 24 * 60):
        rows = [
            archive.liquidation(order.at, order.side, order.price, order.quantity, rate_of(order))
            for order in orders
            if first <= order.at < first + timedelta(days=1)
        ]
        archive.liquidations(warehouse.data, "BTCUSDT", f"{first:%Y-%m-%d}", rows)
    pictures = some_pictures(draw)
    given = [
        f"{at:%Y-%m-%d %H:%M:%S},BTCUSDT,{side},{price},{volume}"
        for at, levels in pictures.items()
        for (side, price), volume in levels.items()
    ]
    archive.levels(warehouse.data, "BTCUSDT", "vendor", None, given)
    warehouse.load()
    selection = ("--select", "+path:models/marts/liquidations")
    warehouse.build_untested(*selection, "--vars", "{liquidation_heatmap_days: 2}")
    kept = warehouse.query("select min(bucket_at) from marts.liquidation_heatmap")
    assert kept >= [((end - timedelta(days=2)).replace(tzinfo=None),)]

    told = reference.simulate(
        market.candles,
        market.snapshots,
        reference.read_brackets(PROJECT / "seeds" / "margin_brackets.csv", "BTCUSDT"),
        WEIGHTS,
        market.marks,
    )
    first_opened_at = min(level.opened_at for level in told.levels)
    closes: dict[datetime, Decimal] = {}
    for candle in sorted(market.candles.values(), key=lambda candle: candle.open_time):
        closes[reference.bucket_start(candle.open_time, 60) + HOUR] = candle.close

    def ours(at: datetime) -> plain.Map | None:
        return told.pictures.get(at - HOUR) if at >= first_opened_at else None

    def vendors(at: datetime) -> plain.Map | None:
        times = sorted(pictures)
        place = bisect_right(times, at)
        if place == 0 or at > times[-1] + timedelta(hours=24):
            return None
        bins: dict[tuple[str, Decimal], float] = {}
        for (side, price), volume in pictures[times[place - 1]].items():
            key = (side, reference.price_bin(price))
            bins[key] = bins.get(key, 0) + volume
        return bins

    for mart, map_at in (
        ("marts.liquidation_backtest", ours),
        ("marts.liquidation_backtest_external", vendors),
    ):
        expected = plain.judge(
            plain.events_of(orders), map_at, closes.get, HORIZONS, TOLERANCES, LAGS, Decimal("0.1"), 2
        )
        assert len(expected) == 2 * len(HORIZONS) * len(TOLERANCES)
        found = {
            (side, horizon, float(tolerance)): tuple(None if number is None else float(number) for number in numbers)
            for side, horizon, tolerance, *numbers in warehouse.query(
                "select side, horizon, tolerance, events, hit_rate, coverage_share, null_hit_rate, lift"
                f" from {mart} where symbol = 'BTCUSDT'"
            )
        }
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            assert found[key] == pytest.approx(row, abs=1e-6), (mart, key)


def test_a_map_snapshot_comes_from_one_file_whole(warehouse: Warehouse) -> None:
    """A month that knows another level at the same time adds nothing to the snapshot of the day."""
    day = ["2024-03-01 10:00:00,BTCUSDT,long,59000,1", "2024-03-01 10:00:00,BTCUSDT,short,61000,2"]
    month = ["2024-03-01 10:00:00,BTCUSDT,long,58000,9", "2024-03-01 11:00:00,BTCUSDT,long,57000,3"]
    archive.levels(warehouse.data, "BTCUSDT", "vendor", "2024-03-01", day)
    archive.levels(warehouse.data, "BTCUSDT", "vendor", "2024-03", month)
    archive.levels(warehouse.data, "BTCUSDT", "rival", None, ["2024-03-01 10:00:00,BTCUSDT,long,58500,4"])
    warehouse.load()
    warehouse.build_untested("--select", "+stg_external__levels")
    assert warehouse.query(
        "select provider, hour(as_of), side, price, volume from staging.stg_external__levels order by all"
    ) == [
        ("rival", 10, "long", 58500, 4),
        ("vendor", 10, "long", 59000, 1),
        ("vendor", 10, "short", 61000, 2),
        ("vendor", 11, "long", 57000, 3),
    ]
