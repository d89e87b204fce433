"""dbt with everything imported and the project parsed, once; each build is a fork of that.

Most of a small build's time is dbt's start: importing it and parsing the project take longer than the models. So one
process for each process of tests does both, and forks for each build it is asked for. The fork sets its own
environment, runs the command with the parsed project, closes the warehouse and ends. Where the project is a copy, the
fork parses the files that differ, as dbt does from one command to the next. A quarter of what remains would be events
for dbt's debug log, which nobody reads here, and macros compiled again: the former are dropped, and the forks find the
latter done. Another tenth would be manifest.json, which is written where somebody asks for it: after `compile` and
`parse`. Variables are read when a model is compiled; one that decides what a model refers to would have to be parsed,
too.

Requests and answers are lines of JSON on stdin and stdout; it ends when stdin does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from loaders.runs import dbt_process
from loaders.runs.dbt_process import ENDED, BuildEnded, BuildRequest

PROJECT = Path(__file__).resolve().parents[2]

# A build that takes longer hangs.
_SECONDS = 300


def run(arguments: list[str], project: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Runs dbt in a fork of this process's server; gives its exit status and what it printed."""
    return _asked({"arguments": arguments}, project, environment)


def build(request: BuildRequest, project: Path, environment: dict[str, str]) -> tuple[int, str, BuildEnded]:
    """Does so for a build of `loaders run`, which leaves out what did not change; gives how each node ended, too."""
    asked = {"arguments": ["build", "--quiet"], "request": request.to_json()}
    status, printed = _asked(asked, project, environment)
    printed, _, ended = printed.partition(ENDED)
    return status, printed, BuildEnded.from_json(ended) if ended else BuildEnded()


def _asked(request: dict[str, Any], project: Path, environment: dict[str, str]) -> tuple[int, str]:
    with tempfile.NamedTemporaryFile("r") as printed:
        request |= {
            "project": str(project),
            "environment": environment,
            "printed": printed.name,
            "parsed": project == PROJECT,
        }
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "dbt's server has ended: its own errors stand above"
        return int(answer), printed.read()


@cache
def _server() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _serve() -> None:
    # A Python model's library, which takes longer to load than most models take to run.
    importlib.import_module("pandas")
    from dbt.cli.main import dbtRunner

    # What dbt prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOADERS_WAREHOUSE"] = f"{folder}/warehouse.duckdb"
        parsed = dbtRunner().invoke(
            ["parse", "--quiet", "--warn-error", "--no-partial-parse", "--target-path", folder, "--log-path", folder]
        )
    if not parsed.success:
        sys.exit(f"the project cannot be parsed: {parsed.exception}")
    _drop_debug_events()
    _compile_macros(parsed.result)
    assert threading.active_count() == 1, "a fork of several threads can hang"
    # A fork lives for one build: going through the parsed project again and again finds nothing to throw away.
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(request, parsed.result)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _drop_debug_events() -> None:
    from dbt_common.events.base_types import BaseEvent, DebugLevel
    from dbt_common.events.event_manager import EventManager

    make, fire = BaseEvent.__init__, EventManager.fire_event

    def make_unless_debug(self: BaseEvent, *args: Any, **kwargs: Any) -> None:
        if not isinstance(self, DebugLevel):
            make(self, *args, **kwargs)

    def fire_unless_debug(self: EventManager, event: BaseEvent, *args: Any, **kwargs: Any) -> None:
        if not isinstance(event, DebugLevel):
            fire(self, event, *args, **kwargs)

    BaseEvent.__init__ = make_unless_debug
    EventManager.fire_event = fire_unless_debug


def _compile_macros(manifest: Any) -> None:
    from dbt_common.clients.jinja import template_cache

    for macro in manifest.macros.values():
        template_cache.get_node_template(macro)


def _parse_what_differs_from(manifest: Any) -> None:
    from dbt.parser.manifest import ManifestLoader

    def read(loader: Any) -> Any:
        # The profile differs by the path of the warehouse, whose name is the same.
        manifest.state_check.profile_hash = loader.manifest.state_check.profile_hash
        same, _ = loader.is_partial_parsable(manifest)
        # Read from a file, it would not know yet where names are found.
        for name in vars(manifest):
            if name.endswith("_lookup"):
                setattr(manifest, name, None)
        return manifest if same else None

    ManifestLoader.read_manifest_for_partial_parse = read
    ManifestLoader.write_manifest_for_partial_parse = lambda _: None


def _run(request: dict[str, Any], manifest: Any) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner
    from dbt.parser.manifest import write_manifest
    from dbt.task import runnable

    parsed = request["parsed"]
    if not parsed:
        _parse_what_differs_from(manifest)
    command = request["arguments"][0]
    if command != "compile":
        runnable.write_manifest = lambda *_: None
    signal.alarm(_SECONDS)
    file = os.open(request["printed"], os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["project"])
    # The static parser's threads have not come along either: a fork that parses for itself would wait for them.
    parsing = [] if parsed else ["--no-static-parser"]
    own = manifest if parsed else None
    if "request" in request:
        _, *options = request["arguments"]
        status, ended = dbt_process.build(BuildRequest.from_json(request["request"]), [*options, *parsing], own)
        print(ENDED + ended.to_json())
    else:
        done = dbtRunner(manifest=own).invoke([*request["arguments"], *parsing])
        status = dbt_process.exit_status(done)
    if command == "parse" and parsed:
        write_manifest(manifest, request["environment"]["DBT_TARGET_PATH"])
    # Closes the warehouse, which writes its log into the file. What the engine has of the server is left alone: its
    # threads have not come along, and the end of the interpreter would wait for them.
    DuckDBConnectionManager.close_all_connections()
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()
