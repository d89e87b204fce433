"""The backtest can come out bad: a map of noise has no lift, one that knows the future has a high one."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

from tests.marts.conftest import Warehouse

DAYS = 24
START = datetime(2024, 3, 1)  # noqa: DTZ001 - as the marts have it: UTC without saying so
BINS = 60
EVENTS = 400

Bins = list[tuple[str, float, float]]


def generated(draw: random.Random) -> tuple[dict[datetime, float], list[tuple[datetime, str, float]]]:
    """Hourly closes, and events at random times from the eighth day on, within 4 % of the price on their own side."""
    closes, price = {}, 60000.0
    for hour in range(DAYS * 24):
        price *= 1 + draw.gauss(0, 0.003)
        closes[START + timedelta(hours=hour)] = round(price, 1)
    events = []
    for number in range(EVENTS):
        at = START + timedelta(days=8) + timedelta(seconds=number * (DAYS - 8) * 86400 / EVENTS + 600)
        side = draw.choice(("long", "short"))
        away = draw.uniform(0.002, 0.04) * (-1 if side == "long" else 1)
        before = closes[at.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)]
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


def judged(warehouse: Warehouse, draw_map: Callable[..., Bins]) -> list[tuple[Any, ...]]:
    """What the backtest says of a map, for the shortest horizon: events, hit rate, coverage, null hit rate, lift."""
    draw = random.Random(7)
    closes, events = generated(draw)
    warehouse.build_untested("--select", "+liquidation_backtest")
    with duckdb.connect(str(warehouse.path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.executemany(
            "insert into marts.candles_with_side (symbol, open_time, open, high, low, close)"
            " values ('AAAUSDT', $1, $2, $2, $2, $2)",
            [(at + timedelta(minutes=55), close) for at, close in closes.items()],
        )
        rows = {
            (bucket_at, side, round(price, 1)): volume
            for bucket_at, close in closes.items()
            for side, price, volume in draw_map(draw, bucket_at, close, events)
        }
        buckets, sides, bins = zip(*rows, strict=True)
        connection.execute(
            "insert into marts.liquidation_heatmap (symbol, bucket_at, side, price_bin, volume_usd)"
            " select 'AAAUSDT', unnest($1), unnest($2), unnest($3), unnest($4)",
            [list(buckets), list(sides), list(bins), list(rows.values())],
        )
        connection.executemany(
            "insert into raw.binance_liquidations (market, symbol, time, side, price, average_price,"
            " accumulated_fill_quantity, file_id) values ('um', 'AAAUSDT', $1, $2, $3, $3, 1, 1)",
            [(at, "SELL" if side == "long" else "BUY", price) for at, side, price in events],
        )
    warehouse.build_untested(
        "--select", "liquidation_backtest", "--vars", "{liquidation_backtest_horizons_minutes: [0]}"
    )
    return warehouse.query(
        "select events, hit_rate, coverage_share, null_hit_rate, lift from marts.liquidation_backtest"
        " where tolerance = 0.0025 order by side"
    )


def test_a_map_of_noise_has_no_lift(warehouse: Warehouse) -> None:
    """About 200 events a side and a hit rate near 0.25: the lift's standard error is near 0.13, thrice that is 0.4."""
    sides = judged(warehouse, noise)
    assert len(sides) == 2
    for events, hit_rate, coverage, _null, lift in sides:
        assert events > 150
        assert 0 < coverage < 0.5
        assert 0 < hit_rate < 0.6
        assert float(lift) == pytest.approx(1, abs=0.4)


def test_a_map_that_knows_the_future_has_a_high_lift(warehouse: Warehouse) -> None:
    """Every event stands in the map before it; on other days such a level is there by chance alone."""
    sides = judged(warehouse, prophecy)
    assert len(sides) == 2
    for _events, hit_rate, _coverage, null_hit_rate, lift in sides:
        assert hit_rate > 0.95
        assert null_hit_rate < 0.4
        assert lift > 3
