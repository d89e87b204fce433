"""The whole way on generated files: archive, load, build, summary. Everything lies in the project's `demo/`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from loaders import warehouse
from loaders.errors import DemoFailed
from loaders.ingest import load
from loaders.ingest.load import LoadResult, Request
from loaders.progress import Reporter
from loaders.queries import gaps
from loaders.queries.gaps import Gap
from loaders.runs import dbt, sample
from loaders.selection import Selection
from loaders.settings import Settings
from loaders.warehouse import ledger

_TABLES = """
    select schema_name || '.' || table_name
    from duckdb_tables()
    where database_name = current_database() and schema_name in ('raw', 'marts')
    order by schema_name desc, table_name
"""

# Large: at least half of the greatest bin of its side.
_LEVELS = """
    with

    bins as (

        select symbol, side, price_bin, any_value(last_price) as last_price, sum(volume_usd) as volume_usd
        from marts.liquidation_map
        group by symbol, side, price_bin

    ),

    large as (

        select *
        from bins
        qualify volume_usd >= max(volume_usd) over (partition by symbol, side) / 2

    )

    select symbol, side, price_bin, last_price, volume_usd
    from large
    where (side = 'long' and price_bin < last_price) or (side = 'short' and price_bin > last_price)
    qualify row_number() over (partition by symbol, side order by abs(price_bin - last_price)) = 1
    order by symbol, side desc
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo has to show."""

    warehouse: Path
    report: LoadResult
    rows: list[tuple[str, int]]
    gaps: list[Gap]
    levels: list[tuple[Any, ...]]


def run(settings: Settings, reporter: Reporter) -> Summary:
    """Generates, lands, builds, reads. Raises `DemoFailed` if the build does not pass."""
    project = settings.project()
    folder = project / "demo"
    path = folder / "demo.duckdb"
    sample.write_archive(folder)
    request = Request((folder / "data",), Selection(), retries=settings.retries)
    with warehouse.writer(settings, path, readable=request.folders) as opened, reporter:
        report = load.load(opened, settings, request, reporter)
    if report.exit_status:
        raise DemoFailed("the sample could not be landed whole: remove the folder demo/ and run again")
    built = dbt.build(project, path, reporter=reporter)
    if built.status:
        print(built.printed, file=sys.stderr)
        raise DemoFailed(f"dbt build ended with status {built.status}: what it printed above names the model or test")
    with warehouse.reader(path) as connection:
        return Summary(
            path,
            report,
            [(name, _count(connection, name)) for (name,) in connection.execute(_TABLES).fetchall()],
            gaps.find(connection, Selection(), ledger.now()),
            connection.execute(_LEVELS).fetchall(),
        )


def text(summary: Summary) -> str:
    """The summary for people."""
    totals = summary.report.totals
    lines = [
        f"{totals.files_loaded} files loaded ({totals.rows_loaded:,} rows), {totals.files_skipped} skipped",
        "",
        "Rows by table",
        *(f"  {name:36} {rows:>8,}" for name, rows in summary.rows),
        "",
        "Gaps",
    ]
    for gap in summary.gaps:
        series = f"{gap.exchange} {gap.dataset} {gap.market} {gap.symbol} {gap.interval}"
        start, end = (f"{time:%Y-%m-%d %H:%M}" for time in (gap.gap_start, gap.gap_end))
        lines.append(f"  {series:28} {gap.missing:>4} missing from {start} to {end}")
    lines += [
        "" if summary.gaps else "  none",
        "Nearest large levels (USD of position notional that would be liquidated)",
    ]
    for symbol, side, price_bin, last_price, volume in summary.levels:
        place = "below" if side == "long" else "above"
        away = abs(price_bin / last_price - 1) * 100
        lines.append(
            f"  {symbol:10} {place} {last_price.normalize():f}: {side}s at {price_bin.normalize():f} "
            f"({away:.2f} % away), {volume:,.0f} USD"
        )
    lines += [
        "",
        "What to try next",
        f"  loaders --warehouse {summary.warehouse} status",
        "  loaders load --data-dir DIR --dry-run        what your own files would bring",
        "  loaders load --data-dir DIR && dbt build     and then query marts.* with any DuckDB client",
    ]
    return "\n".join(lines)


def to_dict(summary: Summary) -> dict[str, Any]:
    """The summary as plain data."""
    level = ("symbol", "side", "price_bin", "last_price", "volume_usd")
    return {
        "warehouse": str(summary.warehouse),
        "load": load.to_dict(summary.report),
        "rows": dict(summary.rows),
        "gaps": gaps.to_dict(summary.gaps)["gaps"],
        "levels": [dict(zip(level, row, strict=True)) for row in summary.levels],
    }


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    ((rows,),) = connection.execute(f"select count(*) from {table}").fetchall()
    return int(rows)
