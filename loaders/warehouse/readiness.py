"""Which state the warehouse is in: what was landed, whether dbt built and tested all of that, what validation found.

dbt writes a row in `state.builds` for each of its runs (macros/builds.sql), `loaders validate` its results in
`ops.validation_results`. Both say which change of the ledger they saw, so what passed can be told from what came later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from loaders.errors import NotBuilt, WarehouseRenamed
from loaders.warehouse.ledger import now

#: Runs a query and gives its rows, whatever connection is behind it.
RunQuery = Callable[[str], list[tuple[Any, ...]]]

# Tests alone change nothing, so a run of them counts only where one failed.
_LAST_BUILD = """
select
    build_id, started_at, finished_at, change_id, nodes_built, nodes_failed, nodes_left_out, dbt_version, project_hash,
    files_hash
from (
    from state.builds
    union all by name
    -- a table that dbt has not widened yet
    select null::varchar as project_hash, null::varchar as files_hash where false
)
where command <> 'test' or nodes_failed > 0
order by started_at desc, build_id desc
limit 1
"""

_LAST_VALIDATION = """
select
    job_id, build_id, change_id, count(*), count(*) filter (where status <> 'pass'), started_at, max(finished_at)
from ops.validation_results
where started_at = (select max(started_at) from ops.validation_results)
group by job_id, build_id, change_id, started_at
order by job_id desc
limit 1
"""

_DATABASES_OF_VIEWS = r"""
select distinct
    regexp_extract(sql, '(?i)(?:from|join)\s+"?([^\s"(]+)"?\."?(?:raw|ops|staging|intermediate)"?\.', 1) as name
from duckdb_views()
where database_name = current_database() and schema_name in ('staging', 'intermediate')
"""


_LANDED_SINCE = "files were landed or forgotten since the last dbt build: run `dbt build`"


@dataclass(frozen=True, slots=True)
class LastBuild:
    """The last run of dbt that changed tables, or failed. Times are UTC; `finished_at` is None where it did not end.

    `project_hash` and `files_hash` are what it was told of its project and of the ledger's files (`loaders run` does),
    None where it was started by hand.
    """

    build_id: str
    started_at: datetime
    finished_at: datetime | None
    change_id: int | None
    nodes_built: int | None
    nodes_failed: int | None
    nodes_left_out: int | None
    dbt_version: str | None
    project_hash: str | None
    files_hash: str | None


@dataclass(frozen=True, slots=True)
class LastValidation:
    """The last validation: what it saw, how many expectations it asked, and how many did not pass. Times are UTC."""

    job_id: str
    build_id: str | None
    change_id: int | None
    asked: int
    failed: int
    started_at: datetime
    finished_at: datetime | None


def _last_build(read: RunQuery) -> LastBuild | None:
    rows = read(_LAST_BUILD) if has_table(read, "state", "builds") else []
    return LastBuild(*rows[0]) if rows else None


def last_validation(read: RunQuery) -> LastValidation | None:
    """None where nothing was validated yet."""
    rows = read(_LAST_VALIDATION) if has_table(read, "ops", "validation_results") else []
    return LastValidation(*rows[0]) if rows else None


@dataclass(frozen=True, slots=True)
class State:
    """What is in the warehouse: the last change of the ledger, and the last run of dbt, None where it has never been.

    `build_trouble` says why the marts cannot be relied on, None if they can.
    """

    change_id: int
    last_build: LastBuild | None
    build_trouble: str | None

    @property
    def build_id(self) -> str | None:
        """The last run's."""
        return self.last_build.build_id if self.last_build else None

    @property
    def project_hash(self) -> str | None:
        """The last run's."""
        return self.last_build.project_hash if self.last_build else None


def state_of(read: RunQuery) -> State:
    """The state now."""
    change_id, last = _last_change(read), _last_build(read)
    return State(change_id, last, _build_trouble(change_id, last))


def _build_trouble(change_id: int, last: LastBuild | None) -> str | None:
    if last is None:
        return "dbt has not built this warehouse yet: run `dbt build`"
    started, left_out = f"{last.started_at:%Y-%m-%d %H:%M:%S}", last.nodes_left_out
    if last.started_at > now():
        return f"the last dbt run is dated {started}, after the present: set the clock"
    if last.finished_at is None:
        return f"the dbt run of {started} did not end: run `dbt build` again"
    if last.nodes_failed:
        return f"{last.nodes_failed} models or tests failed in the dbt run of {started}"
    if left_out:
        return f"the last dbt run left out {left_out} models or tests: run `dbt build` without a selection"
    return _LANDED_SINCE if last.change_id != change_id else None


def whole_build(state: State) -> LastBuild | None:
    """The last build if it was of the whole project, without a failure, and it is known what it worked in; else None.

    Something may have been landed or forgotten since.
    """
    last = state.last_build
    stands = last is not None and state.build_trouble in (None, _LANDED_SINCE) and last.change_id is not None
    return last if stands else None


def require_built(path: Path, read: RunQuery) -> None:
    """Raises `NotBuilt` where dbt has never been, `WarehouseRenamed` where its views name a file of another name."""
    if _last_build(read) is None:
        raise NotBuilt(path)
    require_own_name(path, read)


def require_own_name(path: Path, read: RunQuery) -> None:
    """Raises `WarehouseRenamed`: views name their database, and the engine names a database after its file."""
    ((name,),) = read("select current_database()")
    others = {other for (other,) in read(_DATABASES_OF_VIEWS) if other} - {name}
    if others:
        raise WarehouseRenamed(path, min(others))


def staging_trouble(state: State) -> str | None:
    """Why the views of raw rows cannot be relied on, though nothing else was built; None if they can."""
    last = state.last_build
    if last is None or last.finished_at is None or last.nodes_failed:
        return state.build_trouble
    return _LANDED_SINCE if last.change_id != state.change_id else None


def validation_trouble(read: RunQuery, state: State) -> str | None:
    """Why the last validation does not vouch for this state; None if it does."""
    last = last_validation(read)
    if last is None:
        return "nothing was validated yet: run `loaders validate`"
    if last.started_at > now():
        return f"the last validation is dated {last.started_at:%Y-%m-%d %H:%M:%S}, after the present: set the clock"
    if (last.build_id, last.change_id) != (state.build_id, state.change_id):
        return "the last validation saw another build: run `loaders validate`"
    if last.failed or not last.asked:
        return f"{last.failed} of {last.asked} expectations did not pass in the validation {last.job_id}"
    return None


# The order must not matter; a file that was refused again is the same fact, and so is one that was moved.
_FILES_HASH = """
select
    coalesce(
        bit_xor(hash(status, sha256, error_message, case status when 'failed' then path else file_id::varchar end)), 0
    )::varchar,
    count(*)::varchar
from ops.ingestion_files
"""


def files_hash(read: RunQuery) -> str:
    """Hash of what the ledger says of files, those included that were refused and so changed no table of raw."""
    if not has_table(read, "ops", "ingestion_files"):
        return "0-0"
    return "-".join(read(_FILES_HASH)[0])


def has_table(read: RunQuery, schema: str, table: str) -> bool:
    """Whether the warehouse has that table."""
    found = read(
        f"""
        select count(*)
        from duckdb_tables()
        where database_name = current_database() and schema_name = '{schema}' and table_name = '{table}'
        """
    )
    return bool(number(found))


def _last_change(read: RunQuery) -> int:
    if not has_table(read, "ops", "ingestion_changes"):
        return 0
    return number(read("select coalesce(max(change_id), 0) from ops.ingestion_changes"))


def number(rows: list[tuple[Any, ...]]) -> int:
    """The one number that a query gave."""
    return int(rows[0][0])
