"""What a command was asked for: exchanges, symbols, datasets, intervals and days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from loaders.datasets import Identity


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for; empty means everything. `start` inclusive, `end` exclusive, UTC."""

    exchanges: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    intervals: frozenset[str] = frozenset()
    start: datetime | None = None
    end: datetime | None = None

    def takes(self, identity: Identity) -> bool:
        """Whether a file of that identity is asked for. Files without a symbol or period are, by that option."""
        if self.exchanges and identity.exchange not in self.exchanges:
            return False
        if self.datasets and identity.dataset not in self.datasets:
            return False
        if self.symbols and identity.symbol is not None and identity.symbol not in self.symbols:
            return False
        if self.intervals and identity.interval is not None and identity.interval not in self.intervals:
            return False
        if self.start and identity.period_end and identity.period_end <= self.start:
            return False
        return not (self.end and identity.period_start and identity.period_start >= self.end)
