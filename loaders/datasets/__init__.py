"""For each kind of file: what it is called, which columns it publishes, and what its rows must look like.

Knows nothing of disks, of DuckDB connections or of the other modules.
"""

from loaders.datasets.base import (
    INTERVALS,
    NO_VALUE,
    SYMBOL,
    Column,
    FileLayout,
    Identity,
    Kind,
    Market,
    NameRefused,
    Unit,
    interval_microseconds,
)
from loaders.datasets.binance import AGG_TRADES, FORCE_ORDERS, FUNDING_RATES, KLINES, LIQUIDATIONS, METRICS
from loaders.datasets.external import LEVELS
from loaders.datasets.kraken import OHLCVT
from loaders.datasets.names import identify
from loaders.datasets.series import Series

#: Every layout, by its own name; several layouts may be one dataset (`liquidations`).
LAYOUTS: dict[str, FileLayout] = {
    layout.name: layout
    for layout in (KLINES, AGG_TRADES, METRICS, FUNDING_RATES, LIQUIDATIONS, FORCE_ORDERS, OHLCVT, LEVELS)
}

#: Exchanges of which something can be landed, as options and tables use them.
EXCHANGES: tuple[str, ...] = tuple(sorted({layout.exchange for layout in LAYOUTS.values()}))

#: Names of datasets as options and tables use them.
DATASETS: tuple[str, ...] = tuple(dict.fromkeys(layout.dataset for layout in LAYOUTS.values()))

__all__ = [
    "AGG_TRADES",
    "DATASETS",
    "EXCHANGES",
    "FORCE_ORDERS",
    "FUNDING_RATES",
    "INTERVALS",
    "KLINES",
    "LAYOUTS",
    "LEVELS",
    "LIQUIDATIONS",
    "METRICS",
    "NO_VALUE",
    "OHLCVT",
    "SYMBOL",
    "Column",
    "FileLayout",
    "Identity",
    "Kind",
    "Market",
    "NameRefused",
    "Series",
    "Unit",
    "identify",
    "interval_microseconds",
]
