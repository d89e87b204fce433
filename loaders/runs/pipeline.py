"""What cron calls: (fetch, backfill,) check, load, build, validate, publish, report, under one job.

A server that does not answer holds up nothing: what is there is landed and published, and the exit status tells.

A refused file or row does not hold up the rest: what passed is published, and the exit status says that somebody must
look. A build, a test or an expectation that fails does: the last published file stays.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from loaders import signals, warehouse
from loaders.delivery import publish
from loaders.delivery.publish import Publication
from loaders.errors import LoadersError, NotNotified, ProjectNotFound, SourceError, WarehouseBusy
from loaders.ingest import load, preflight
from loaders.ingest.load import LoadResult, Request, Survey
from loaders.progress import Reporter, transfer
from loaders.rendering import length, minute, wrapped
from loaders.runs import backfill, dbt, fetch
from loaders.runs.backfill import BackfillResult
from loaders.runs.last_run import last_run_path, read_last_run, record_run
from loaders.runs.notify import send_notice, send_ping
from loaders.runs.sourcing import SourceRequest
from loaders.selection import not_found_lines
from loaders.settings import Settings
from loaders.signals import Interrupted
from loaders.validation import explain, runner
from loaders.validation.runner import Validation
from loaders.warehouse import ledger
from loaders.warehouse.schema import literal

Outcome = Literal["ok", "warning", "failed", "skipped"]

STEPS = ("check", "load", "build", "validate", "publish", "report")

#: Steps before these, on request.
SOURCE_STEPS = ("fetch", "backfill")

# The others are about single files, which the load refuses by itself.
_FATAL_CHECKS = frozenset({"lock", "warehouse", "disk", "clock", "folders"})
_NAMED = 10
# A build of more needs its memory more than this process needs to be early.
_ROWS_OF_A_NIGHT = 10_000_000
_BUSY = WarehouseBusy.exit_status
_MEMORY_SETTINGS = {"load": "LOADERS_LOAD_MEMORY_LIMIT"}

# Worse is a higher number.
_REGRESSIONS = """
    with

    ranked as (

        select
            check_name,
            exchange,
            dataset,
            symbol,
            status,
            detail,
            case status when 'pass' then 0 when 'warn' then 1 else 2 end as badness
        from marts.quality_checks

    ),

    before as (

        select
            check_name,
            exchange,
            dataset,
            symbol,
            status,
            case status when 'pass' then 0 when 'warn' then 1 else 2 end as badness
        from published_before.main.quality_checks

    )

    select
        ranked.check_name, ranked.exchange, ranked.dataset, ranked.symbol, before.status, ranked.status, ranked.detail
    from ranked
    inner join before
        on
            ranked.check_name = before.check_name
            and ranked.exchange = before.exchange
            and ranked.dataset is not distinct from before.dataset
            and ranked.symbol is not distinct from before.symbol
    where ranked.badness > before.badness
    order by all
"""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step. `warning`: it did its work, and found something that the user must look at."""

    name: str
    outcome: Outcome
    seconds: float
    line: str
    details: tuple[str, ...] = ()
    result: dict[str, Any] = field(default_factory=dict)
    exit_status: int = 0

    @property
    def text(self) -> str:
        """One line, and one more for each detail."""
        first = f"{self.outcome:9} {self.name:8} {self.seconds:6.1f} s  "
        lines = [wrapped(self.line, " " * len(first), first)]
        return "\n".join([*lines, *(wrapped(detail, " " * 12, " " * 10) for detail in self.details)])


@dataclass(slots=True)
class Run:
    """What a run did.

    `regressions` are checks that were better in the file published before. `recovered`: the run before this one did not
    end with status 0, this one does. `data_until` is the time of the newest landed row, UTC. `notified` is None where
    there was nothing to tell, or nobody to tell it to.
    """

    job_id: str | None = None
    steps: list[StepResult] = field(default_factory=list)
    regressions: list[str] = field(default_factory=list)
    recovered: bool = False
    data_until: datetime | None = None
    notified: bool | None = None
    notify_error: str | None = None
    ping_error: str | None = None

    @property
    def exit_status(self) -> int:
        """0, 1 if something must be looked at, 75 if the warehouse is busy, 128 + signal."""
        statuses = [step.exit_status for step in self.steps]
        if self.notify_error is not None or self.ping_error is not None:
            statuses.append(1)
        # A signal weighs more than a busy warehouse, that more than a failure.
        return max(statuses, default=0)


def run(
    settings: Settings,
    path: Path,
    request: Request,
    target: Path,
    reporter: Reporter,
    *,
    say: Callable[[str], None],
    notify: str | None = None,
    ping: str | None = None,
    wait_seconds: float = 0,
    sources: Collection[str] = (),
    full: bool = False,
    max_age: timedelta | None = None,
) -> Run:
    """Does all steps and tells each by `say`; of `SOURCE_STEPS` those that are named in `sources`.

    A step does what changed since it last went well; where nothing did, it says so. `full` does everything of it again.
    Then `notify` (a URL or a command) is told if the exit status is not 0, if a check is worse than it was in the last
    published file, or if this run is good and the one before was not; `ping` (a URL) is asked if all went well. How the
    run ended is kept beside the warehouse (`last_run`). A signal ends the step that runs, and the steps behind it are
    skipped. Data older than `max_age` by the clock make the status 1.
    """
    done = Run()
    before = read_last_run(last_run_path(path))
    work = _Work(settings, path, request, target, reporter, wait_seconds, done, max_age, full)
    try:
        for name in (*(step for step in SOURCE_STEPS if step in sources), *STEPS):
            step = work.step(name)
            done.steps.append(step)
            say(step.text)
    finally:
        work.close()
    if done.regressions:
        say("\n".join(wrapped(f"worse than in the published file: {line}", "  ", "") for line in done.regressions))
    # Nobody is told less for a warehouse that cannot be read: its step says so.
    with contextlib.suppress(LoadersError, duckdb.Error), warehouse.reader(path) as connection:
        done.data_until = ledger.data_until(connection)
    done.recovered = done.exit_status == 0 and before is not None and before.get("exit_status") != 0
    if notify and (done.exit_status or done.regressions or done.recovered):
        try:
            send_notice(notify, message(done))
            done.notified = True
        except NotNotified as error:
            done.notified, done.notify_error = False, str(error)
            say(f"nobody was notified: {error}")
    if ping and done.exit_status == 0:
        try:
            send_ping(ping)
        except NotNotified as error:
            done.ping_error = str(error)
            say(f"the address of --ping was not reached: {error}")
    try:
        record_run(path, summary_of(done))
    except OSError as error:
        say(f"how the run ended could not be written beside the warehouse: {error.strerror}")
    return done


def summary_of(done: Run) -> dict[str, Any]:
    """How the run ended, in a few words, as it is kept beside the warehouse."""
    return {
        "finished_at": ledger.now(),
        "exit_status": done.exit_status,
        "job_id": done.job_id,
        "data_until": done.data_until,
        "steps": {step.name: step.outcome for step in done.steps},
        "published": any(step.name == "publish" and step.outcome in ("ok", "warning") for step in done.steps),
    }


class _Work:
    """The steps, and what one leaves for the next."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        request: Request,
        target: Path,
        reporter: Reporter,
        wait_seconds: float,
        done: Run,
        max_age: timedelta | None,
        full: bool,
    ) -> None:
        self.settings = settings
        self.path = path
        self.request = request
        self.target = target
        self.reporter = reporter
        self.wait_seconds = wait_seconds
        self.done = done
        self.full = full
        self.published: Publication | None = None
        self.is_night = False
        self.begun: publish.Begun | None = None
        self.max_age = max_age
        self.started = 0.0
        self.collected: BackfillResult | None = None
        self.surveyed: Survey | None = None
        self.dbt: dbt.DbtProcess | None = None

    def close(self) -> None:
        """Ends what a step began for a later one that does not come."""
        if self.dbt is not None:
            self.dbt.close()
            self.dbt = None
        if self.begun is not None:
            self.begun.close()
            self.begun = None

    def step(self, name: str) -> StepResult:
        """Does one step, unless one before it failed. Errors with a name become the step's line."""
        self.started = time.monotonic()
        failed = next((step.name for step in self.done.steps if step.outcome == "failed"), None)
        if failed is not None:
            return StepResult(name, "skipped", 0, f"{failed} failed")
        try:
            with signals.raise_on_signal():
                step: StepResult = getattr(self, f"_{name}")()
            return step
        except Interrupted as ended:
            return self._step(name, "failed", f"ended by signal {ended.number}", exit_status=128 + ended.number)
        except LoadersError as error:
            return self._step(name, "failed", str(error), exit_status=error.exit_status)
        except (duckdb.Error, OSError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if isinstance(error, duckdb.OutOfMemoryException):
                first += f": raise {_MEMORY_SETTINGS.get(name, 'LOADERS_MEMORY_LIMIT')}"
            return self._step(name, "failed", first, exit_status=1)

    def _step(self, name: str, outcome: Outcome, line: str, **more: Any) -> StepResult:
        if outcome != "ok":
            more.setdefault("exit_status", 1)
        return StepResult(name, outcome, time.monotonic() - self.started, line, **more)

    def _fetch(self) -> StepResult:
        asked = SourceRequest(self.request.folders, self.request.selection, self.request.market)
        try:
            found = fetch.fetch(self.settings, self.path, asked, transfer(), wait_seconds=self.wait_seconds)
        except SourceError as error:
            return self._step("fetch", "warning", str(error), exit_status=error.exit_status)
        details = tuple(f"{one.file.key}: {one.message}" for one in found.fetched if one.outcome == "aside")
        outcome: Outcome = "warning" if found.exit_status else "ok"
        return self._step(
            "fetch", outcome, fetch.summary(found), details=_few(details), result=fetch.to_dict(found, dry_run=False)
        )

    def _backfill(self) -> StepResult:
        asked = SourceRequest(self.request.folders, self.request.selection, self.request.market)
        found = backfill.ask(self.settings, self.path, asked, self.reporter.say, wait_seconds=self.wait_seconds)
        # What came of it shows once it was landed.
        self.collected = found
        outcome: Outcome = "warning" if found.errors else "ok"
        return self._step(
            "backfill",
            outcome,
            backfill.summary(found),
            details=_few(tuple(found.errors)),
            result={"requests": found.requests, "rows": found.rows, "errors": found.errors},
            exit_status=found.exit_status,
        )

    def _check(self) -> StepResult:
        # It takes two seconds to begin, in which the files are looked at and landed. A project that is not found is
        # told by the step that needs it.
        with contextlib.suppress(ProjectNotFound):
            self.dbt = dbt.DbtProcess(self.settings.project(), self.path)
        self.surveyed = preflight.survey(self.path, self.request)
        checks = list(preflight.checks(self.path, self.request, self.surveyed, self.max_age))
        bad = [one for one in checks if not one.passed]
        result = {"checks": preflight.to_dict(checks)}
        # Who waits for another writer does so when the load begins.
        fatal = [one for one in bad if one.name in _FATAL_CHECKS and not (one.name == "lock" and self.wait_seconds)]
        details = tuple(f"{one.name}: {one.detail}" for one in bad)
        line = f"{len(checks) - len(bad)} of {len(checks)} checks passed"
        if not fatal:
            return self._step("check", "warning" if bad else "ok", line, details=details, result=result)
        busy = any(one.name == "lock" for one in fatal) or self._is_busy()
        status = _BUSY if busy else 1
        return self._step("check", "failed", line, details=details, result=result, exit_status=status)

    def _is_busy(self) -> bool:
        try:
            if self.path.exists():
                with warehouse.reader(self.path):
                    pass
        except WarehouseBusy:
            return True
        except LoadersError:
            pass
        return False

    def _load(self) -> StepResult:
        with (
            warehouse.writer(
                self.settings, self.path, readable=self.request.folders, wait_seconds=self.wait_seconds
            ) as opened,
            self.reporter as progress,
        ):
            surveyed, self.surveyed = self.surveyed, None
            report = load.load(
                opened, self.settings, self.request, progress, ready=preflight.require_room, surveyed=surveyed
            )
            if self.collected is not None:
                backfill.record(opened.connection, self.collected, report.job_id)
        self.done.job_id = report.job_id
        totals = report.totals
        line = (
            f"{totals.files_loaded:,} files loaded ({totals.rows_loaded:,} rows), {totals.files_skipped:,} skipped, "
            f"{totals.files_failed:,} failed, {totals.rows_rejected:,} rows rejected"
        )
        outcome: Outcome = "failed" if report.signal is not None else "warning" if report.exit_status else "ok"
        return self._step(
            "load",
            outcome,
            line,
            details=_refusals(report),
            result=load.to_dict(report),
            exit_status=report.exit_status,
        )

    def _build(self) -> StepResult:
        stands = None
        if not self.full:
            stands = dbt.build_that_stands(self.settings.project(), self.path, wait_seconds=self.wait_seconds)
        if stands is not None:
            self.close()
            line = f"nothing changed since the build of {stands.started_at:%Y-%m-%d %H:%M:%S} ({stands.build_id})"
            return self._step("build", "ok", line, result={"build_id": stands.build_id, "nodes": 0, "failures": []})
        rows = dbt.rows_landed_since(self.settings.project(), self.path, wait_seconds=self.wait_seconds)
        self.is_night = not self.full and rows is not None and rows <= _ROWS_OF_A_NIGHT
        if self.is_night:
            # While dbt builds, this process has nothing to do. A long build wants the memory for itself.
            runner.prepare()
            threading.Thread(target=_import_report, daemon=True).start()
        built = dbt.build(
            self.settings.project(),
            self.path,
            wait_seconds=self.wait_seconds,
            reporter=self.reporter,
            full=self.full,
            begun=self.dbt,
        )
        result = {
            "nodes": built.nodes,
            "unchanged": built.unchanged,
            "failures": [{"node": name, "message": message} for name, message in built.failures],
        }
        if built.status == 0:
            return self._step("build", "ok", built.summary, result=result)
        print(built.printed, file=sys.stderr)
        details = tuple(f"{name}: {' '.join(message.split())[:300]}" for name, message in built.failures)
        return self._step(
            "build",
            "failed",
            built.summary,
            details=(*_few(details), *dbt.remedies(built.failures)),
            result=result,
        )

    def _validate(self) -> StepResult:
        if self.is_night:
            # The disk is idle meanwhile, and most of the file will stay.
            self.begun = publish.begin(self.path, self.target)
        found: Validation = runner.validate(
            self.settings, self.path, job_id=self.done.job_id, wait_seconds=self.wait_seconds, full=self.full
        )
        outcome: Outcome = "ok" if found.passed else "failed"
        line = runner.summary(found)
        details = (*_few(runner.failures(found)), *explain.remedies(found.failures))
        return self._step("validate", outcome, line, details=details, result=runner.to_dict(found))

    def _publish(self) -> StepResult:
        # Asked before the file is replaced: it remembers how the checks stood when it was written.
        self.done.regressions = regressions(self.path, self.target)
        published: Publication = publish.publish(
            self.settings,
            self.path,
            self.target,
            job_id=self.done.job_id,
            wait_seconds=self.wait_seconds,
            full=self.full,
            begun=self.begun,
        )
        self.close()
        self.published = published
        withheld = publish.withheld_lines(published.withheld)
        return self._step(
            "publish",
            "warning" if withheld else "ok",
            publish.text(published).partition("\n")[0],
            details=_few(withheld),
            result=publish.to_dict(published),
        )

    def _report(self) -> StepResult:
        page = self.settings.report_path()
        if self.published is not None and not self.published.written and _is_newer(page, self.target):
            return self._step("report", "ok", f"{page}: nothing was published since it was written")
        # The drawing's library takes half a second to import, which a run that publishes nothing need not spend; one
        # that builds has it by now.
        from loaders.delivery.page import report

        written = report.write(self.settings, self.target, page)
        line, *details = report.text(written).splitlines()
        return self._step("report", "ok", line, details=tuple(details), result=report.to_dict(written))


def _import_report() -> None:
    # Whatever goes wrong goes wrong again, and is told, when it is imported to be used.
    with contextlib.suppress(Exception):
        importlib.import_module("loaders.delivery.page.report")


def _is_newer(page: Path, published: Path) -> bool:
    return page.exists() and page.stat().st_mtime_ns >= published.stat().st_mtime_ns


def regressions(path: Path, target: Path) -> list[str]:
    """Checks that are worse in the warehouse than in the published file; none where one of them has no checks.

    Files of old versions, whose checks do not say of which exchange they are, have none. A published file that cannot
    be opened is a line, too.
    """
    if not target.exists():
        return []
    with warehouse.reader(path) as connection:
        try:
            connection.execute(f"attach {literal(target)} as published_before (read_only)")
        except duckdb.Error:
            # It is about to be replaced by one that can.
            return [f"{target.name} could not be opened: what its checks were is not known"]
        row = connection.execute(
            """
            select count(*)
            from duckdb_columns()
            where
                table_name = 'quality_checks'
                and column_name = 'exchange'
                and (
                    (database_name = current_database() and schema_name = 'marts')
                    or (database_name = 'published_before' and schema_name = 'main')
                )
            """
        ).fetchone()
        rows = connection.execute(_REGRESSIONS).fetchall() if row == (2,) else []
    return [
        f"{name} of {' '.join(part for part in (exchange, dataset, symbol) if part)}: {before} → {status}"
        + (f" ({detail})" if detail else "")
        for name, exchange, dataset, symbol, before, status, detail in rows
    ]


def message(done: Run) -> dict[str, Any]:
    """What is sent: `text` for people, the rest for machines."""
    failures = [step for step in done.steps if step.outcome in ("failed", "warning")]
    published = any(step.name == "publish" and step.outcome in ("ok", "warning") for step in done.steps)
    lines = [f"loaders run {done.job_id or ''}".rstrip() + (": published" if published else ": not published")]
    for step in failures:
        lines += [f"{step.name} {step.outcome}: {step.line}", *step.details]
    lines += [f"worse than in the published file: {line}" for line in done.regressions]
    if done.data_until is not None:
        age = max(ledger.now() - done.data_until, timedelta(0))
        lines.append(f"data until {minute(done.data_until)}, {length(age)} ago")
    if done.recovered:
        lines.append("recovered: the run before this one had not gone well")
    return {
        "text": "\n".join(lines),
        "job_id": done.job_id,
        "exit_status": done.exit_status,
        "published": published,
        "data_until": done.data_until,
        "steps": {step.name: step.outcome for step in done.steps},
        "regressions": done.regressions,
    }


def to_dict(done: Run) -> dict[str, Any]:
    """The run as plain data."""
    return {
        "job_id": done.job_id,
        "exit_status": done.exit_status,
        "steps": [
            {
                "step": step.name,
                "outcome": step.outcome,
                "seconds": round(step.seconds, 3),
                "line": step.line,
                "details": step.details,
                **({"result": step.result} if step.result else {}),
            }
            for step in done.steps
        ],
        "regressions": done.regressions,
        "recovered": done.recovered,
        "data_until": done.data_until,
        "notified": done.notified,
        "notify_error": done.notify_error,
        "ping_error": done.ping_error,
    }


def _refusals(report: LoadResult) -> tuple[str, ...]:
    failures = [f"{one.path}: {one.message}" for one in report.failures]
    rejected = [f"{path}: {rows} rows quarantined in ops.rejected_rows" for path, rows in report.rejected]
    missing = not_found_lines(report.not_found, "file of the data folders")
    return _few((*missing, *failures, *rejected))


def _few(lines: tuple[str, ...]) -> tuple[str, ...]:
    return lines if len(lines) <= _NAMED else (*lines[:_NAMED], f"and {len(lines) - _NAMED} more")
