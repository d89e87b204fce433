"""The verdict on the map: worked out a second way on a made market, and the known figures of a real one."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.marts import verdict_reference as reference
from tests.support.warehouse import PROJECT, Warehouse

RECORDS = PROJECT.parent / "shared" / "market" / "liquidations_2023"
EDGES = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.006)
EXTREMES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 24.0, 48.0)
WEIGHTS = {5: 0.15, 10: 0.30, 25: 0.25, 50: 0.20, 100: 0.10}
ONLY_VERDICT = ("--select", "+marts.verdict", "--vars", f"{{verdict_other_days: {reference.OTHER_DAYS}}}")


@pytest.fixture(scope="module")
def market() -> reference.Market:
    return reference.walk()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, market: reference.Market) -> Warehouse:
    """The made market, landed and judged."""
    warehouse = Warehouse(tmp_path_factory.mktemp("verdict"))
    reference.write(market, warehouse.data)
    warehouse.load()
    warehouse.build_untested(*ONLY_VERDICT)
    return warehouse


@pytest.fixture(scope="module")
def expected(market: reference.Market) -> dict[reference.Key, float]:
    return reference.crossed(market)


def weighted(expected: dict[reference.Key, float], provider: str, side: str) -> dict[datetime, float]:
    """What a candle crosses under the weights of the seed."""
    found: dict[datetime, float] = defaultdict(float)
    for (name, on, leverage, end), usd in expected.items():
        if (name, on) == (provider, side):
            found[end] += usd * WEIGHTS.get(leverage, 0.0)
    return found


def test_what_each_candle_crosses_of_each_map(judged: Warehouse, expected: dict[reference.Key, float]) -> None:
    rows = judged.query("select provider, side, leverage, step_at, crossed_usd from intermediate.int_verdict_crossed")
    found = {(provider, side, leverage, end): float(usd) for provider, side, leverage, end, usd in rows}
    assert {name for name, *_ in found} == {
        *("net", "gross", "net_of_other_days", "gross_of_other_days", "volume_alone", "fixed_distances")
    }
    assert len(found) > 1000
    assert found.keys() == expected.keys()
    for key, usd in expected.items():
        assert abs(found[key] - usd) <= max(1e-9 * abs(usd), 1e-4), key


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("provider", ["net", "gross", "volume_alone"])
def test_ratio_and_interval(
    judged: Warehouse, market: reference.Market, expected: dict[reference.Key, float], provider: str, side: str
) -> None:
    candles = reference.judged(market, side, EXTREMES, 6)
    crossed = weighted(expected, provider, side)
    crossing = {candle.end: crossed[candle.end] > 0 for candle in candles}
    ((candles_crossing, others, found, low, high, usd, recorded),) = judged.query(
        "select crossing_candles, other_candles, ratio, ratio_low, ratio_high, crossed_usd, crossing_usd + other_usd "
        f"from marts.liquidation_crossings where provider = '{provider}' and side = '{side}' and stratum = 'all moves'"
    )
    assert (candles_crossing, others) == (sum(crossing.values()), len(candles) - sum(crossing.values()))
    assert float(usd) == pytest.approx(sum(crossed.values()), rel=1e-9)
    assert float(recorded) == pytest.approx(sum(candle.liquidated for candle in candles), rel=1e-9)
    assert float(found) == pytest.approx(reference.ratio(candles, crossing, EDGES), rel=1e-6)
    interval = reference.interval(candles, crossing, EDGES)
    if interval is None:
        assert low is None
    else:
        assert (float(low), float(high)) == pytest.approx(interval, rel=1e-4, abs=1e-6)


def r2(columns: list[NDArray[np.float64]], outcome: NDArray[np.float64]) -> float:
    table = np.column_stack([np.ones(len(outcome)), *columns])
    fitted = table @ np.linalg.lstsq(table, outcome, rcond=None)[0]
    return float(1 - np.square(outcome - fitted).sum() / np.square(outcome - outcome.mean()).sum())


@pytest.mark.parametrize("side", ["long", "short"])
def test_what_a_map_adds_to_r2(
    judged: Warehouse, market: reference.Market, expected: dict[reference.Key, float], side: str
) -> None:
    candles = reference.judged(market, side, EXTREMES, 6)
    crossed = weighted(expected, "gross", side)
    outcome = np.log1p([candle.liquidated for candle in candles])
    plain = [np.array([candle.move for candle in candles]), np.log1p([candle.traded for candle in candles])]
    extremes = [np.array([float(candle.extreme >= hours) for candle in candles]) for hours in EXTREMES]
    added = np.log1p([crossed[candle.end] for candle in candles])
    wanted = {
        "move and volume": (r2(plain, outcome), r2([*plain, added], outcome)),
        "move, volume and new extremes": (r2([*plain, *extremes], outcome), r2([*plain, *extremes, added], outcome)),
    }
    rows = judged.query(
        "select baseline, r2_baseline, r2_with, r2_added_low, r2_added, r2_added_high from marts.liquidation_added_r2 "
        f"where provider = 'gross' and side = '{side}' and predictors = 'map' and asked_of = 'all'"
    )
    found = {baseline: (float(base), float(whole)) for baseline, base, whole, *_ in rows}
    assert found.keys() == wanted.keys()
    for baseline, pair in wanted.items():
        assert found[baseline] == pytest.approx(pair, abs=2e-6)
    assert all(low < added < high for *_, low, added, high in rows)


def test_an_order_is_liquidated_before_it_is_bankrupt(judged: Warehouse, market: reference.Market) -> None:
    # 0.5 × 137,819 = 68,909.50 USD lie in the second bracket of BTCUSDT, 0.5 %; 137,819 ÷ 0.995 = 138,511.557789.
    ((price, rate, stray),) = judged.query(
        "select liquidation_price, maintenance_margin_rate, is_stray from marts.recorded_liquidations "
        "where bankruptcy_price = 137819"
    )
    assert (price, rate, stray) == (Decimal("138511.55778894"), Decimal("0.005000"), True)
    assert judged.query("select count(*), count(*) filter (where is_stray) from marts.recorded_liquidations") == [
        (len(market.orders), 1)
    ]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    if not RECORDS.is_dir():
        pytest.skip("no market records at ../shared/market")
    warehouse = Warehouse(tmp_path_factory.mktemp("real"))
    warehouse.load(RECORDS)
    warehouse.build_untested("--select", "fqn:*")
    return warehouse


def test_the_real_recordings_say_what_is_known_of_them(real: Warehouse) -> None:
    """Figures of another program on the same records: nine days, two recordings."""
    crossed = {
        side: float(usd) / 1e6
        for side, usd in real.query(
            "select side, crossed_usd from marts.liquidation_crossings "
            "where provider = 'net' and stratum = 'all moves, recording of 2023-11-27'"
        )
    }
    assert crossed == pytest.approx({"long": 167, "short": 441}, abs=1)
    rows = real.query(
        "select side, provider, predictors, baseline, r2_with from marts.liquidation_added_r2 "
        "where asked_of = '2023-11-27' and fitted_on = 'itself'"
    )
    found = {(side, provider, kind, baseline): float(value) for side, provider, kind, baseline, value in rows}
    for side, extremes, net, gross, net_on_top, gross_on_top in (
        ("long", 0.46, 0.40, 0.48, 0.026, 0.058),
        ("short", 0.49, 0.38, 0.46, 0.008, 0.029),
    ):
        plain, both = "move and volume", "move, volume and new extremes"
        base = found[side, "new_extremes", "extremes", plain]
        assert base == pytest.approx(extremes, abs=0.015)
        assert found[side, "net", "by leverage", plain] == pytest.approx(net, abs=0.015)
        assert found[side, "gross", "by leverage", plain] == pytest.approx(gross, abs=0.015)
        assert found[side, "net", "by leverage", both] - base == pytest.approx(net_on_top, abs=0.003)
        assert found[side, "gross", "by leverage", both] - base == pytest.approx(gross_on_top, abs=0.003)


def test_most_liquidation_prices_lie_within_their_candle_and_no_bankruptcy_price_does(real: Warehouse) -> None:
    ((orders, strays, within, bankrupt),) = real.query(
        "select count(*), count(*) filter (where is_stray), avg(is_within_candle::int), "
        "avg(bankruptcy_is_within_candle::int) from marts.recorded_liquidations where liquidated_at < '2023-12-05'"
    )
    assert (orders, strays) == (5229, 4)
    assert within > 0.95
    assert bankrupt < 0.05


def test_the_verdict_judges_the_levels_that_the_marts_show(real: Warehouse) -> None:
    assert real.query(
        """
        with levels as (
            select side, liquidated_at as step_at, sum(liquidated_volume_usd) as usd
            from marts.liquidation_levels
            where liquidated_at is not null
            group by all
        ),
        crossed as (
            select side, step_at, crossed_usd from intermediate.int_verdict_map_crossed where provider = 'net'
        )
        select count(*) from crossed full join levels using (side, step_at)
        inner join intermediate.int_verdict_candles using (side, step_at)
        where abs(coalesce(crossed_usd, 0) - coalesce(usd, 0)) > 0.01 + coalesce(usd, 0) / 1000000
        """
    ) == [(0,)]
