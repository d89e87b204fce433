"""Kraken's OHLCVT downloads: `{PAIR}_{minutes}.csv`, no header, seconds, candles without a trade absent."""

from __future__ import annotations

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
