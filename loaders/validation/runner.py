"""Runs the expectations on the warehouse itself, through Great Expectations, and keeps what they found.

Great Expectations closes its connection before it fetches, and DuckDB drops a result on rollback; so it is given a
dialect that only reads and has no transactions. While it reads, no other process can write: all suites see one state.

An expectation that could not be asked is an error, never a pass.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from filelock import FileLock, Timeout

from loaders import signals, warehouse
from loaders.queries.about_rows import about
from loaders.rendering import table as as_table
from loaders.rendering import wrapped
from loaders.settings import Settings
from loaders.validation import data_docs, explain
from loaders.validation.suites import Expectation, Result, Status, Suite, suites
from loaders.warehouse import ledger, readiness
from loaders.warehouse.readiness import State

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource

_SHOWN_ROWS = 3


@dataclass(frozen=True, slots=True)
class Validation:
    """All that one run of the suites found, and the state of the warehouse that it saw. Times are UTC."""

    job_id: str
    state: State
    started_at: datetime
    finished_at: datetime
    results: tuple[Result, ...]
    data_docs: Path | None

    @property
    def passed(self) -> bool:
        """Everything was asked and nothing unexpected was found."""
        return bool(self.results) and all(result.status == "pass" for result in self.results)

    @property
    def failures(self) -> list[Result]:
        """What did not pass."""
        return [result for result in self.results if result.status != "pass"]


def validate(
    settings: Settings,
    path: Path,
    *,
    job_id: str | None = None,
    wait_seconds: float = 0,
    asked: Sequence[Suite] | None = None,
) -> Validation:
    """Runs all suites, writes the Data Docs, keeps the results in `ops.validation_results`.

    `asked` are other suites than the project's. Raises `WarehouseMissing`, `WarehouseBusy`, `FolderNotOurs`,
    `NotBuilt`, `WarehouseRenamed`.
    """
    started = ledger.now()
    job_id = job_id or f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    asked = suites(settings.project()) if asked is None else asked
    folder = settings.data_docs_path()
    data_docs.require_ours(folder, (path, settings.published_path(), settings.project()))
    # Opens once for its errors: they name who has the warehouse and what to do.
    with warehouse.reader(path, wait_seconds=wait_seconds) as opened_once:
        readiness.require_built(path, lambda sql: opened_once.execute(sql).fetchall())
    with _engine(settings, path) as (context, source, connection):
        state = readiness.state_of(connection)
        results = tuple(result for suite in asked for result in _run(context, source, suite, job_id))
        with _quietly():
            data_docs.write(context, folder)
    validation = Validation(job_id, state, started, ledger.now(), results, folder / "index.html")
    data_docs.write_index(folder, job_id, results)
    explain.write_queries(folder, path, asked, results)
    with (
        warehouse.writer(settings, path, wait_seconds=wait_seconds) as opened,
        warehouse.transaction(opened.connection),
    ):
        _record(opened.connection, validation)
    return validation


def _record(connection: duckdb.DuckDBPyConnection, validation: Validation) -> None:
    results = validation.results
    # A job that validates again means its last word.
    connection.execute("delete from ops.validation_results where job_id = $1", [validation.job_id])
    connection.execute(
        """
        insert into ops.validation_results (
            job_id, build_id, change_id, table_name, expectation, status, unexpected_rows, detail,
            started_at, finished_at
        )
        select $1, $2, $3, unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), $9, $10
        """,
        [
            validation.job_id,
            validation.state.build_id,
            validation.state.change_id,
            [result.table for result in results],
            [result.expectation for result in results],
            [result.status for result in results],
            [result.unexpected_rows for result in results],
            [result.detail for result in results],
            validation.started_at,
            validation.finished_at,
        ],
    )


@contextlib.contextmanager
def _engine(settings: Settings, path: Path) -> Iterator[tuple[EphemeralDataContext, SQLDatasource, readiness.RunQuery]]:
    """Great Expectations on the warehouse, read-only; the engine's spill files lie apart from a loader's."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _quietly():
        # Takes seconds to import, and no other command needs it.
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig
        from sqlalchemy import URL
        from sqlalchemy.dialects import registry

        from loaders.validation.dialect import close_all

        registry.register("duckdb.reading", "loaders.validation.dialect", "ReadingDialect")
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
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
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent, ignore_cleanup_errors=True) as folder,
        # Whoever holds it lives.
        FileLock(Path(folder) / "lock"),
    ):
        yield str(Path(folder) / "spill")


def _run(context: EphemeralDataContext, source: SQLDatasource, suite: Suite, job_id: str) -> list[Result]:
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    from loaders.validation.rows_expectation import ExpectNoRows

    table = suite.table
    try:
        with _quietly():
            asset = source.add_query_asset(table.full_name, query=f"select * from {table.full_name}")
            batch = asset.add_batch_definition_whole_table("whole")
            asked = gx.ExpectationSuite(name=table.full_name)
            for one in suite.expectations:
                asked.add_expectation(
                    ExpectNoRows(
                        unexpected_rows_query=_query(one),
                        description=f"{one.name}: {one.description}",
                        meta={"name": one.name},
                    )
                )
            definition = context.validation_definitions.add(
                gx.ValidationDefinition(name=table.full_name, data=batch, suite=context.suites.add(asked))
            )
            answer = definition.run(result_format="COMPLETE", run_id=RunIdentifier(run_name=job_id))
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
            Result(table.full_name, one.name, one.description, "error", None, message) for one in suite.expectations
        ]
    # A query that a signal broke off is an answer to Great Expectations.
    signals.check()
    return [judged(table.full_name, one, answers.get(one.name)) for one in suite.expectations]


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


def _query(asked: Expectation) -> str:
    """Values come as text: what a float cannot hold, Great Expectations looks up its stack for, value by value."""
    sql = asked.sql.replace("{", "{{").replace("}", "}}")
    return f"select cast(columns(*) as varchar), count(*) over () as unexpected_rows_in_all from ({sql}) as unexpected"


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
    return f"{len(asked)} expectations: {counts}"


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
