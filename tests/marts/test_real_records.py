"""Real market records become the tables their own description promises. Skipped where the records are absent."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.warehouse import PROJECT, Warehouse

RECORDS = PROJECT.parent / "shared" / "data" / "binance" / "data"

pytestmark = pytest.mark.skipif(not RECORDS.is_dir(), reason="no market records at ../shared/data")

# Rows of each file, as described beside the records.
FILES = {
    "futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2022-05-05.csv": 1440,
    "futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2022-05-06.csv": 1440,
    "futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2023-04-15.csv": 1440,
    "futures/um/monthly/klines/AVAXUSDT/1m/AVAXUSDT-1m-2023-02.csv": 40320,
    "futures/um/monthly/klines/LINKUSDT/1m/LINKUSDT-1m-2026-02.csv": 40320,
    "futures/um/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06-28.csv": 288,
    "futures/um/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06-29.csv": 288,
    "futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2026-06-28.csv": 211,
    "futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2026-06-29.csv": 288,
    "futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08-08.csv": 10447,
    "futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-06.csv": 7,
    "spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2021-01.csv": 744,
    "spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2021-02.csv": 671,
    "spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2021-03.csv": 743,
    "spot/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2021-01.csv": 744,
    "spot/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2021-02.csv": 671,
    "spot/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2021-03.csv": 743,
    "spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06-28.csv": 288,
    "spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06-29.csv": 288,
}

# The hour from 07:00 UTC of 2026-06-28, worked out from the two files by hand: open and close of the candle, contracts
# open at its start and at its end, their difference, and what that says.
GOLDEN_HOUR = [
    ("07:00", "60002.82", "60125.35", "102919.497", "102822.505", "-96.992", "short_close"),
    ("07:05", "60125.35", "60101.27", "102822.505", "102798.316", "-24.189", "long_close"),
    ("07:10", "60101.27", "60140.94", "102798.316", "102797.300", "-1.016", "short_close"),
    ("07:15", "60140.94", "60143.64", "102797.300", "102792.573", "-4.727", "short_close"),
    ("07:20", "60143.65", "60133.45", "102792.573", "102765.173", "-27.400", "long_close"),
    ("07:25", "60133.45", "60108.42", "102765.173", "102756.645", "-8.528", "long_close"),
    ("07:30", "60108.42", "60127.00", "102756.645", "102779.335", "22.690", "long_open"),
    ("07:35", "60127.00", "60208.07", "102779.335", "102773.926", "-5.409", "short_close"),
    ("07:40", "60208.06", "60222.86", "102773.926", "102824.904", "50.978", "long_open"),
    ("07:45", "60222.87", "60242.05", "102824.904", "102840.250", "15.346", "long_open"),
    ("07:50", "60242.06", "60209.99", "102840.250", "102823.253", "-16.997", "long_close"),
    ("07:55", "60209.99", "60219.99", "102823.253", "102830.726", "7.473", "long_open"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse with all records landed and built, twice."""
    warehouse = Warehouse(tmp_path_factory.mktemp("records"))
    warehouse.load(RECORDS)
    warehouse.build()
    before = warehouse.marts()
    warehouse.load(RECORDS)
    warehouse.build_untested("--select", "fqn:*")
    assert warehouse.marts() == before, "a second load and build changes no row"
    return warehouse


def test_every_file_is_landed_whole(built: Warehouse) -> None:
    rows = built.query("select path, rows_loaded, rows_rejected, rows_duplicate, status from ops.ingestion_files")
    landed = {path.split("/data/", 2)[-1]: rest for path, *rest in rows}
    assert landed == {name: [count, 0, 0, "loaded"] for name, count in FILES.items()}


def test_a_second_load_skips_every_file(built: Warehouse) -> None:
    jobs = built.query(
        "select files_total, files_loaded, files_skipped, files_failed from ops.ingestion_jobs order by started_at"
    )
    assert jobs == [(19, 19, 0, 0), (19, 0, 19, 0)]


def test_spot_rows_do_not_leak_into_klines(built: Warehouse) -> None:
    counts = built.query(
        "select symbol, cast(open_time as date)::varchar, source, count(*) from marts.klines_5m group by all"
    )
    assert Counter({(symbol, day, source): count for symbol, day, source, count in counts if symbol == "BTCUSDT"}) == {
        ("BTCUSDT", "2022-05-05", "klines_1m"): 288,
        ("BTCUSDT", "2022-05-06", "klines_1m"): 288,
        ("BTCUSDT", "2023-04-15", "klines_1m"): 288,
        ("BTCUSDT", "2024-08-08", "agg_trades"): 1,
        ("BTCUSDT", "2026-06-28", "klines_5m"): 288,
        ("BTCUSDT", "2026-06-29", "klines_5m"): 288,
    }


@pytest.mark.parametrize("symbol", ["AVAXUSDT", "LINKUSDT"])
def test_a_month_of_one_minute_candles_gives_8064_candles(built: Warehouse, symbol: str) -> None:
    assert built.query(
        "select count(*), count(distinct open_time), min(source), max(source) "
        f"from marts.klines_5m where symbol = '{symbol}'"
    ) == [(8064, 8064, "klines_1m", "klines_1m")]


def test_the_golden_hour(built: Warehouse) -> None:
    found = built.query(
        "select strftime(open_time, '%H:%M'), open, close, oi_delta, position_event from marts.candles_with_side "
        "where symbol = 'BTCUSDT' and open_time between '2026-06-28 07:00' and '2026-06-28 07:55' order by 1"
    )
    assert found == [
        (time, Decimal(opened), Decimal(closed), Decimal(delta), event)
        for time, opened, closed, _, _, delta, event in GOLDEN_HOUR
    ]


def rows_of(*names: str) -> Iterator[dict[str, str]]:
    """Rows of the records' files with a header."""
    for name in names:
        with Path(RECORDS / name).open(newline="") as file:
            yield from csv.DictReader(file)


def test_every_candle_of_the_two_days_has_the_side_of_a_plain_calculation(built: Warehouse) -> None:
    contracts = {
        row["create_time"]: Decimal(row["sum_open_interest"])
        for row in rows_of(*(name for name in FILES if "metrics" in name))
    }
    expected = []
    for row in rows_of(*(name for name in FILES if "um/daily/klines/BTCUSDT/5m" in name)):
        opened_at = datetime.fromtimestamp(int(row["open_time"]) / 1000, UTC).replace(tzinfo=None)
        first, last = contracts.get(str(opened_at)), contracts.get(str(opened_at + timedelta(minutes=5)))
        delta = None if first is None or last is None else last - first
        rise = Decimal(row["close"]) - Decimal(row["open"])
        event = None
        if delta is not None:
            event = "none"
            if rise and delta:
                side = "long" if (rise > 0) == (delta > 0) else "short"
                event = f"{side}_{'open' if delta > 0 else 'close'}"
        expected.append((opened_at, delta, event))
    found = built.query(
        "select open_time, oi_delta, position_event from marts.candles_with_side "
        "where symbol = 'BTCUSDT' and open_time >= '2026-06-28' order by open_time"
    )
    assert found == expected
    assert sum(event is not None for _, _, event in expected) == 576 - 77 - 1


# The long opened in the candle of 07:30: 22.690 contracts at 60,127.00, BTCUSDT's first bracket (0.4 %, cum 0)
# and the weights .15, .30, .25, .20, .10. For 10x: 22.690 x .30 = 6.807 contracts, x 60,127 = 409,284.489 USD;
# 60,127 x (1 - 1/10) / (1 - .004) = 54,331.626506...; a thousandth of that is 54.3, so bins of 50, the one from 54,300.
GOLDEN_LEVELS = [
    (5, "48294.779116", "48280", "204642.24"),
    (10, "54331.626506", "54300", "409284.49"),
    (25, "57953.734940", "57950", "341070.41"),
    (50, "59161.104418", "59150", "272856.33"),
    (100, "59764.789157", "59750", "136428.16"),
]


def test_the_golden_levels(built: Warehouse) -> None:
    found = built.query(
        "select leverage, round(liquidation_price, 6), price_bin, round(volume_usd, 2) from marts.liquidation_levels "
        "where symbol = 'BTCUSDT' and opened_at = '2026-06-28 07:35' and side = 'long' order by leverage"
    )
    assert found == [(leverage, *map(Decimal, numbers)) for leverage, *numbers in GOLDEN_LEVELS]


def test_every_opening_has_the_levels_of_a_plain_calculation(built: Warehouse) -> None:
    openings = built.query(
        "select open_time, close, oi_delta, inferred_side from marts.candles_with_side "
        "where symbol = 'BTCUSDT' and open_time >= '2026-06-28' and inferred_side is not null"
    )
    weights = {5: ".15", 10: ".30", 25: ".25", 50: ".20", 100: ".10"}
    expected = {}
    for open_time, close, delta, side in openings:
        for leverage, weight in weights.items():
            sign = 1 if side == "long" else -1
            price = close * (1 - Decimal(sign) / leverage) / (1 - sign * Decimal("0.004"))
            expected[side, leverage, open_time + timedelta(minutes=5)] = price, delta * Decimal(weight) * close
    rows = built.query(
        "select side, leverage, opened_at, liquidation_price, volume_usd "
        "from marts.liquidation_levels where symbol = 'BTCUSDT'"
    )
    found = {(side, leverage, opened_at): numbers for side, leverage, opened_at, *numbers in rows}
    assert found.keys() == expected.keys()
    assert len(found) > 500
    for key, (price, volume) in found.items():
        # Both are kept with eight decimals.
        assert abs(price - expected[key][0]) <= Decimal("1e-8"), key
        assert abs(volume - expected[key][1]) <= Decimal("1e-7"), key


def test_a_level_ends_at_the_first_candle_that_crosses_it(built: Warehouse) -> None:
    candles = built.query(
        "select open_time, low, high from marts.klines_5m "
        "where symbol = 'BTCUSDT' and open_time >= '2026-06-28' order by 1"
    )
    levels = built.query(
        "select side, opened_at, liquidation_price, liquidated_at "
        "from marts.liquidation_levels where symbol = 'BTCUSDT'"
    )
    for side, opened_at, price, liquidated_at in levels:
        crossing = next(
            (
                start + timedelta(minutes=5)
                for start, low, high in candles
                if start >= opened_at and (low <= price if side == "long" else high >= price)
            ),
            None,
        )
        # Without a crossing at the end of a life, the level may have been closed before by falling open interest.
        assert liquidated_at == crossing or liquidated_at is None
    assert any(liquidated_at for *_, liquidated_at in levels)
