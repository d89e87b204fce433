"""A symbol that is priced at a few ticks has the levels that can be told apart, and withholds nobody else's."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.support import archive
from tests.support.warehouse import Warehouse

TICK = Decimal("0.00000001")


def a_few_ticks(root: Path, symbol: str, of: str) -> None:
    """Candles that rise by a tick and fall by a tick, between 1 and 12 ticks, with an open interest that only rises."""
    start, end, _ = archive.period(of)
    candles, snapshots = [archive.KLINES], [archive.METRICS]
    for number, time in enumerate(archive.steps(start, end, 5)):
        opened = TICK * (1 + number % 12)
        closed = TICK * (1 + (number * 5 + 3) % 12)
        close_time = archive.milliseconds(time + timedelta(minutes=5)) - 1
        high, low = max(opened, closed), min(opened, closed)
        prices = f"{opened:f},{high:f},{low:f},{closed:f}"
        candles.append(f"{archive.milliseconds(time)},{prices},100000,{close_time},0.005,10,50000,0.0025,0")
        contracts = 1_000_000 + number * 1000
        snapshots.append(f"{time:%Y-%m-%d %H:%M:%S},{symbol},{contracts},{contracts * opened:f},,,,")
    folder = root / "data/futures/um/daily"
    archive.write(folder / f"klines/{symbol}/5m/{symbol}-5m-{of}.csv", candles)
    archive.write(folder / f"metrics/{symbol}/{symbol}-metrics-{of}.csv", snapshots)


def test_levels_that_cannot_be_told_from_their_entry_are_none_and_every_test_passes(warehouse: Warehouse) -> None:
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-02")
    archive.metrics(warehouse.data, "AAAUSDT", "2024-03-02")
    a_few_ticks(warehouse.data, "TICKUSDT", "2024-03-02")
    warehouse.load()
    warehouse.build()
    counted = warehouse.query(
        """
        select
            symbol,
            count(*) > 0,
            bool_and(if(side = 'long', liquidation_price < entry_price, liquidation_price > entry_price))
        from marts.liquidation_levels
        group by symbol
        order by symbol
        """
    )
    assert counted == [("AAAUSDT", True, True), ("TICKUSDT", True, True)]
    # At 12 ticks a leverage of 100 moves the price by a tenth of a tick.
    assert warehouse.query("select max(leverage) < 100 from marts.liquidation_levels where symbol = 'TICKUSDT'") == [
        (True,)
    ]
