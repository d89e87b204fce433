"""How complete each series is, by tier, interval and asset, as the last build saw it: for people, in colours."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import duckdb

from loaders.datasets import INTERVALS
from loaders.datasets.assets import asset_of
from loaders.errors import MartsMissing
from loaders.queries import gaps
from loaders.queries.gaps import Gap
from loaders.rendering import Column, fitted, minute, width
from loaders.selection import Selection

_NO_TIER = "none"
# Columns that all of the report needs; in fewer, it leaves out what the rest tells.
_WIDE = 150
_STYLES = {"bold": 1, "red": 31, "green": 32, "yellow": 33}

# A gap across the end of the last day, or trades of unknown days, have no number: they are not expected.
_SERIES = """
    with

    days as (

        select
            exchange,
            dataset,
            market,
            symbol,
            "interval",
            sum(expected)::bigint as expected,
            sum(present)::bigint as present
        from marts.data_completeness
        group by all

    ),

    extents as (

        select
            exchange,
            dataset,
            market,
            symbol,
            coalesce("interval", case dataset when 'metrics' then '5m' else '' end) as "interval",
            min(first_time) as first_time,
            max(last_time) as last_time
        from ops.ingestion_files
        where status = 'loaded' and coalesce(kline_type, 'last') = 'last'
        group by all

    )

    select days.*, extents.first_time, extents.last_time
    from days
    left join extents
        on
            days.exchange = extents.exchange
            and days.dataset = extents.dataset
            and days.market = extents.market
            and days.symbol = extents.symbol
            and days."interval" = extents."interval"
"""


@dataclass(frozen=True, slots=True)
class Completeness:
    """A series: how many rows it should have and has, UTC times of the first and last, its gaps, what to do."""

    tier: str
    interval: str
    asset: str
    exchange: str
    dataset: str
    market: str
    symbol: str
    expected: int
    present: int
    first_time: datetime | None
    last_time: datetime | None
    gaps: int
    advice: str

    @property
    def share(self) -> float | None:
        """Present ÷ expected; None where nothing is expected."""
        return self.present / self.expected if self.expected else None


def find(
    connection: duckdb.DuckDBPyConnection, selection: Selection, tiers: Mapping[str, str], at: datetime
) -> list[Completeness]:
    """The series that are asked for, by tier, interval and asset. `at` as for `gaps.find`. Raises `MartsMissing`."""
    try:
        rows = connection.execute(_SERIES).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise MartsMissing("marts.data_completeness") from error
    by_series: dict[tuple[str, ...], list[Gap]] = {}
    for gap in gaps.find(connection, selection, at):
        by_series.setdefault((gap.exchange, gap.dataset, gap.market, gap.symbol, gap.interval), []).append(gap)
    found = []
    for exchange, dataset, market, symbol, interval, expected, present, first, last in rows:
        if not selection.takes_series(exchange, dataset, symbol, interval):
            continue
        asset = asset_of(symbol) or symbol
        known = by_series.get((exchange, dataset, market, symbol, interval), [])
        tier = tiers.get(asset, _NO_TIER)
        found.append(
            Completeness(
                tier,
                interval,
                asset,
                exchange,
                dataset,
                market,
                symbol,
                expected or 0,
                present,
                first,
                last,
                len(known),
                _advice(known),
            )
        )
    return sorted(found, key=_order)


def _order(one: Completeness) -> tuple[Any, ...]:
    return (
        one.tier == _NO_TIER,
        one.tier,
        INTERVALS.get(one.interval, 0),
        one.asset,
        one.dataset,
        one.market,
        one.symbol,
    )


def _advice(known: Sequence[Gap]) -> str:
    """What would fill most of the gaps."""
    if not known:
        return ""
    if any(gap.fillable for gap in known):
        return "loaders backfill"
    if all(gap.attempt == "filled" for gap in known):
        return "dbt build"
    open_ones = [gap for gap in known if gap.attempt != "filled"]
    if all(gap.attempt == "not to be had" for gap in open_ones):
        return "none: the exchange has none"
    return "download: loaders plan" if open_ones[0].dataset == "ohlcvt" else "loaders fetch"


def to_dict(found: Sequence[Completeness]) -> dict[str, Any]:
    """The report as plain data."""
    names = [field.name for field in fields(Completeness)]
    return {"series": [{name: getattr(one, name) for name in names} | {"share": one.share} for one in found]}


def text(found: Sequence[Completeness], *, colours: bool) -> str:
    """The report as a table: green is whole, yellow lacks little, red more than a hundredth."""
    if not found:
        return "no series: land files and run `dbt build` first"
    wide = width() >= _WIDE
    series, todo = Column("series", folds=True), Column("what to do", folds=True)
    share, known = Column("share", right=True), Column("gaps", right=True)
    if wide:
        counts = (Column("expected", right=True), Column("present", right=True), share)
        columns = [Column("tier"), Column("interval"), Column("asset"), series, *counts]
        columns += [Column("first"), Column("last"), known, todo]
    else:
        columns = [Column("tier"), series, share, Column("last"), known, todo]
    drawn = fitted(columns, [_cells(one, wide=wide) for one in found])
    if not colours:
        # Nothing but text where nobody looks: bold headings are signs for a terminal, too.
        return "\n".join("  ".join(line).rstrip() for lines in drawn for line in lines)
    shown = ["  ".join(_styled(cell, "bold") for cell in line).rstrip() for line in next(drawn)]
    place = columns.index(share)
    for one, lines in zip(found, drawn, strict=True):
        lines[0][place] = _styled(lines[0][place], _colour(one))
        shown += ["  ".join(line).rstrip() for line in lines]
    return "\n".join(shown)


def _cells(one: Completeness, *, wide: bool) -> tuple[str, ...]:
    series = f"{one.dataset} {one.market} {one.symbol}"
    gaps_and_advice = (f"{one.gaps:,}", one.advice)
    if not wide:
        last = f"{one.last_time:%Y-%m-%d}" if one.last_time else ""
        return (one.tier, f"{series} {one.interval}", _shown(one.share), last, *gaps_and_advice)
    counts = (f"{one.expected:,}", f"{one.present:,}", _shown(one.share))
    times = (minute(one.first_time), minute(one.last_time))
    return (one.tier, one.interval, one.asset, series, *counts, *times, *gaps_and_advice)


def _colour(one: Completeness) -> str:
    if one.present == one.expected:
        return "green"
    return "yellow" if (one.share or 0) >= 0.99 else "red"


def _styled(cell: str, style: str) -> str:
    """A cell with the terminal's signs around its text; what people set NO_COLOR for stays away."""
    text = cell.strip()
    if not text or (style != "bold" and os.environ.get("NO_COLOR")):
        return cell
    return cell.replace(text, f"\x1b[{_STYLES[style]}m{text}\x1b[0m")


def _shown(share: float | None) -> str:
    """A share that is not whole is never shown as 100 %."""
    return "" if share is None else f"{share if share >= 1 else min(share, 0.9999):.2%}"
