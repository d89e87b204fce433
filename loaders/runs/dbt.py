"""dbt, as a process of its own: after it ran, its process cannot open the warehouse read-only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from loaders import warehouse
from loaders.errors import LoadersError
from loaders.progress import Reporter
from loaders.queries.about_rows import about_query
from loaders.rendering import near

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
_BAD = ("error", "fail", "runtime error")

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


def build(project: Path, path: Path, *, wait_seconds: float = 0, reporter: Reporter | None = None) -> Built:
    """`dbt build` of the whole project but the unit tests of models, by this interpreter, into the warehouse at `path`.

    `reporter` is told which model or test runs, and how many there are. Holds the writer's lock, as loaders do. Raises
    `WarehouseBusy`.
    """
    with warehouse.write_lock(path, wait_seconds=wait_seconds):
        return _build(project, path, reporter)


def _build(project: Path, path: Path, reporter: Reporter | None) -> Built:
    results = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    results = (results if results.is_absolute() else project / results) / "run_results.json"
    # What another run left there must not be taken for this one's.
    results.unlink(missing_ok=True)
    status, printed = _run(project, path, reporter)
    nodes = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
    # dbt names exposures among its results, and does nothing with them.
    nodes = [node for node in nodes if not node["unique_id"].startswith("exposure.")]
    failures = tuple(
        (node["unique_id"].split(".", 2)[-1], message_of(node, path, results.parent))
        for node in nodes
        if node["status"] in _BAD
    )
    return Built(status, printed, len(nodes), failures)


def _run(project: Path, path: Path, reporter: Reporter | None) -> tuple[int, str]:
    """dbt's exit status, and what it said of warnings and errors."""
    folders = ["--project-dir", str(project), "--profiles-dir", str(project)]
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "--no-use-colors", "--log-format", "json", *_BUILD, *folders],
        cwd=project,
        env={**os.environ, "LOADERS_WAREHOUSE": str(path)},
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
