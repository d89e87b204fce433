"""Which expectations are asked, and of what: of everything, of what changed since they last passed, or not again.

An expectation that passed when the ledger and the log of rebuilds had come to some number holds until something is
landed or rebuilt after it, as long as the same question was asked of tables that the same project built. What was
rebuilt since, by whatever build, is in the log; but a build of which the project is not known (dbt was started by hand,
perhaps with other vars), or was another one, may have changed any table, so that everything is asked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from loaders.validation.suites import CHANGED_SERIES, AskedOf, Expectation, Suite, shared_rows
from loaders.warehouse import changes, readiness
from loaders.warehouse.changes import Moment
from loaders.warehouse.keyed import set_changed_since
from loaders.warehouse.readiness import RunQuery, State

# Older results do not say what was asked: nothing stands on them.
_LAST_PASSES = """
select table_name, expectation, question, build_id, change_id, rebuild_id
from ops.validation_results
where status = 'pass'
qualify row_number() over (partition by table_name, expectation order by started_at desc, job_id desc) = 1
"""


@dataclass(frozen=True, slots=True)
class Question:
    """An expectation as it is asked this time; `sql` is empty where nothing changed since it passed.

    `fingerprint` tells whether a later validation asks the same; None where the project that built is not known.
    """

    expectation: Expectation
    asked_of: AskedOf
    sql: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """All questions of a validation, by suite, and the state of the warehouse for which they were chosen.

    Where some are asked of changes, these are the changes after `since`: so many files and symbols.
    """

    state: State
    moment: Moment
    since: Moment | None
    files: int
    series: int
    questions: tuple[tuple[Suite, tuple[Question, ...]], ...]

    @property
    def asks_nothing(self) -> bool:
        """Everything passed before, and nothing changed since."""
        return all(one.asked_of == "nothing" for _, of_suite in self.questions for one in of_suite)

    @property
    def is_full(self) -> bool:
        """Everything is asked of everything."""
        return all(one.asked_of == "everything" for _, of_suite in self.questions for one in of_suite)

    def temporary_tables(self) -> list[str]:
        """Statements that make what questions about changes read, for the connection that asks them."""
        if self.since is None:
            return []
        asked = [one.sql for _, of_suite in self.questions for one in of_suite if one.asked_of == "changes"]
        return [
            f"create temp table changed_files as {changes.changed_files(self.since)}",
            f"create temp table changed_series as {changes.changed_series(self.since)}",
            set_changed_since(CHANGED_SERIES),
            # Views of snapshots give those since then, while the tables below are made; questions may be about all.
            "set variable rebuild_floor = getvariable('changed_since')",
            *(
                f"create temp table {name.removeprefix('temp.')} as select * from {rows} as changed"
                for name, rows in shared_rows([suite for suite, _ in self.questions]).items()
                if any(name in sql for sql in asked)
            ),
            "reset variable rebuild_floor",
        ]


@dataclass(frozen=True, slots=True)
class _Pass:
    """When an expectation last passed, and on what."""

    fingerprint: str | None
    build_id: str | None
    moment: Moment


def planned(read: RunQuery, suites: Sequence[Suite], *, full: bool = False) -> Plan:
    """What is to be asked of the warehouse as it is; everything of everything if `full`, or if most of it changed.

    Rows that changed are gathered, which takes more time and memory than to ask of all of them.
    """
    state, moment = readiness.state_of(read), changes.present(read)
    passes = {} if full else _passes(read, state)
    changed = {} if full else _last_changes(read)
    questions = tuple(
        (
            suite,
            tuple(
                _question(suite, one, passes.get((suite.table.full_name, one.name)), changed, state, moment)
                for one in suite.expectations
            ),
        )
        for suite in suites
    )
    of_changes = [
        passes[suite.table.full_name, one.expectation.name].moment
        for suite, of_suite in questions
        for one in of_suite
        if one.asked_of == "changes"
    ]
    if not of_changes:
        return Plan(state, moment, None, 0, 0, questions)
    # One set of changes for all: of those that passed later, a little is asked again.
    since = Moment(min(one.change_id for one in of_changes), min(one.rebuild_id for one in of_changes))
    if read(changes.is_most_touched(since)) == [(True,)]:
        return planned(read, suites, full=True)
    files = readiness.number(read(f"select count(*) from ({changes.changed_files(since)})"))
    series = readiness.number(read(f"select count(*) from ({changes.changed_series(since)})"))
    return Plan(state, moment, since, files, series, questions)


def _question(
    suite: Suite,
    one: Expectation,
    passed: _Pass | None,
    changed: dict[tuple[str, str], int],
    state: State,
    moment: Moment,
) -> Question:
    fingerprint = None
    if state.project_hash is not None:
        asked = "\n".join((one.sql, one.changed_sql, state.project_hash))
        fingerprint = hashlib.sha256(asked.encode()).hexdigest()[:16]
    if passed is None or fingerprint is None or passed.fingerprint != fingerprint:
        return Question(one, "everything", one.sql, fingerprint)
    if suite.landed is not None:
        same = changed.get(suite.landed, 0) <= passed.moment.change_id
    else:
        same = passed.moment == moment and (suite.follows == "series" or passed.build_id == state.build_id)
    if same:
        return Question(one, "nothing", "", fingerprint)
    return Question(one, "everything" if one.sql == one.changed_sql else "changes", one.changed_sql, fingerprint)


def _passes(read: RunQuery, state: State) -> dict[tuple[str, str], _Pass]:
    """The last pass of each expectation, by table and name, since the last build of which the project is another."""
    if state.project_hash is None or not readiness.has_table(read, "ops", "validation_results"):
        return {}
    started: dict[str, datetime] = {}
    last_foreign = datetime.min  # noqa: DTZ901
    for build_id, started_at, project_hash in read(
        "select build_id, started_at, project_hash from state.builds where command <> 'test'"
    ):
        started[build_id] = started_at
        if project_hash != state.project_hash:
            last_foreign = max(last_foreign, started_at)
    return {
        (table, name): _Pass(fingerprint, build_id, Moment(change_id, rebuild_id))
        for table, name, fingerprint, build_id, change_id, rebuild_id in read(_LAST_PASSES)
        if rebuild_id is not None and build_id in started and started[build_id] > last_foreign
    }


def _last_changes(read: RunQuery) -> dict[tuple[str, str], int]:
    """The last change of each exchange's dataset."""
    if not readiness.has_table(read, "ops", "ingestion_changes"):
        return {}
    rows = read("select exchange, dataset, max(change_id) from ops.ingestion_changes group by exchange, dataset")
    return {(exchange, dataset): last for exchange, dataset, last in rows}
