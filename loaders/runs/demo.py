"""The whole way on generated files: archive, load, build, publication, page. All lies in the project's `demo/`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attrs
import duckdb

from loaders import warehouse
from loaders.delivery import publish
from loaders.errors import DemoFailed
from loaders.ingest import load
from loaders.ingest.load import LoadResult, Request
from loaders.progress import Reporter
from loaders.queries import gaps
from loaders.queries.gaps import Gap
from loaders.runs import dbt, sample
from loaders.selection import Selection
from loaders.settings import Settings
from loaders.validation import runner
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
    published: Path
    page: Path


def run(settings: Settings, reporter: Reporter) -> Summary:
    """Generates, lands, builds, validates, publishes, draws. Raises `DemoFailed` if the build does not pass."""
    from loaders.delivery.page import report as page

    project = settings.project()
    folder = project / "demo"
    path = folder / "demo.duckdb"
    # Nothing of the demo may land in the user's own files.
    settings = attrs.evolve(
        settings,
        warehouse=path,
        published=folder / "marts.duckdb",
        report=folder / "report.html",
        data_docs=folder / "data_docs",
    )
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
    validation = runner.validate(settings, path)
    if not validation.passed:
        raise DemoFailed(f"the expectations did not pass:\n{runner.text(validation)}")
    publication = publish.publish(settings, path, settings.published_path())
    written = page.write(settings, publication.path, settings.report_path())
    with warehouse.reader(path) as connection:
        return Summary(
            path,
            report,
            [(name, _count(connection, name)) for (name,) in connection.execute(_TABLES).fetchall()],
            gaps.find(connection, Selection(), ledger.now()),
            connection.execute(_LEVELS).fetchall(),
            publication.path,
            written.path,
        )


def text(summary: Summary) -> str:
    """The summary for people."""
    totals = summary.report.totals
    # As it stands, whether or not the environment is activated.
    command = os.path.relpath(Path(sys.executable).with_name("loaders"))
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
        lines.append(f"  {series:32} {gap.missing:>4} missing from {start} to {end}")
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
        f"  {command} --warehouse {summary.warehouse} status",
        f"  {command} load --data-dir DIR --dry-run    what your own files would bring",
        f"  {command} run --data-dir DIR               all of it; then query marts.duckdb with any DuckDB client",
        "",
        f"The page: {summary.page.as_uri()}",
    ]
    return "\n".join(lines)


def to_dict(summary: Summary) -> dict[str, Any]:
    """The summary as plain data."""
    level = ("symbol", "side", "price_bin", "last_price", "volume_usd")
    return {
        "warehouse": str(summary.warehouse),
        "published": str(summary.published),
        "report": str(summary.page),
        "load": load.to_dict(summary.report),
        "rows": dict(summary.rows),
        "gaps": gaps.to_dict(summary.gaps)["gaps"],
        "levels": [dict(zip(level, row, strict=True)) for row in summary.levels],
    }


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    ((rows,),) = connection.execute(f"select count(*) from {table}").fetchall()
    return int(rows)
