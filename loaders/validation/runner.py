"""Runs the expectations on the warehouse itself, through Great Expectations, and keeps what they found.

Each is asked of what changed since it last passed (`loaders.validation.plan`), or of everything on demand. A row that
was altered behind the ledger, where nothing was landed or rebuilt since, is seen by a full validation only.

Great Expectations closes its connection before it fetches, and DuckDB drops a result on rollback; so it is given a
dialect that only reads and has no transactions. While it reads, no other process can write: all suites see one state.

An expectation that could not be asked is an error, never a pass.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import duckdb
from filelock import FileLock, Timeout

from loaders import signals, warehouse
from loaders.errors import WarehouseBusy
from loaders.queries.about_rows import about
from loaders.rendering import table as as_table
from loaders.rendering import wrapped
from loaders.settings import Settings
from loaders.validation import data_docs, explain
from loaders.validation.plan import Plan, Question, planned
from loaders.validation.suites import AskedOf, Expectation, Result, Status, Suite, suites
from loaders.warehouse import changes, ledger, readiness
from loaders.warehouse.keyed import Keyed
from loaders.warehouse.readiness import State

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource

_SHOWN_ROWS = 3

#: Of what an expectation can be asked.
ASKED_OF: tuple[AskedOf, ...] = get_args(AskedOf)


@dataclass(frozen=True, slots=True)
class Validation:
    """All that one run of the suites found, and what it was asked of. Times are UTC.

    `data_docs` is the first page about it, or about the last one that asked anything; None if there is none.
    """

    job_id: str
    plan: Plan
    started_at: datetime
    finished_at: datetime
    results: tuple[Result, ...]
    data_docs: Path | None

    @property
    def state(self) -> State:
        """The state of the warehouse that it saw."""
        return self.plan.state

    @property
    def passed(self) -> bool:
        """Everything was asked, now or since it last changed, and nothing unexpected was found."""
        return bool(self.results) and all(result.status == "pass" for result in self.results)

    @property
    def counts(self) -> dict[AskedOf, int]:
        """How many expectations were asked of what."""
        return {of: sum(result.asked_of == of for result in self.results) for of in ASKED_OF}

    @property
    def failures(self) -> list[Result]:
        """What did not pass."""
        return [result for result in self.results if result.status != "pass"]


def prepare() -> None:
    """Begins to import Great Expectations in the background, for a process that is about to wait and then to validate.

    It takes seconds. Whatever goes wrong goes wrong again, and is told, when it is imported to be used.
    """
    threading.Thread(target=_import_in_advance, daemon=True).start()


def _import_in_advance() -> None:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with contextlib.suppress(Exception):
        importlib.import_module("great_expectations")


def validate(
    settings: Settings,
    path: Path,
    *,
    job_id: str | None = None,
    wait_seconds: float = 0,
    asked: Sequence[Suite] | None = None,
    full: bool = False,
) -> Validation:
    """Asks what changed since it last passed, or everything if `full`; writes the Data Docs and keeps the results.

    Results go to `ops.validation_results`, but for a validation that found nothing to ask in a state that the last one
    vouches for. `asked` are other suites than the project's. Raises `WarehouseMissing`, `WarehouseBusy`,
    `FolderNotOurs`, `NotBuilt`, `WarehouseRenamed`.
    """
    started = ledger.now()
    job_id = job_id or f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    all_suites = suites(settings.project()) if asked is None else asked
    folder = settings.data_docs_path()
    data_docs.require_ours(folder, (path, settings.published_path(), settings.project()))
    # Its errors name who has the warehouse and what to do.
    with warehouse.reader(path, wait_seconds=wait_seconds) as connection:

        def read(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        readiness.require_built(path, read)
        plan = planned(read, all_suites, full=full)
        vouched = plan.asks_nothing and readiness.validation_trouble(read, plan.state) is None
    if plan.asks_nothing:
        results = tuple(_unasked(suite.table, one) for suite, of_suite in plan.questions for one in of_suite)
        page = folder / "index.html"
        validation = Validation(job_id, plan, started, ledger.now(), results, page if page.exists() else None)
        if not vouched:
            _keep(settings, path, validation, wait_seconds)
        return validation
    with _engine(settings, path, plan) as (context, source, read_engine):
        if (readiness.state_of(read_engine), changes.present(read_engine)) != (plan.state, plan.moment):
            raise WarehouseBusy(path, "another writer, which has just changed it")
        results = tuple(
            result
            for suite, of_suite in plan.questions
            for result in _run(context, source, suite.table, of_suite, (job_id, started))
        )
        with _quietly():
            data_docs.write(context, folder)
    validation = Validation(job_id, plan, started, ledger.now(), results, folder / "index.html")
    data_docs.write_index(folder, job_id, scope(validation), results)
    explain.write_queries(folder, path, all_suites, results)
    _keep(settings, path, validation, wait_seconds)
    return validation


def _unasked(table: Keyed, question: Question) -> Result:
    one = question.expectation
    return Result(table.full_name, one.name, one.description, "pass", 0, None, asked_of="nothing")


def _keep(settings: Settings, path: Path, validation: Validation, wait_seconds: float) -> None:
    with (
        warehouse.writer(settings, path, wait_seconds=wait_seconds) as opened,
        warehouse.transaction(opened.connection),
    ):
        _record(opened.connection, validation)


def _record(connection: duckdb.DuckDBPyConnection, validation: Validation) -> None:
    results, plan = validation.results, validation.plan
    fingerprints = {
        (suite.table.full_name, one.expectation.name): one.fingerprint
        for suite, of_suite in plan.questions
        for one in of_suite
    }
    since = [plan.since if result.asked_of == "changes" else None for result in results]
    # A job that validates again means its last word.
    connection.execute("delete from ops.validation_results where job_id = $1", [validation.job_id])
    connection.execute(
        """
        insert into ops.validation_results (
            job_id, build_id, change_id, rebuild_id, started_at, finished_at, table_name, expectation, status,
            unexpected_rows, detail, asked_of, since_change_id, since_rebuild_id, question
        )
        select
            $1, $2, $3, $4, $5, $6,
            unnest($7), unnest($8), unnest($9), unnest($10), unnest($11), unnest($12), unnest($13), unnest($14),
            unnest($15)
        """,
        [
            validation.job_id,
            plan.state.build_id,
            plan.state.change_id,
            plan.moment.rebuild_id,
            validation.started_at,
            validation.finished_at,
            [result.table for result in results],
            [result.expectation for result in results],
            [result.status for result in results],
            [result.unexpected_rows for result in results],
            [result.detail for result in results],
            [result.asked_of for result in results],
            [None if one is None else one.change_id for one in since],
            [None if one is None else one.rebuild_id for one in since],
            [fingerprints[result.table, result.expectation] for result in results],
        ],
    )


@contextlib.contextmanager
def _engine(
    settings: Settings, path: Path, plan: Plan
) -> Iterator[tuple[EphemeralDataContext, SQLDatasource, readiness.RunQuery]]:
    """Great Expectations on the warehouse, read-only; the engine's spill files lie apart from a loader's."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _quietly():
        # Takes seconds to import, and no other command needs it.
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig
        from sqlalchemy import URL
        from sqlalchemy.dialects import registry

        from loaders.validation.dialect import close_all, first_statements

        registry.register("duckdb.reading", "loaders.validation.dialect", "ReadingDialect")
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        # Nothing is kept of it. It would write all of itself as YAML twice for each table, an eighth of a validation.
        setattr(context, "_save_project_config", lambda *_, **__: None)  # noqa: B010
    with _spill_folder(path) as spill:
        config: dict[str, Any] = {"memory_limit": settings.memory_limit, "temp_directory": spill}
        if settings.threads is not None:
            config["threads"] = settings.threads
        # A dollar sign would be taken for the name of a variable.
        address = URL.create("duckdb+reading", database=str(path)).render_as_string().replace("$", "\\$")
        # Goes on to SQLAlchemy; the stubs do not know of it.
        options: dict[str, Any] = {"kwargs": {"connect_args": {"read_only": True, "config": config}}}
        source = context.data_sources.add_sql(
            name="warehouse",
            connection_string=address,
            create_temp_table=False,
            **options,
        )
        engine = source.get_engine()
        try:
            with engine.connect() as connection:
                # For the connection that asks: this one keeps other processes from writing.
                first_statements[:] = plan.temporary_tables()

                def read(sql: str) -> list[tuple[Any, ...]]:
                    return [tuple(row) for row in connection.exec_driver_sql(sql).fetchall()]

                yield context, source, read
        finally:
            engine.dispose()
            # It makes engines of its own, too, and lets go of none.
            close_all()


@contextlib.contextmanager
def _spill_folder(path: Path) -> Iterator[str]:
    """A folder for spilled queries beside the warehouse; those that killed validations left are taken away."""
    prefix = f"{path.name}.validate-"
    for leftover in path.parent.iterdir():
        if leftover.name.startswith(prefix) and leftover.is_dir():
            with contextlib.suppress(OSError, Timeout), FileLock(leftover / "lock", timeout=0):
                shutil.rmtree(leftover, ignore_errors=True)
    folder = path.with_name(prefix + secrets.token_hex(4))
    try:
        folder.mkdir(mode=0o700)
        # Whoever holds it lives.
        with FileLock(folder / "lock"):
            yield str(folder / "spill")
    finally:
        with signals.whole():
            shutil.rmtree(folder, ignore_errors=True)


def _run(
    context: EphemeralDataContext,
    source: SQLDatasource,
    table: Keyed,
    questions: Sequence[Question],
    job: tuple[str, datetime],
) -> list[Result]:
    """The answers about a table, those first that need not be asked."""
    unasked = [_unasked(table, one) for one in questions if one.asked_of == "nothing"]
    to_ask = [one for one in questions if one.asked_of != "nothing"]
    return unasked + (_ask(context, source, table, to_ask, job) if to_ask else [])


def _ask(
    context: EphemeralDataContext,
    source: SQLDatasource,
    table: Keyed,
    questions: Sequence[Question],
    job: tuple[str, datetime],
) -> list[Result]:
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    from loaders.validation.rows_expectation import ExpectNoRows

    try:
        with _quietly():
            asset = source.add_query_asset(table.full_name, query=f"select * from {table.full_name}")
            batch = asset.add_batch_definition_whole_table("whole")
            asked = gx.ExpectationSuite(name=table.full_name)
            for question in questions:
                one = question.expectation
                of_changes = " Asked of what changed since it last passed." if question.asked_of == "changes" else ""
                asked.add_expectation(
                    ExpectNoRows(
                        unexpected_rows_query=_query(question.sql),
                        description=f"{one.name}: {one.description}{of_changes}",
                        meta={"name": one.name},
                    )
                )
            definition = context.validation_definitions.add(
                gx.ValidationDefinition(name=table.full_name, data=batch, suite=context.suites.add(asked))
            )
            # Without a time, it is looked for in the name: some jobs' names pass for a time in an impossible zone.
            name, started = job
            run = RunIdentifier(run_name=name, run_time=started.replace(tzinfo=UTC))
            answer = definition.run(result_format="COMPLETE", run_id=run)
        answers = {
            (result.expectation_config.meta or {}).get("name"): result.to_json_dict()
            for result in answer.results
            if result.expectation_config is not None
        }
    except Exception as error:
        signals.check()
        # Whatever it was, nothing of this table was answered, and each of its expectations says so.
        message = f"{type(error).__name__}: {error}"
        return [
            replace(judged(table.full_name, one.expectation, None), detail=message, asked_of=one.asked_of)
            for one in questions
        ]
    # A query that a signal broke off is an answer to Great Expectations.
    signals.check()
    return [
        replace(judged(table.full_name, one.expectation, answers.get(one.expectation.name)), asked_of=one.asked_of)
        for one in questions
    ]


def judged(table: str, asked: Expectation, answer: Mapping[str, Any] | None) -> Result:
    """What an answer of Great Expectations means. Only a row count of 0, without any exception, is a pass."""

    def result(status: Status, rows: int | None, detail: str | None) -> Result:
        return Result(table, asked.name, asked.description, status, rows, detail, about(unexpected), asked.remedy)

    unexpected: Sequence[Mapping[str, Any]] = ()

    if answer is None:
        return result("error", None, "no answer at all")
    message = _exception_in(answer.get("exception_info") or {})
    if message is not None:
        return result("error", None, message)
    found = answer.get("result") or {}
    rows = found.get("observed_value")
    if not isinstance(rows, int):
        return result("error", None, "an answer without a number of rows")
    if answer.get("success") is not (rows == 0):
        return result("error", rows, f"{rows} unexpected rows, and yet success is {answer.get('success')}")
    if rows == 0:
        return result("pass", 0, None)
    unexpected = (found.get("details") or {}).get("unexpected_rows", [])
    return result("fail", rows, json.dumps(unexpected[:_SHOWN_ROWS], default=str))


def _exception_in(info: Mapping[str, Any]) -> str | None:
    """The message of an exception: Great Expectations gives one, or one for each metric."""
    for one in (info, *(value for value in info.values() if isinstance(value, Mapping))):
        if one.get("raised_exception") or one.get("exception_message"):
            text = str(one.get("exception_message") or "an exception without a message")
            # What was asked stands in the Data Docs.
            return text.partition("\n[SQL:")[0].strip()
    return None


def _query(asked: str) -> str:
    """The rows that an expectation finds, with the number of all of them in a column.

    Values come as text: what a float cannot hold, Great Expectations looks up its stack for, value by value. The number
    comes from no window over all rows: DuckDB 1.5.5 now and then ends one over few or no rows with an internal error
    (duckdb/duckdb#25713), and answers nothing afterwards.
    """
    sql = asked.replace("{", "{{").replace("}", "}}")
    total = "(select count(*) from unexpected) as unexpected_rows_in_all"
    return f"with unexpected as materialized ({sql}) select cast(columns(*) as varchar), {total} from unexpected"


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Great Expectations prints advice on stdout, which is for results."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def to_dict(validation: Validation) -> dict[str, Any]:
    """The validation as plain data."""
    return {
        "job_id": validation.job_id,
        "build_id": validation.state.build_id,
        "change_id": validation.state.change_id,
        "passed": validation.passed,
        "asked": validation.counts,
        "since_change_id": validation.plan.since.change_id if validation.plan.since else None,
        "changed_files": validation.plan.files,
        "changed_symbols": validation.plan.series,
        "expectations": len(validation.results),
        "failed": sum(result.status == "fail" for result in validation.results),
        "errors": sum(result.status == "error" for result in validation.results),
        "data_docs": validation.data_docs,
        "results": [
            {
                "table": result.table,
                "expectation": result.expectation,
                "status": result.status,
                "unexpected_rows": result.unexpected_rows,
                "asked_of": result.asked_of,
                "detail": result.detail,
                **(
                    {}
                    if result.status == "pass"
                    else {
                        "about": result.about,
                        "query": explain.query_path(validation.data_docs.parent, result)
                        if validation.data_docs
                        else None,
                        "remedy": result.remedy,
                    }
                ),
            }
            for result in validation.results
        ],
    }


def summary(validation: Validation) -> str:
    """One line."""
    asked = [result.status for result in validation.results]
    counts = f"{asked.count('pass')} passed, {asked.count('fail')} failed, {asked.count('error')} could not be asked"
    return f"{len(asked)} expectations: {counts}; {scope(validation)}"


def scope(validation: Validation) -> str:
    """What was asked, of what."""
    plan, counts = validation.plan, validation.counts
    if plan.is_full:
        return "asked of everything"
    if plan.asks_nothing:
        return "nothing changed since they passed"
    parts = []
    if plan.since is not None:
        parts.append(
            f"{counts['changes']} asked of what changed since change {plan.since.change_id} ({plan.files:,} files, "
            f"{plan.series:,} symbols)"
        )
    parts += [f"{counts['everything']} of everything"] if counts["everything"] else []
    parts += [f"{counts['nothing']} passed before and nothing changed since"] if counts["nothing"] else []
    return ", ".join(parts)


def text(validation: Validation) -> str:
    """The validation as a table, one line for each table and a paragraph for each trouble."""
    statuses: dict[str, list[str]] = {}
    for result in validation.results:
        statuses.setdefault(result.table, []).append(result.status)
    columns = ("pass", "fail", "error")
    rows = [[name, *(str(of_table.count(one)) for one in columns)] for name, of_table in statuses.items()]
    return "\n\n".join(
        [
            as_table(("table", "passed", "failed", "errors"), rows, right=("passed", "failed", "errors")),
            *(explain.text(result, _folder_of(validation)) for result in validation.failures),
            *map(wrapped, explain.remedies(validation.failures)),
            f"{summary(validation)}\nData Docs: {validation.data_docs}",
        ]
    )


def failures(validation: Validation) -> tuple[str, ...]:
    """What did not pass, a line each."""
    return tuple(explain.line(result, _folder_of(validation)) for result in validation.failures)


def _folder_of(validation: Validation) -> Path | None:
    return validation.data_docs.parent if validation.data_docs else None
