"""Promise 3 for histories nobody thought of: random files, published again, in random batches, built now and then.

What comes out must be what one full build makes of the files as they lie there at the end. A build takes seconds, so
the suite tries few histories; `python benchmarks/long_runs.py histories` asks for more.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import archive
from tests.support.warehouse import Warehouse

SYMBOLS = ("AAAUSDT", "BBBUSDT")
DAYS = ("2024-02-28", "2024-02-29", "2024-03-01")
TRADES_A_DAY = 8640


@dataclass(frozen=True)
class Publication:
    """A file as published once: what it is, which of its rows it lacks, and how far its prices are off."""

    kind: str
    symbol: str
    day: str
    lacks: frozenset[int]
    shift: Decimal

    def keeps(self, time: datetime) -> bool:
        """Whether the row of a time is in the file. Rows go missing by twenty minutes."""
        return (time.hour * 3 + time.minute // 20) not in self.lacks

    def publish(self, data: Path) -> None:
        """Writes the file, over an earlier revision of it if there is one."""
        match self.kind:
            case "klines 5m":
                archive.klines(data, self.symbol, self.day, 5, self.keeps, shift=self.shift)
            case "klines 1m":
                archive.klines(data, self.symbol, self.day, 1, self.keeps, shift=self.shift)
            case "klines of the month":
                days = {time.day for time in map(archive.day, DAYS) if time.strftime("%Y-%m") == self.day[:7]}
                archive.klines(
                    data,
                    self.symbol,
                    self.day[:7],
                    5,
                    lambda time: time.day in days and self.keeps(time),
                    shift=self.shift,
                )
            case "mark-price klines":
                archive.klines(
                    data,
                    self.symbol,
                    self.day,
                    5,
                    self.keeps,
                    kind="markPriceKlines",
                    shift=self.shift + Decimal("0.07"),
                )
            case "spot klines":
                archive.klines(data, self.symbol, self.day, 5, self.keeps, market="spot", shift=self.shift + 3)
            case "metrics, instants":
                archive.metrics(data, self.symbol, self.day, self.keeps, zero=lambda time: time.hour in self.lacks)
            case "metrics, starts":
                archive.metrics(data, self.symbol, self.day, self.keeps, label_minutes=5)
            case "trades":
                first_id = 100_000 + TRADES_A_DAY * DAYS.index(self.day)
                archive.agg_trades(data, self.symbol, self.day, first_id, self.keeps)
            case "liquidations":
                archive.some_liquidations(data, self.symbol, self.day, self.keeps)
            case "levels":
                archive.some_levels(data, self.symbol, self.day, self.keeps, self.shift)
            case "levels of the month":
                archive.some_levels(data, self.symbol, self.day[:7], self.keeps, self.shift)


KINDS = (
    "klines 5m",
    "klines 1m",
    "klines of the month",
    "mark-price klines",
    "spot klines",
    "metrics, instants",
    "metrics, starts",
    "trades",
    "liquidations",
    "levels",
    "levels of the month",
)
publications = st.builds(
    Publication,
    kind=st.sampled_from(KINDS),
    symbol=st.sampled_from(SYMBOLS),
    day=st.sampled_from(DAYS),
    lacks=st.frozensets(st.integers(0, 71), max_size=4),
    shift=st.sampled_from([Decimal(0), Decimal("0.50"), Decimal("-1.25")]),
)
histories = st.lists(st.lists(publications, min_size=2, max_size=6), min_size=2, max_size=4)


@settings(
    max_examples=int(os.environ.get("HISTORY_EXAMPLES", "2")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(history=histories)
def test_any_history_gives_the_marts_of_one_full_build(history: list[list[Publication]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder) / "grown")
        for batch in history:
            for publication in batch:
                publication.publish(warehouse.data)
            warehouse.load()
            warehouse.build_untested()
        fresh = Warehouse(Path(folder))
        fresh.load(warehouse.data)
        fresh.build_untested()
        grown, expected = warehouse.marts(), fresh.marts()
        assert grown.keys() == expected.keys()
        for name, rows in expected.items():
            assert grown[name] == rows, name
