"""Which asset a symbol is about, by its common name: BTCUSDT, BTCUSDT_240329 and XXBTZUSD are about BTC."""

from __future__ import annotations

import re

from loaders.datasets import kraken

# USD-M names contracts of a thousand or a million coins after the number.
_MANY = re.compile(r"(?:1000000|10000|1000|1M)(?=[A-Z])")
_QUOTES = sorted({*kraken.QUOTES, "FDUSD", "BUSD", "BNB", "TRY", "BRL"}, key=len, reverse=True)


def asset_of(symbol: str) -> str | None:
    """The base asset; None where no known quote ends the symbol."""
    name = kraken.pair_name(_MANY.sub("", symbol.partition("_")[0], count=1))
    quote = next((one for one in _QUOTES if name.endswith(one) and len(name) > len(one)), None)
    return kraken.COMMON_NAMES.get(base := name.removesuffix(quote), base) if quote else None
