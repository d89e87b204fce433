"""The whole way on generated files: archive, load, build, summary. Everything lies in the project's `demo/`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from loaders import loading, sample, warehouse
from loaders.discovery import Selection
from loaders.errors import DemoFailed
from loaders.loading import Report, Request
from loaders.progress import Reporter
from loaders.settings import Settings

_ROWS = """
    select schema_name || '.' || table_name as name, estimated_size as rows
    from duckdb_tables()
    where database_name = current_database() and schema_name in ('raw', 'marts')
    order by schema_name desc, table_name
"""

# Read from the rows themselves: a gap lies between two rows that were landed.
_HOLES = """
    with

    times as (

        select distinct
            'klines' as dataset, market, symbol, "interval", open_time as landed_at,
            case "interval" when '1m' then interval 1 minute when '5m' then interval 5 minutes end as step
        from raw.binance_klines
        where kline_type = 'last' and "interval" in ('1m', '5m')
        union all
        select distinct 'metrics', market, symbol, null, create_time, interval 5 minutes
        from raw.binance_metrics

    ),

    neighbours as (

        select
            *,
            lead(landed_at) over (partition by dataset, market, symbol, "interval" order by landed_at) as next_at
        from times

    )

    select
        dataset, market, symbol, "interval",
        landed_at + step as gap_start,
        next_at as gap_end,
        (epoch(next_at) - epoch(landed_at))::bigint // epoch(step)::bigint - 1 as missing
    from neighbours
    where next_at > landed_at + step
    order by all
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
    report: Report
    rows: list[tuple[str, int]]
    holes: list[tuple[Any, ...]]
    levels: list[tuple[Any, ...]]


def run(settings: Settings, reporter: Reporter) -> Summary:
    """Generates, lands, builds, reads. Raises `DemoFailed` if the build does not pass."""
    project = settings.project()
    folder = project / "demo"
    path = folder / "demo.duckdb"
    sample.write_archive(folder)
    request = Request((folder / "data",), Selection(), retries=settings.retries)
    with warehouse.writer(settings, path, readable=request.folders) as opened, reporter:
        report = loading.load(opened, settings, request, reporter)
    if report.exit_status:
        raise DemoFailed("the sample could not be landed whole: remove the folder demo/ and run again")
    build(project, path)
    with warehouse.reader(path) as connection:
        return Summary(
            path,
            report,
            [(name, rows) for name, rows in connection.execute(_ROWS).fetchall()],
            connection.execute(_HOLES).fetchall(),
            connection.execute(_LEVELS).fetchall() if _has_map(connection) else [],
        )


def build(project: Path, path: Path) -> None:
    """`dbt build` in a process of its own: after dbt ran, its process cannot open the file read-only."""
    program = "import sys; from dbt.cli.main import cli; sys.exit(cli())"
    folders = ["--project-dir", str(project), "--profiles-dir", str(project)]
    command = [sys.executable, "-c", program, "--no-use-colors", "build", "--quiet", *folders]
    environment = {**os.environ, "LOADERS_WAREHOUSE": str(path)}
    # Its output is not a result of ours, so it goes where progress goes.
    status = subprocess.run(command, cwd=project, env=environment, stdout=sys.stderr, check=False).returncode
    if status:
        raise DemoFailed(f"dbt build ended with status {status}: what it printed above names the model or test")


def text(summary: Summary) -> str:
    """The summary for people."""
    totals = summary.report.totals
    lines = [
        f"{totals.files_loaded} files loaded ({totals.rows_loaded:,} rows), {totals.files_skipped} skipped",
        "",
        "Rows by table",
        *(f"  {name:34} {rows:>10,}" for name, rows in summary.rows),
        "",
        "Holes",
    ]
    for dataset, market, symbol, interval, start, end, missing in summary.holes:
        series = " ".join(part for part in (dataset, market, symbol, interval) if part)
        lines.append(f"  {series:28} {missing:>4} missing from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}")
    lines += [
        "" if summary.holes else "  none",
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


def facts(summary: Summary) -> dict[str, Any]:
    """The summary as plain data."""
    hole = ("dataset", "market", "symbol", "interval", "gap_start", "gap_end", "missing")
    level = ("symbol", "side", "price_bin", "last_price", "volume_usd")
    return {
        "warehouse": str(summary.warehouse),
        "load": loading.facts(summary.report),
        "rows": dict(summary.rows),
        "holes": [dict(zip(hole, row, strict=True)) for row in summary.holes],
        "levels": [dict(zip(level, row, strict=True)) for row in summary.levels],
    }


def _has_map(connection: duckdb.DuckDBPyConnection) -> bool:
    row = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = 'marts' and table_name = 'liquidation_map'"
    ).fetchone()
    return bool(row and row[0])
