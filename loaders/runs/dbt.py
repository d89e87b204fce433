"""dbt, as a process of its own: after it ran, its process cannot open the warehouse read-only."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from loaders import warehouse
from loaders.errors import LoadersError
from loaders.progress import Reporter
from loaders.queries.about_rows import about_query
from loaders.rendering import near
from loaders.runs.dbt_process import TOLD, BuildEnded, BuildRequest
from loaders.warehouse import readiness
from loaders.warehouse.readiness import LastBuild, RunQuery

_BAD = ("error", "fail", "runtime error")

# What dbt is told besides. What it says is heard event by event, not read from its stdout. Its log file has what a
# terminal would show, and not the 9 MB that it can say of each build; its reports of nodes and project, which take a
# second to write, are for those who call dbt by hand.
_OPTIONS = ("--no-use-colors", "--log-level", "none", "--no-write-json", "--log-level-file", "info")

#: What of the project decides what is built, below its folder.
_PROJECT_FILES = ("dbt_project.yml", "profiles.yml", "packages.yml", "macros", "models", "seeds", "tests/dbt")
_OUT_OF_MEMORY = "Out of Memory Error"
_MORE_MEMORY = "remedy: the engine lacked memory, which says nothing about the rows: raise LOADERS_BUILD_MEMORY_LIMIT"
_REMEDY = (
    "remedy: look at the rows (the query is for the warehouse). If a file is wrong, move it out of the data folder and "
    "`loaders forget --file` it; else `dbt build --full-refresh`. If it fails again, move the symbol's files out and "
    "`loaders forget --symbol` it. Then run again"
)


def remedies(failures: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What can be done about these failures, given by name and message."""
    lack_memory = [_OUT_OF_MEMORY in message for _, message in failures]
    if not any(lack_memory):
        return (_REMEDY,)
    return (_MORE_MEMORY,) if all(lack_memory) else (_MORE_MEMORY, _REMEDY)


@dataclass(frozen=True, slots=True)
class Built:
    """How a build ended: dbt's exit status, what it printed, and each model or test that failed, with its message.

    The message of a test also says which symbols and days its rows are about, and where its query lies. `nodes` were
    built or tested; `unchanged` were left out, since nothing below them changed.
    """

    status: int
    printed: str
    nodes: int
    failures: tuple[tuple[str, str], ...]
    unchanged: int = 0

    @property
    def summary(self) -> str:
        """One line."""
        failed = f"{len(self.failures)} of " if self.status else ""
        line = f"{failed}{self.nodes} models, seeds and tests"
        if self.status:
            line += f" failed (dbt's status {self.status})"
        return f"{line}; nothing changed below {self.unchanged} more" if self.unchanged else line


def build(
    project: Path,
    path: Path,
    *,
    wait_seconds: float = 0,
    reporter: Reporter | None = None,
    full: bool = False,
    begun: DbtProcess | None = None,
) -> Built:
    """`dbt build` of all that changed but the unit tests of models, by this interpreter, into the warehouse at `path`.

    Where the build before was whole, and of the same project, what stands on files that are the same is left out; if
    `full`, nothing is. Tests look at what the build made, or at everything if `full`. `reporter` is told which model or
    test runs, and how many there are. `begun` is a dbt that was started earlier for this warehouse; it is used if the
    project is still the one that it parsed. Holds the writer's lock, as loaders do. Raises `WarehouseBusy`.
    """
    with warehouse.write_lock(path, wait_seconds=wait_seconds):
        # Nobody lands anything under this lock, so the build sees the files that are told here.
        of_project, files, request = project_hash(project), "", BuildRequest(test_everything=full)
        if path.exists():
            with warehouse.reader(path) as connection:

                def read(sql: str) -> list[tuple[Any, ...]]:
                    return connection.execute(sql).fetchall()

                files = readiness.files_hash(read)
                if not full:
                    request = _changes(read, of_project)
        told = {"LOADERS_PROJECT_HASH": of_project, "LOADERS_FILES_HASH": files}
        process = begun
        if process is not None and process.project_hash != of_project:
            process.close()
            process = None
        process = process or DbtProcess(project, path)
        try:
            status, printed, ended = process.build(replace(request, told=told), reporter)
        finally:
            process.close()
    # Joined to the project's folder, an absolute path stays what it is.
    target = project / (os.environ.get("DBT_TARGET_PATH") or "target")
    failures = tuple(
        (node["unique_id"].split(".", 2)[-1], message_of(node, path, target))
        for node in ended.results
        if node["status"] in _BAD
    )
    return Built(status, printed, len(ended.results), failures, ended.unchanged)


def _changes(read: RunQuery, of_project: str) -> BuildRequest:
    """Of which datasets files came or went since a whole build by this project; everything if there is none.

    Without a change there is a file that was refused, of which the checks must tell: everything, too.
    """
    whole = _whole_build(read, of_project)
    if whole is None:
        return BuildRequest()
    changed = frozenset(
        read(f"select distinct exchange, dataset from ops.ingestion_changes where change_id > {whole.change_id}")
    )
    landed = frozenset(read("select distinct exchange, dataset from ops.ingestion_files where status = 'loaded'"))
    return BuildRequest(changed, landed) if changed else BuildRequest()


def _whole_build(read: RunQuery, of_project: str) -> LastBuild | None:
    """The last build, if it was whole, went well and was of this project."""
    whole = readiness.whole_build(readiness.state_of(read))
    return whole if whole is not None and whole.project_hash == of_project else None


def build_that_stands(project: Path, path: Path, *, wait_seconds: float = 0) -> LastBuild | None:
    """The last build, if another one would find nothing to do; None if it would, or might.

    It built and tested everything, of the files that the ledger has now, by the same project and versions. Raises
    `WarehouseBusy`.
    """
    if not path.exists():
        return None
    with warehouse.reader(path, wait_seconds=wait_seconds) as connection:

        def read(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        state = readiness.state_of(read)
        last = state.last_build
        if last is None or state.build_trouble is not None or last.files_hash != readiness.files_hash(read):
            return None
    return last if last.project_hash == project_hash(project) else None


def rows_landed_since(project: Path, path: Path, *, wait_seconds: float = 0) -> int | None:
    """Rows of the files that were landed since a whole build by this project; None if there is no such build.

    Raises `WarehouseBusy`.
    """
    if not path.exists():
        return None
    with warehouse.reader(path, wait_seconds=wait_seconds) as connection:

        def read(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        whole = _whole_build(read, project_hash(project))
        if whole is None:
            return None
        return readiness.number(
            read(
                f"""
                select coalesce(sum(files.rows_loaded), 0)
                from ops.ingestion_files as files
                semi join ops.ingestion_changes as changes
                    on files.file_id = changes.file_id and changes.change_id > {whole.change_id}
                """
            )
        )


def project_hash(project: Path) -> str:
    """Hash of all that decides what a build makes of landed rows: the project's files, and versions of what runs them.

    Vars stand in `dbt_project.yml`; those of a command line are not for `build`.
    """
    found = hashlib.sha256()
    for name in ("dbt-core", "dbt-duckdb", "duckdb"):
        found.update(f"{name} {version(name)}\n".encode())
    for place in _PROJECT_FILES:
        files = [project / place] if (project / place).is_file() else sorted((project / place).rglob("*"))
        for file in files:
            if file.is_file():
                found.update(f"{file.relative_to(project).as_posix()} {file.stat().st_size}\n".encode())
                found.update(file.read_bytes())
    return found.hexdigest()[:32]


class DbtProcess:
    """dbt in a process of its own: it begins at once to import itself and to parse the project, and waits for `build`.

    `project_hash` is that of the project as it began. It ends with the process that began it, however that ended.
    """

    def __init__(self, project: Path, path: Path) -> None:
        self.project_hash = project_hash(project)
        folders = ["--project-dir", str(project), "--profiles-dir", str(project)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loaders.runs.dbt_process", *_OPTIONS, *folders],
            cwd=project,
            env={**os.environ, "LOADERS_WAREHOUSE": str(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def build(self, request: BuildRequest, reporter: Reporter | None) -> tuple[int, str, BuildEnded]:
        """dbt's exit status, what it said of warnings and errors, and how each node ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # One that could not begin has said why.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(request.to_json() + "\n")
            self._process.stdin.flush()
        try:
            printed, ended = heard(self._process.stdout, reporter)
            status = self._process.wait()
        finally:
            if reporter is not None:
                reporter.step("")
        return status, printed, ended

    def close(self) -> None:
        """Ends it, wherever it is."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            # What was not taken any more need not be told.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def message_of(node: Mapping[str, Any], path: Path, target: Path) -> str:
    """What dbt says of a model or test that failed; of a test also the symbols and days of its rows, and its query."""
    message = (node.get("message") or "").strip()
    if node["status"] != "fail" or not node.get("compiled_code"):
        return message
    try:
        with warehouse.reader(path) as connection:
            named = about_query(connection, node["compiled_code"])
            message = f"{message}, {named}" if named else message
    except (LoadersError, duckdb.Error):
        # What the test said stands without it.
        pass
    queries = sorted((target / "compiled").rglob(f"{node['unique_id'].split('.')[2]}.sql"))
    return f"{message} (query: {near(queries[0])})" if queries else message


def heard(lines: Iterable[str], reporter: Reporter | None) -> tuple[str, BuildEnded]:
    """What dbt said of warnings and errors, with what was printed besides; and how each node ended.

    `lines` are those that its process writes to stdout. What it says of its steps only moves the progress.
    """
    printed, ended = [], BuildEnded()
    for line in lines:
        before, is_told, rest = line.rstrip("\n").partition(TOLD)
        if before or not is_told:
            printed.append(before)
        if not is_told:
            continue
        try:
            said = json.loads(rest)
        except ValueError:
            # A process that was killed in the middle of it.
            printed.append(rest)
            continue
        if "trouble" in said:
            printed.append(said["trouble"])
        elif "ended" in said:
            ended = BuildEnded(**said["ended"])
        elif reporter is not None:
            reporter.step(said["step"])
    return "\n".join(printed), ended
