"""Kraken's OHLCVT downloads: `{PAIR}_{minutes}.csv`, no header, seconds, candles without a trade absent."""

from __future__ import annotations

import re

from loaders.datasets.base import Column, FileLayout, Kind

#: Lengths of candles that Kraken publishes, in minutes → as this project writes intervals.
MINUTES: dict[int, str] = {
    1: "1m",
    5: "5m",
    15: "15m",
    30: "30m",
    60: "1h",
    240: "4h",
    720: "12h",
    1440: "1d",
}

#: Quote currencies, by which a pair is taken apart; the longest that fits counts.
QUOTES = (
    "USDT", "USDC", "USDQ", "USDR", "PYUSD", "RLUSD", "USDG", "USD", "EURT", "EURC", "EURQ", "EURR", "EUROP", "EUR",
    "GBP", "CAD", "JPY", "CHF", "AUD", "AED", "DAI", "XBT", "ETH", "DOT", "POL", "SOL", "BTC",
)  # fmt: skip

#: Kraken's names where the rest of the world has another.
COMMON_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
# The oldest pairs have a letter in front of each currency: X for a coin, Z for money.
_LONG_NAME = re.compile(r"X(?P<base>[A-Z]{3})(?:Z(?P<money>USD|EUR|GBP|CAD|JPY)|X(?P<coin>XBT|ETH))")


def pair_name(text: str) -> str:
    """A pair as the files are named: `XXBTZUSD` is `XBTUSD`; all others stay."""
    match = _LONG_NAME.fullmatch(text)
    return match["base"] + (match["money"] or match["coin"]) if match else text


OHLCVT = FileLayout(
    name="ohlcvt",
    exchange="kraken",
    dataset="ohlcvt",
    table="kraken_ohlcvt",
    columns=(
        Column("timestamp", Kind.EPOCH),
        Column("open", Kind.DECIMAL, scale=15),
        Column("high", Kind.DECIMAL, scale=15),
        Column("low", Kind.DECIMAL, scale=15),
        Column("close", Kind.DECIMAL, scale=15),
        Column("volume", Kind.DECIMAL, scale=15),
        Column("trades", Kind.INTEGER),
    ),
    key=("timestamp",),
    time="timestamp",
    checks=(
        ("a price that cannot be (zero or negative)", "low > 0"),
        ("high and low do not enclose open and close", "high >= greatest(open, close) and low <= least(open, close)"),
        ("a negative volume or count", "volume >= 0 and trades >= 0"),
        ("timestamp is not a multiple of the interval", "{aligned}"),
    ),
)
