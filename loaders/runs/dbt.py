"""dbt, as a process of its own: after it ran, its process cannot open the warehouse read-only."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from loaders import warehouse
from loaders.errors import LoadersError
from loaders.progress import Reporter
from loaders.queries.about_rows import about_query
from loaders.rendering import near
from loaders.warehouse import readiness
from loaders.warehouse.readiness import LastBuild

# Ends with the process that began it, however that ended: dbt must not write on when nobody holds the lock for it.
_PROGRAM = """
import os, sys, threading

def end_with_parent():
    os.read(0, 1)
    os._exit(1)

threading.Thread(target=end_with_parent, daemon=True).start()
from dbt.cli.main import cli
sys.exit(cli())
"""
# Unit tests run the models on given rows, so the data of a night tells them nothing new; `make test` runs them.
_BUILD = ("build", "--exclude-resource-type", "unit_test")
# Decides what tests look at, and nothing of what models make (macros/incremental/rows_to_test.sql).
_EVERYTHING = ("--vars", "{test_everything: true}")
_BAD = ("error", "fail", "runtime error")

#: What of the project decides what is built, below its folder.
_PROJECT_FILES = ("dbt_project.yml", "profiles.yml", "packages.yml", "macros", "models", "seeds", "tests/dbt")
#: What can be done about a test that fails.
REMEDY = (
    "remedy: look at the rows (the query is for the warehouse). If a file is wrong, move it out of the data folder and "
    "`loaders forget --file` it; else `dbt build --full-refresh`. If it fails again, move the symbol's files out and "
    "`loaders forget --symbol` it. Then run again"
)


@dataclass(frozen=True, slots=True)
class Built:
    """How a build ended: dbt's exit status, what it printed, and each model or test that failed, with its message.

    The message of a test also says which symbols and days its rows are about, and where its query lies.
    """

    status: int
    printed: str
    nodes: int
    failures: tuple[tuple[str, str], ...]


def build(
    project: Path,
    path: Path,
    *,
    wait_seconds: float = 0,
    reporter: Reporter | None = None,
    full: bool = False,
) -> Built:
    """`dbt build` of the whole project but the unit tests of models, by this interpreter, into the warehouse at `path`.

    Tests look at what the build made, or at everything if `full`. `reporter` is told which model or test runs, and how
    many there are. Holds the writer's lock, as loaders do. Raises
    `WarehouseBusy`.
    """
    with warehouse.write_lock(path, wait_seconds=wait_seconds):
        # Nobody lands anything under this lock, so the build sees the files that are told here.
        told = {"LOADERS_PROJECT_HASH": project_hash(project), "LOADERS_FILES_HASH": _files_hash(path)}
        return _build(project, path, reporter, told, _EVERYTHING if full else ())


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


def _files_hash(path: Path) -> str:
    if not path.exists():
        return ""
    with warehouse.reader(path) as connection:
        return readiness.files_hash(lambda sql: connection.execute(sql).fetchall())


def _build(
    project: Path, path: Path, reporter: Reporter | None, told: Mapping[str, str], options: Sequence[str]
) -> Built:
    results = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    results = (results if results.is_absolute() else project / results) / "run_results.json"
    # What another run left there must not be taken for this one's.
    results.unlink(missing_ok=True)
    status, printed = _run(project, path, reporter, told, options)
    nodes = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
    # dbt names exposures among its results, and does nothing with them.
    nodes = [node for node in nodes if not node["unique_id"].startswith("exposure.")]
    failures = tuple(
        (node["unique_id"].split(".", 2)[-1], message_of(node, path, results.parent))
        for node in nodes
        if node["status"] in _BAD
    )
    return Built(status, printed, len(nodes), failures)


def _run(
    project: Path, path: Path, reporter: Reporter | None, told: Mapping[str, str], options: Sequence[str]
) -> tuple[int, str]:
    """dbt's exit status, and what it said of warnings and errors."""
    folders = ["--project-dir", str(project), "--profiles-dir", str(project)]
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "--no-use-colors", "--log-format", "json", *_BUILD, *options, *folders],
        cwd=project,
        env={**os.environ, **told, "LOADERS_WAREHOUSE": str(path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            printed = "\n".join(troubles_of(process.stdout, reporter))
            status = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            if reporter is not None:
                reporter.step("")
    return status, printed


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


def troubles_of(lines: Iterable[str], reporter: Reporter | None) -> Iterator[str]:
    """What dbt logs as warnings and errors, and what it prints outside its log; the rest only moves the progress."""
    for line in lines:
        try:
            event = json.loads(line)
            info, data = event["info"], event["data"]
        except (ValueError, KeyError, TypeError):
            yield line.rstrip("\n")
            continue
        if info["level"] in ("warn", "error"):
            yield info["msg"]
        elif info["name"] == "LogStartLine" and reporter is not None:
            reporter.step(f"building {data['index']} of {data['total']}: {data['description']}")
