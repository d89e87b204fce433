"""Is it healthy? What the last run, build, validation and publication left, and what somebody must look at."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from loaders.delivery.published import Published
from loaders.errors import LoadersError
from loaders.ingest.preflight import age_check
from loaders.rendering import counted, length, minute, near, size, wrapped
from loaders.runs.last_run import last_good_run_path, last_run_path, read_last_run
from loaders.settings import Settings
from loaders.warehouse import ledger, readiness

_ANALYSIS = Path("analyses") / "symbols_without_levels.sql"

_CHECKS = "select status, count(*) from marts.quality_checks group by status"
_WITHHELD = "select exchange, symbol, reasons from marts.symbol_status where not is_published order by all"
_FILES = """
    select count(*) filter (where status = 'failed'), sum(rows_rejected) filter (where status = 'loaded')
    from ops.ingestion_files
"""
_LAST_JOB = "select job_id, status from ops.ingestion_jobs order by started_at desc, job_id desc limit 1"
_NAMED = 8


@dataclass(slots=True)
class Health:
    """What was found. `problems` are what somebody must look at, by what they are about; none means healthy.

    Times are UTC, sizes in bytes. What has not happened yet is None or empty.
    """

    problems: list[tuple[str, str]] = field(default_factory=list)
    last_run: dict[str, Any] | None = None
    last_good_run: dict[str, Any] | None = None
    build: dict[str, Any] | None = None
    validation: dict[str, Any] | None = None
    publication: dict[str, Any] | None = None
    warehouse: dict[str, Any] = field(default_factory=dict)
    disk: dict[str, Any] = field(default_factory=dict)
    data_until: datetime | None = None
    checks: dict[str, int] = field(default_factory=dict)
    rejected_rows: int = 0
    withheld: list[dict[str, str]] = field(default_factory=list)
    without_levels: list[dict[str, str]] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Nothing has to be looked at."""
        return not self.problems


def examine(
    settings: Settings, path: Path, connection: duckdb.DuckDBPyConnection, max_age: timedelta | None = None
) -> Health:
    """Looks at everything that a night leaves, and changes nothing."""
    found = Health()

    def read(sql: str) -> list[tuple[Any, ...]]:
        return connection.execute(sql).fetchall()

    def read_if_there(sql: str) -> list[tuple[Any, ...]]:
        # Not built yet, or by an older version.
        with contextlib.suppress(duckdb.CatalogException, duckdb.BinderException):
            return read(sql)
        return []

    _publication(found, settings)
    _last_run(found, path)
    _jobs_and_files(found, read_if_there)
    state = readiness.state_of(read)
    if build := state.last_build:
        found.build = {
            "started_at": build.started_at,
            "finished_at": build.finished_at,
            "built": build.nodes_built,
            "failed": build.nodes_failed,
        }
    if validation := readiness.last_validation(read):
        found.validation = {
            "job_id": validation.job_id,
            "finished_at": validation.finished_at,
            "asked": validation.asked,
            "failed": validation.failed,
        }
    _chain(found, state, read)
    found.checks = {str(row[0]): int(row[1]) for row in read_if_there(_CHECKS)}
    found.withheld = [
        {"exchange": exchange, "symbol": symbol, "reasons": reasons}
        for exchange, symbol, reasons in read_if_there(_WITHHELD)
    ]
    if found.withheld:
        which = ", ".join(f"{one['exchange']} {one['symbol']}" for one in found.withheld[:_NAMED])
        found.problems.append(("withheld", f"{counted(len(found.withheld), 'symbol')} not published: {which}"))
    with contextlib.suppress(OSError):
        names = ("exchange", "market", "symbol", "reason")
        query = (settings.project() / _ANALYSIS).read_text(encoding="utf-8")
        found.without_levels = [dict(zip(names, row, strict=True)) for row in read_if_there(query)]
    found.data_until = ledger.data_until(connection)
    age = age_check(found.data_until, max_age)
    if not age.passed:
        found.problems.append(("age", age.detail))
    _sizes(found, path)
    return found


def _publication(found: Health, settings: Settings) -> None:
    target = settings.published_path()
    try:
        published = Published.open(target)
    except LoadersError:
        return
    with contextlib.closing(published.connection):
        for row in published.rows("select * from published"):
            found.publication = {"path": target, "bytes": target.stat().st_size, **row}


def _last_run(found: Health, path: Path) -> None:
    found.last_run = read_last_run(last_run_path(path))
    found.last_good_run = read_last_run(last_good_run_path(path))
    if found.last_run is None or found.last_run.get("exit_status") == 0:
        return
    # Whoever published since then has dealt with it.
    ended = datetime.fromisoformat(str(found.last_run["finished_at"]))
    if found.publication is not None and found.publication["published_at"] > ended:
        return
    steps: dict[str, str] = found.last_run.get("steps", {})
    bad = ", ".join(f"{name} {outcome}" for name, outcome in steps.items() if outcome in ("failed", "warning"))
    status = found.last_run.get("exit_status")
    found.problems.append(("last run", f"ended {minute(ended)} with status {status}" + (f": {bad}" if bad else "")))


def _jobs_and_files(found: Health, read: readiness.RunQuery) -> None:
    for job_id, status in read(_LAST_JOB):
        if status == "interrupted":
            found.problems.append(("load", f"job {job_id} was interrupted: run it again, it goes on where it was"))
    for failed, rejected in read(_FILES):
        if failed:
            found.problems.append(("files", f"{counted(failed, 'file')} could not be landed, listed below"))
        found.rejected_rows = int(rejected or 0)


def _chain(found: Health, state: readiness.State, read: readiness.RunQuery) -> None:
    """Build, validation, publication: what follows from the first that is missing is not said again."""
    if state.build_trouble:
        found.problems.append(("build", state.build_trouble))
    elif trouble := readiness.validation_trouble(read, state):
        found.problems.append(("validation", trouble))
    elif found.publication is None:
        found.problems.append(("published", "nothing was published yet: run `loaders publish`"))
    elif found.publication["change_id"] != state.change_id:
        found.problems.append(
            ("published", "what was landed and built since is not in the published file: run `loaders publish`")
        )


def _sizes(found: Health, path: Path) -> None:
    log = path.with_name(path.name + ".wal")
    found.warehouse = {
        "path": path,
        "bytes": path.stat().st_size,
        "log_bytes": log.stat().st_size if log.exists() else 0,
    }
    disk = shutil.disk_usage(path.parent)
    found.disk = {"free_bytes": disk.free, "total_bytes": disk.total}
    # Old and new lie beside each other until the new one is whole.
    needed = found.publication["bytes"] if found.publication else 0
    if disk.free < needed:
        found.problems.append(("disk", f"{size(disk.free)} free, a publication takes {size(needed)}: make room"))


def to_dict(health: Health) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "healthy": health.healthy,
        "problems": [{"about": about, "problem": problem} for about, problem in health.problems],
        "data_until": health.data_until,
        "last_run": health.last_run,
        "last_good_run": health.last_good_run,
        "build": health.build,
        "validation": health.validation,
        "publication": health.publication,
        "warehouse": health.warehouse,
        "disk": health.disk,
        "checks": health.checks,
        "rejected_rows": health.rejected_rows,
        "withheld": health.withheld,
        "without_levels": health.without_levels,
    }


def text(health: Health) -> str:
    """For people: the answer in the first line, then why, then what there is."""
    if health.healthy:
        lines = ["healthy: yes"]
    else:
        lines = [f"healthy: no, {counted(len(health.problems), 'thing')} to look at"]
        lines += [_line(about, problem) for about, problem in health.problems]
    lines.append("")
    lines += [_line(name, fact) for name, fact in _facts(health) if fact]
    return "\n".join(lines)


def _facts(health: Health) -> list[tuple[str, str]]:
    now = ledger.now()
    until = f"{minute(health.data_until)}, {_ago(health.data_until, now)}" if health.data_until else "nothing landed"
    return [
        ("data until", until),
        ("last run", _run(health.last_run, now)),
        ("good run", _run(health.last_good_run, now)),
        ("build", _build(health.build, now)),
        ("validation", _validation(health.validation, now)),
        ("published", _published(health.publication, now)),
        ("warehouse", _warehouse(health.warehouse)),
        ("disk", f"{size(health.disk['free_bytes'])} free of {size(health.disk['total_bytes'])}"),
        ("checks", ", ".join(f"{count:,} {status}" for status, count in sorted(health.checks.items()))),
        ("rows", f"{health.rejected_rows:,} quarantined (ops.rejected_rows)" if health.rejected_rows else ""),
        *(("withheld", f"{one['exchange']} {one['symbol']}: {one['reasons']}") for one in health.withheld[:_NAMED]),
        *_without_levels(health.without_levels),
    ]


def _run(run: dict[str, Any] | None, now: datetime) -> str:
    if run is None:
        return "none by `loaders run`"
    ended = datetime.fromisoformat(str(run["finished_at"]))
    steps: dict[str, str] = run.get("steps", {})
    bad = [f"{name} {outcome}" for name, outcome in steps.items() if outcome != "ok"]
    how = f" ({', '.join(bad)})" if bad else ""
    return f"{minute(ended)}, {_ago(ended, now)}, status {run.get('exit_status')}{how}"


def _build(build: dict[str, Any] | None, now: datetime) -> str:
    if build is None:
        return "none yet"
    if build["finished_at"] is None:
        return f"begun {minute(build['started_at'])}, not ended"
    how = f"{build['failed']} models or tests failed" if build["failed"] else "passed"
    return f"{minute(build['finished_at'])}, {_ago(build['finished_at'], now)}, {how}"


def _validation(validation: dict[str, Any] | None, now: datetime) -> str:
    if validation is None:
        return "none yet"
    passed = validation["asked"] - validation["failed"]
    ended = validation["finished_at"]
    return f"{minute(ended)}, {_ago(ended, now)}, {passed} of {validation['asked']} expectations passed"


def _published(publication: dict[str, Any] | None, now: datetime) -> str:
    if publication is None:
        return "nothing yet"
    when = publication["published_at"]
    until = f", data until {minute(publication['data_until'])}" if publication.get("data_until") else ""
    return f"{minute(when)}, {_ago(when, now)}{until}, {size(publication['bytes'])}, {near(publication['path'])}"


def _warehouse(warehouse: dict[str, Any]) -> str:
    log = f" and {size(warehouse['log_bytes'])} of log" if warehouse["log_bytes"] else ""
    return f"{size(warehouse['bytes'])}{log}, {near(warehouse['path'])}"


def _without_levels(symbols: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """Symbols that have candles and no levels, by reason."""
    by_reason: dict[str, list[str]] = {}
    for one in symbols:
        by_reason.setdefault(one["reason"], []).append(" ".join((one["exchange"], one["market"], one["symbol"])))
    found = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        found.append(("no levels", f"{', '.join(names[:_NAMED])}{more}: {reason}"))
    return found


def _ago(time: datetime, now: datetime) -> str:
    return f"{length(max(now - time, timedelta(0)))} ago"


def _line(name: str, fact: str) -> str:
    return wrapped(fact, " " * 14, f"  {name:11} ")
