"""dbt with everything imported and the project parsed, once; each build is a fork of that.

Most of a small build's time is dbt's start: importing it and parsing the project take longer than the models. So one
process for each process of tests does both, and forks for each build it is asked for. The fork sets its own
environment, runs the command with the parsed project, closes the warehouse and ends. Where the project is a copy, the
fork parses the files that differ, as dbt does from one command to the next. Half of what remains would be no work of
the project's: events for dbt's debug log and a quiet build's progress, which nobody reads here, are dropped; templates
are compiled before the forks; the engine has one thread. Another tenth would be manifest.json, which is written where
somebody asks for it: after `compile` and `parse`. Variables are read when a model is compiled; one that decides what a
model refers to would have to be parsed, too.

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
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from loaders.runs import dbt, dbt_process
from loaders.runs.dbt_process import BuildEnded, BuildRequest

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
    return status, *dbt.heard(printed.split("\n"), None)


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

    _leave_out_what_nobody_reads()
    _make_contexts_faster()
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
    _drop_quiet_events()
    _compile_templates(parsed.result)
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


def _drop_quiet_events() -> None:
    from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel, InfoLevel
    from dbt_common.events.event_manager import EventManager

    make, fire = BaseEvent.__init__, EventManager.fire_event

    def make_unless_debug(self: BaseEvent, *args: Any, **kwargs: Any) -> None:
        if not isinstance(self, DebugLevel):
            make(self, *args, **kwargs)

    def fire_unless_quiet(self: EventManager, event: BaseEvent, level: EventLevel | None = None, **kwargs: Any) -> None:
        # An event of information can be told as a warning.
        told = level in (EventLevel.WARN, EventLevel.ERROR) or kwargs.get("force_warn_or_error_handling", False)
        if not isinstance(event, DebugLevel) and (told or not isinstance(event, InfoLevel)):
            fire(self, event, level, **kwargs)

    BaseEvent.__init__ = make_unless_debug
    EventManager.fire_event = fire_unless_quiet


def _leave_out_what_nobody_reads() -> None:
    """Files that describe the graph, for which every node is turned into a dict, and a look for plugins on the disk."""
    from dbt.compilation import Compiler, Linker
    from dbt.plugins.manager import PluginManager

    Compiler.write_graph_file = lambda *_: None
    Linker.get_graph_summary = lambda *_: {}
    PluginManager.get_prefixed_modules = cache(PluginManager.get_prefixed_modules)


def _make_contexts_faster() -> None:
    """Of a node's context, makes once what is the same for all: compiled templates, and what reads dates."""
    import agate
    import parsedatetime
    from dbt.context import macros
    from dbt.include.global_project import PROJECT_NAME
    from dbt_common.clients import agate_helper
    from dbt_common.clients.jinja import MacroFuzzEnvironment

    class Namespace(dict[str, Any]):
        """dbt's own in one dict, the nearest last. Each context copies it: dbt's looks 600 names up one by one."""

        get_from_package = macros.MacroNamespace.get_from_package

        def __init__(self, global_namespace: Any, local_namespace: Any, global_project_namespace: Any, packages: Any):
            self.packages, self.global_project_namespace = packages, global_project_namespace
            super().__init__(
                {
                    **global_project_namespace,
                    PROJECT_NAME: global_project_namespace,
                    **packages,
                    **global_namespace,
                    **local_namespace,
                }
            )

    macros.MacroNamespace = Namespace

    compile_template = MacroFuzzEnvironment.compile
    codes: dict[tuple[type, str], Any] = {}

    def compile_once(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs or not isinstance(source, str):
            return compile_template(self, source, *args, **kwargs)
        key = (type(self), source)
        if key not in codes:
            codes[key] = compile_template(self, source)
        return codes[key]

    MacroFuzzEnvironment.compile = compile_once

    # Every statement's result is a table that can read dates in ten languages, whether it has some or not.
    parsedatetime.Constants = cache(parsedatetime.Constants)
    empty = agate.Table(rows=[])
    agate_helper.empty_table = lambda: empty


def _compile_templates(manifest: Any) -> None:
    from dbt_common.clients.jinja import get_template, template_cache

    for macro in manifest.macros.values():
        template_cache.get_node_template(macro)
    for node in manifest.nodes.values():
        hooks = [*getattr(node.config, "pre_hook", ()), *getattr(node.config, "post_hook", ())]
        for text in (node.raw_code, *(hook.sql for hook in hooks)):
            get_template(text, {}, node)


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
    from dbt.cli.main import dbtRunner
    from dbt.parser.manifest import write_manifest
    from dbt.task import runnable

    parsed = request["parsed"]
    if not parsed:
        _parse_what_differs_from(manifest)
    command = request["arguments"][0]
    if command != "compile":
        runnable.write_manifest = lambda *_: None
    _use_one_thread()
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
        print(dbt_process.told(ended=asdict(ended)))
    else:
        done = dbtRunner(manifest=own).invoke([*request["arguments"], *parsing])
        status = dbt_process.exit_status(done)
    if command == "parse" and parsed:
        write_manifest(manifest, request["environment"]["DBT_TARGET_PATH"])
    # What the engine has of the server is left alone: its threads have not come along, and the end of the interpreter
    # would wait for them.
    _close_warehouse(Path(request["environment"].get("LOADERS_WAREHOUSE", "")))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _use_one_thread() -> None:
    """Two workers of the engine wait for each other longer than a test's few rows take; two builds run at a time."""
    import duckdb

    connect = duckdb.connect

    def connect_with_one(*args: Any, **kwargs: Any) -> duckdb.DuckDBPyConnection:
        return connect(*args, **{**kwargs, "config": {**(kwargs.get("config") or {}), "threads": 1}})

    setattr(duckdb, "connect", connect_with_one)  # noqa: B010


def _close_warehouse(path: Path) -> None:
    """So that the engine's log is written into the file."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()
    # Something that failed can hold it still. To look for that always would be a tenth of a build.
    if Path(f"{path}.wal").exists():
        gc.collect()


if __name__ == "__main__":
    _serve()
