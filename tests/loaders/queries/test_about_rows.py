"""What rows are about: the symbols and days that they name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from loaders.queries.about_rows import about


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param([{"symbol": "BTCUSDT", "open_time": "2026-06-26 00:05:00"}], "BTCUSDT, 2026-06-26", id="one day"),
        pytest.param(
            [
                {"pair": "XBTUSD", "timestamp": datetime(2026, 6, 28)},  # noqa: DTZ001
                {"pair": "ETHUSD", "timestamp": datetime(2026, 6, 26)},  # noqa: DTZ001
            ],
            "ETHUSD, XBTUSD, 2026-06-26 to 2026-06-28",
            id="several, whatever their order and type",
        ),
        pytest.param([{"symbol": f"S{number}"} for number in range(7)], "S0, S1, S2, S3, S4 and 2 more", id="many"),
        pytest.param([{"row_count": "3", "price": "2026.5", "symbol": None}], "", id="neither"),
    ],
)
def test_symbols_and_days_are_named(rows: list[dict[str, Any]], says: str) -> None:
    assert about(rows) == says
