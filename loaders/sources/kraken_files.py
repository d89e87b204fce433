"""Kraken's downloads: one zip with everything up to some quarter, and one for each quarter after it.

No server lists them: a person downloads them from Kraken's help page. They are read as they are, without unpacking.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

PAGE = (
    "https://support.kraken.com/hc/en-us/articles/"
    "360047124832-Downloadable-historical-OHLCVT-Open-High-Low-Close-Volume-Trades-data"
)
FULL = "Kraken_OHLCVT.zip"

# A person who needs more quarters than this is better served by the full zip.
_MANY_QUARTERS = 8


def files_for(start: datetime, end: datetime) -> Iterator[str]:
    """Names of the zips that hold a range of time: quarters, or the full one for a long range."""
    names = []
    at = start.replace(day=1)
    while at < end:
        quarter = (at.month - 1) // 3 + 1
        names.append(f"Kraken_OHLCVT_Q{quarter}_{at.year}.zip")
        at = (at.replace(month=3 * quarter, day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
    yield from names if len(names) <= _MANY_QUARTERS else [FULL]
