"""How complete each series is, by tier, interval and asset, as the last build saw it: for people, in colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import duckdb
from rich.console import Console
from rich.table import Table

from loaders.datasets import INTERVALS
from loaders.datasets.assets import asset_of
from loaders.errors import MartsMissing
from loaders.queries import gaps
from loaders.queries.gaps import Gap
from loaders.rendering import minute, width
from loaders.selection import Selection

_NO_TIER = "none"
# Columns that all of the report needs; in fewer, it leaves out what the rest tells.
_WIDE = 150

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
    return {"series": [asdict(one) | {"share": one.share} for one in found]}


def text(found: Sequence[Completeness], *, colours: bool) -> str:
    """The report as a table: green is whole, yellow lacks little, red more than a hundredth."""
    if not found:
        return "no series: land files and run `dbt build` first"
    wide = width() >= _WIDE
    table = Table(box=None, pad_edge=False)
    for column in ("tier", "interval", "asset") if wide else ("tier",):
        table.add_column(column, no_wrap=True)
    table.add_column("series", overflow="fold")
    for column in ("expected", "present", "share") if wide else ("share",):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("first", "last") if wide else ("last",):
        table.add_column(column, no_wrap=True)
    table.add_column("gaps", justify="right")
    table.add_column("what to do", overflow="fold")
    for one in found:
        colour = "green" if one.present == one.expected else "yellow" if (one.share or 0) >= 0.99 else "red"
        series = f"{one.dataset} {one.market} {one.symbol}"
        cells: tuple[str, ...]
        share = f"[{colour}]{_shown(one.share)}[/{colour}]"
        if wide:
            counts = (f"{one.expected:,}", f"{one.present:,}", share)
            cells = (one.interval, one.asset, series, *counts, minute(one.first_time), minute(one.last_time))
        else:
            cells = (f"{series} {one.interval}", share, f"{one.last_time:%Y-%m-%d}" if one.last_time else "")
        table.add_row(one.tier, *cells, f"{one.gaps:,}", one.advice)
    # Nothing but text where nobody looks: bold headings are signs for a terminal, too.
    system: Literal["standard"] | None = "standard" if colours else None
    console = Console(width=width(), force_terminal=colours, color_system=system)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _shown(share: float | None) -> str:
    """A share that is not whole is never shown as 100 %."""
    return "" if share is None else f"{share if share >= 1 else min(share, 0.9999):.2%}"
