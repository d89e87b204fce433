"""What the ledger knows: jobs, files, coverage by exchange, dataset and symbol, failures, overlaps."""

from __future__ import annotations

from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loaders.warehouse.ledger import FILES

_JOBS = """
    select job_id, status, started_at, finished_at, files_total, files_loaded, files_skipped, files_failed, rows_loaded
    from ops.ingestion_jobs
    order by started_at desc, job_id desc
    limit 10
"""

_FILES = """
    select status, count(*) as files, sum(rows_loaded)::bigint as rows, sum(rows_rejected)::bigint as rejected
    from ops.ingestion_files
    group by status
    order by status
"""

_COVERAGE = f"""
    select
        exchange, dataset, market, kline_type, symbol, "interval", provider,
        count(*) as files,
        sum(rows_loaded)::bigint as rows,
        min(first_time) as first_time,
        max(last_time) as last_time
    from {FILES}
    where status = 'loaded'
    group by all
    order by all
"""

_FAILURES = """
    select path, error_message, job_id
    from ops.ingestion_files
    where status = 'failed'
    order by path
"""

_OVERLAPS = f"""
    select one.exchange, one.dataset, one.market, one.symbol, one."interval", one.path, other.path as other_path,
        greatest(one.first_time, other.first_time) as from_time, least(one.last_time, other.last_time) as to_time
    from {FILES} as one
    inner join {FILES} as other
        on
            one.exchange is not distinct from other.exchange
            and one.dataset = other.dataset
            and one.market is not distinct from other.market
            and one.kline_type is not distinct from other.kline_type
            and one.symbol is not distinct from other.symbol
            and one."interval" is not distinct from other."interval"
            and one.provider is not distinct from other.provider
            and one.file_id < other.file_id
            and one.first_time <= other.last_time
            and other.first_time <= one.last_time
    where one.status = 'loaded' and other.status = 'loaded'
    order by all
"""

_PARTS = {"jobs": _JOBS, "files": _FILES, "coverage": _COVERAGE, "failures": _FAILURES}


def to_dict(connection: duckdb.DuckDBPyConnection, *, overlaps: bool = False) -> dict[str, list[dict[str, Any]]]:
    """The ledger's answer, part by part, as plain rows. Overlapping files only on request: they can be many."""
    parts = {**_PARTS, **({"overlaps": _OVERLAPS} if overlaps else {})}
    return {name: _rows(connection, query) for name, query in parts.items()}


def text(answer: dict[str, list[dict[str, Any]]]) -> str:
    """The same as tables."""
    console = Console(width=160, record=False)
    with console.capture() as captured:
        for name, rows in answer.items():
            table = Table(title=f"{name} (none)" if not rows else name, title_justify="left", box=None)
            for column in rows[0] if rows else ():
                table.add_column(column, overflow="fold")
            for row in rows:
                table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
            console.print(table)
            console.print()
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
