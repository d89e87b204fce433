"""What the ledger knows: jobs, files, coverage by exchange, dataset and symbol with its gaps, failures, overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import duckdb

from loaders.datasets import INTERVALS
from loaders.rendering import counted, few, length, minute, near, table, wrapped
from loaders.selection import Selection
from loaders.warehouse.ledger import FILES

Rows = list[dict[str, Any]]

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

_SERIES = 'exchange, dataset, market, kline_type, symbol, "interval", provider'

# The files of a series follow each other within a day, or within a candle that is longer. What lies further apart is a
# gap that shows before anything was built; between builds, `marts.data_gaps` knows them to the minute.
_COVERAGE = f"""
    with

    files as (

        select
            {_SERIES},
            first_time,
            last_time,
            rows_loaded,
            max(last_time) over (
                partition by {_SERIES}
                order by first_time, last_time
                rows between unbounded preceding and 1 preceding
            ) as time_before
        from {FILES}
        where status = 'loaded'

    ),

    apart as (

        select
            *,
            first_time > time_before + greatest(
                interval '1 day',
                to_microseconds(coalesce(map_extract_value($1::map(varchar, bigint), "interval"), 0))
            ) as is_after_gap
        from files

    )

    select
        {_SERIES},
        count(*) as files,
        sum(rows_loaded)::bigint as rows,
        min(first_time) as first_time,
        max(last_time) as last_time,
        max_by(time_before, first_time - time_before) filter (where is_after_gap) as longest_gap_start,
        max_by(first_time, first_time - time_before) filter (where is_after_gap) as longest_gap_end
    from apart
    group by all
    order by all
"""

_GAPS = """
    select
        exchange,
        dataset,
        market,
        symbol,
        "interval",
        count(*) as gaps,
        sum(missing)::bigint as missing,
        max_by(gap_start, gap_end - gap_start) as longest_gap_start,
        max_by(gap_end, gap_end - gap_start) as longest_gap_end
    from marts.data_gaps
    group by all
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

# More series than these are shown by dataset and interval; more failures or overlaps are counted.
_SERIES_SHOWN = 40
_SHOWN = 10
_JOBS_SHOWN = 5
_DAY_SECONDS = 86_400


def to_dict(
    connection: duckdb.DuckDBPyConnection, selection: Selection | None = None, *, overlaps: bool = False
) -> dict[str, Rows]:
    """The ledger's answer, part by part, as plain rows. Overlapping files only on request: they can be many.

    A series of the coverage has its longest gap, and the number of its gaps and of the rows missing in them where they
    are known: `gaps` is None before a build, and for series that `marts.data_gaps` is not about.
    """
    answer = {"jobs": _rows(connection, _JOBS), "files": _rows(connection, _FILES)}
    answer["coverage"] = _coverage(connection, selection or Selection())
    answer["failures"] = _rows(connection, _FAILURES)
    if overlaps:
        answer["overlaps"] = _rows(connection, _OVERLAPS)
    return answer


def _coverage(connection: duckdb.DuckDBPyConnection, selection: Selection) -> Rows:
    series = [
        row
        for row in _rows(connection, _COVERAGE, [INTERVALS])
        if selection.takes_series(row["exchange"], row["dataset"], row["symbol"] or "", row["interval"] or "")
    ]
    try:
        known = _rows(connection, _GAPS)
    except (duckdb.CatalogException, duckdb.BinderException):
        # Not built yet, or by an older version.
        return [{**row, "gaps": None, "missing": None} for row in series]
    by_series = {(row["exchange"], row["dataset"], row["market"], row["symbol"], row["interval"]): row for row in known}
    found = []
    for row in series:
        # Gaps are those of last-price candles, and snapshots stand under their five minutes there.
        interval = "5m" if row["dataset"] == "metrics" else row["interval"] or ""
        key = (row["exchange"], row["dataset"], row["market"], row["symbol"], interval)
        judged = row["kline_type"] in (None, "last") and row["dataset"] not in ("liquidations", "levels")
        gaps = by_series.get(key) if judged else None
        # What was landed since the build may lie further off than any gap that the build saw.
        newer = gaps is None or (_gap(row) or 0) > (_gap(gaps) or 0) + _DAY_SECONDS
        longest = row if newer or gaps is None else gaps
        found.append(
            {
                **row,
                "longest_gap_start": longest["longest_gap_start"],
                "longest_gap_end": longest["longest_gap_end"],
                "gaps": gaps["gaps"] if gaps else 0 if judged else None,
                "missing": gaps["missing"] if gaps else 0 if judged else None,
            }
        )
    return found


def text(answer: Mapping[str, Rows]) -> str:
    """The same for people, within the terminal's width."""
    parts = []
    if rows := answer.get("coverage"):
        parts += list(_coverage_tables(rows))
    if rows := answer.get("jobs"):
        parts.append("Last jobs\n" + _jobs_table(rows[:_JOBS_SHOWN]))
    if rows := answer.get("failures"):
        lines = [f"  {near(row['path'])}\n" + wrapped(row.get("error_message") or "", "    ") for row in rows]
        head = f"Failed files: {len(rows):,} (`loaders forget --file PATH` once one is dealt with)"
        parts.append("\n".join([wrapped(head), *few(lines, _SHOWN)]))
    if rows := answer.get("overlaps"):
        lines = [
            f"  {near(row['path'])}\n  {near(row['other_path'])}\n"
            f"    {minute(row['from_time'])} to {minute(row['to_time'])}"
            for row in rows
        ]
        parts.append("\n".join([f"Overlapping files: {len(rows):,}", *few(lines, _SHOWN)]))
    elif rows is not None and "overlaps" in answer:
        parts.append("Overlapping files: none")
    return "\n\n".join(parts)


def _coverage_tables(rows: Rows) -> Iterator[str]:
    for exchange, found in groupby(rows, key=lambda row: row["exchange"] or ""):
        series = list(found)
        if len(rows) <= _SERIES_SHOWN:
            shown, note = series, ""
        else:
            shown, note = _by_dataset(series), "\n" + wrapped(_note(series))
        yield f"Coverage, {exchange}\n" + _coverage_table(shown) + note


def _by_dataset(series: Rows) -> Rows:
    """Series that differ by their symbol as one: from the earliest to the latest, with the longest gap of any."""

    def kind(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(row[name] or "" for name in ("dataset", "market", "kline_type", "interval", "provider"))

    found = []
    for _, group in groupby(sorted(series, key=kind), key=kind):
        of_kind = list(group)
        longest = max(of_kind, key=lambda row: _gap(row) or 0)
        known = [row["gaps"] for row in of_kind if row["gaps"] is not None]
        found.append(
            {
                **longest,
                "symbol": f"({counted(len(of_kind), 'symbol')})",
                "rows": sum(row["rows"] for row in of_kind),
                "first_time": min((row["first_time"] for row in of_kind if row["first_time"]), default=None),
                "last_time": max((row["last_time"] for row in of_kind if row["last_time"]), default=None),
                "gaps": sum(known) if known else None,
            }
        )
    return found


def _gap(row: Mapping[str, Any]) -> float | None:
    """Seconds of the longest gap."""
    start: datetime | None = row["longest_gap_start"]
    return (row["longest_gap_end"] - start).total_seconds() if start is not None else None


def _name(row: Mapping[str, Any]) -> str:
    kind = row["kline_type"] if row["kline_type"] not in (None, "last") else None
    parts = (row["dataset"], row["market"], row["symbol"], row["interval"], kind, row["provider"])
    return " ".join(part for part in parts if part)


def _note(rows: Rows) -> str:
    """What a table of many series leaves out."""
    longest = max(rows, key=lambda row: _gap(row) or 0)
    of = f"The longest gap is in {_name(longest)}. " if _gap(longest) else ""
    return f"{of}`loaders status --symbol SYMBOL` shows the series of a symbol."


def _coverage_table(rows: Rows) -> str:
    lines = []
    for row in rows:
        start = row["longest_gap_start"]
        longest = "" if start is None else f"{length(row['longest_gap_end'] - start)}, {start:%Y-%m-%d}"
        lines.append(
            (
                _name(row),
                f"{row['rows']:,}",
                f"{row['first_time']:%Y-%m-%d}" if row["first_time"] else "",
                f"{row['last_time']:%Y-%m-%d}" if row["last_time"] else "",
                "?" if row["gaps"] is None else f"{row['gaps']:,}",
                longest,
            )
        )
    columns = ("series", "rows", "from", "until", "gaps", "longest, from")
    return table(columns, lines, right=("rows", "gaps"))


def _jobs_table(rows: Rows) -> str:
    numbers = ("loaded", "skipped", "failed", "rows")
    lines = [
        (
            row["job_id"],
            row["status"],
            *(f"{row[name] or 0:,}" for name in ("files_loaded", "files_skipped", "files_failed", "rows_loaded")),
        )
        for row in rows
    ]
    return table(("job", "status", *numbers), lines, right=numbers, indent=2)


def _rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] = ()) -> Rows:
    result = connection.execute(query, list(parameters))
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
