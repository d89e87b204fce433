"""A series: rows of one kind of one symbol, whichever files bring them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from loaders.datasets.base import INTERVALS, Identity


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """`kline_type` is `` and `interval` is `` where the dataset has none, so that series can be sorted."""

    exchange: str
    dataset: str
    market: str
    kline_type: str
    symbol: str
    interval: str

    @classmethod
    def of(cls, identity: Identity) -> Series | None:
        """The series of a file; None for files of many symbols, or of levels."""
        if identity.symbol is None or identity.market is None or identity.dataset == "levels":
            return None
        return cls(
            identity.exchange,
            identity.dataset,
            identity.market,
            identity.kline_type or "",
            identity.symbol,
            identity.interval or "",
        )

    @property
    def step(self) -> timedelta | None:
        """Distance of two rows; None where rows keep no grid."""
        if self.dataset == "metrics":
            return timedelta(minutes=5)
        return timedelta(microseconds=INTERVALS[self.interval]) if self.interval else None

    def __str__(self) -> str:
        kind = "" if self.kline_type in ("", "last") else self.kline_type
        return " ".join(part for part in (self.dataset, self.market, kind, self.symbol, self.interval) if part)
