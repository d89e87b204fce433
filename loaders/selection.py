"""What a command was asked for: exchanges, symbols, datasets, intervals and days."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from loaders.datasets import Identity
from loaders.datasets.assets import asset_of
from loaders.datasets.kraken import pair_name


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for; empty means everything. `start` inclusive, `end` exclusive, UTC.

    `assets` are base assets by their common names (BTC), of which every symbol is asked for.
    """

    exchanges: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    intervals: frozenset[str] = frozenset()
    start: datetime | None = None
    end: datetime | None = None
    assets: frozenset[str] = frozenset()

    def takes_symbol(self, symbol: str) -> bool:
        """Whether a symbol is asked for, by its own name, Kraken's long one, or its asset."""
        if not self.symbols and not self.assets:
            return True
        if symbol in self.symbols or any(pair_name(one) == symbol for one in self.symbols):
            return True
        return bool(self.assets) and asset_of(symbol) in self.assets

    def not_found(self, known: Collection[str]) -> dict[str, list[str]]:
        """Symbols that are asked for by name and are not among the known ones, with those that may have been meant."""
        missing = sorted(symbol for symbol in self.symbols if not {symbol, pair_name(symbol)} & set(known))
        return {symbol: _similar(symbol, known) for symbol in missing}

    def takes_series(self, exchange: str, dataset: str, symbol: str, interval: str) -> bool:
        """Whether a series is asked for."""
        return (
            (not self.exchanges or exchange in self.exchanges)
            and (not self.datasets or dataset in self.datasets)
            and (not self.intervals or not interval or interval in self.intervals)
            and self.takes_symbol(symbol)
        )

    def takes(self, identity: Identity) -> bool:
        """Whether a file of that identity is asked for. Files without a symbol or period are, by that option."""
        if self.exchanges and identity.exchange not in self.exchanges:
            return False
        if self.datasets and identity.dataset not in self.datasets:
            return False
        if identity.symbol is not None and not self.takes_symbol(identity.symbol):
            return False
        if self.intervals and identity.interval is not None and identity.interval not in self.intervals:
            return False
        if self.start and identity.period_end and identity.period_end <= self.start:
            return False
        return not (self.end and identity.period_start and identity.period_start >= self.end)


def _similar(symbol: str, known: Collection[str]) -> list[str]:
    """At most three: of the same asset (BTC: BTCUSDT), that begin like it, that are spelled nearly so."""
    wanted = asset_of(symbol) or symbol
    of_asset = sorted(
        (one for one in known if asset_of(one) == wanted), key=lambda one: (not one.endswith("USDT"), one)
    )
    begin = sorted(one for one in known if one.startswith(symbol))
    return list(dict.fromkeys([*of_asset, *begin, *difflib.get_close_matches(symbol, sorted(known))]))[:3]


def not_found_lines(missing: dict[str, list[str]], where: str) -> list[str]:
    """A line for each symbol that was not found: what may have been meant."""
    return [
        f"{symbol}: no {where} has that symbol" + (f"; did you mean {' or '.join(similar)}?" if similar else "")
        for symbol, similar in missing.items()
    ]
