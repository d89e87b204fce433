"""dbt, in a process of its own that `loaders.runs.dbt` starts: builds what changed, and tells how each node ended.

The project is parsed once. What stands on landed files that did not change since a whole build by the same project
would come out as it is, so it is left out, with its tests: seeds, views, models of other datasets. That is most of a
night.

Its arguments are options of dbt. It imports dbt and parses the project, then waits for a request, a line of JSON on
stdin. What stands behind `TOLD` in a line of stdout is JSON, and the last of it says how the build ended; the rest was
printed by something else.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from queue import SimpleQueue
from typing import Any

#: Before an object of JSON, as in the sequences of RFC 7464: nobody prints that character. `step` is the node that
#: begins, `trouble` a warning or an error, `ended` a `BuildEnded`.
TOLD = "\x1e"

# dbt speaks in several threads.
_speaking = threading.Lock()

#: The variable that tells the macros which nodes are left out because nothing below them changed.
UNCHANGED = "LOADERS_UNCHANGED_NODES"

# Unit tests run the models on given rows, so the data of a night tells them nothing new; `make test` runs them.
BUILD = ("build", "--exclude-resource-type", "unit_test")
# Decides what tests look at, and nothing of what models make (macros/incremental/rows_to_test.sql).
_EVERYTHING = ("--vars", "{test_everything: true}")

Dataset = tuple[str, str]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What is to be built. Datasets are pairs of exchange and dataset.

    `changed` are those of which files were landed or forgotten since the last whole build by the same project, None
    where there is no such build, so that everything is built; `landed` are those that have files. `test_everything`
    lets tests look at all rows. `told` are variables of the environment that the project's macros write down.
    """

    changed: Collection[Dataset] | None = None
    landed: Collection[Dataset] = ()
    test_everything: bool = False
    told: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> BuildRequest:
        """Reads what `to_json` wrote."""
        read = json.loads(text)
        changed = read["changed"]
        return cls(
            None if changed is None else frozenset(map(tuple, changed)),
            frozenset(map(tuple, read["landed"])),
            read["test_everything"],
            read["told"],
        )

    def to_json(self) -> str:
        """The request as one line."""
        return json.dumps(asdict(self), default=list)


@dataclass(frozen=True, slots=True)
class BuildEnded:
    """How a build ended.

    `results` has `unique_id`, `status`, `message` and `compiled_code` of each model, seed and test that was built or
    asked; `unchanged` is the number of nodes that were left out.
    """

    results: Sequence[Mapping[str, Any]] = ()
    unchanged: int = 0


def nodes_to_build(manifest: Any, request: BuildRequest) -> tuple[list[str], list[str]] | None:
    """What a change concerns: full names of models and tests, and the ids of all other nodes; None for everything.

    A model stands on the sources below it. One whose `meta.empty_without` names datasets has no rows where one of
    these has no file.
    """
    changed = request.changed
    if changed is None:
        return None
    there = {dataset for _, dataset in (*request.landed, *changed)}
    known: dict[str, bool] = {}

    def is_changed(node_id: str) -> bool:
        if node_id not in known:
            known[node_id] = _is_source_changed(node_id) if node_id in manifest.sources else _is_node_changed(node_id)
        return known[node_id]

    def _is_source_changed(node_id: str) -> bool:
        meta = manifest.sources[node_id].config.meta
        # The ledger's own tables have no dataset: what they say of one changes with its files.
        return (meta.get("exchange"), meta.get("dataset")) in changed

    def _is_node_changed(node_id: str) -> bool:
        node = manifest.nodes[node_id]
        if node.resource_type == "seed":
            return False
        needed = node.config.meta.get("empty_without", []) if node.resource_type == "model" else []
        below = node.depends_on.nodes
        # A test of the ledger itself.
        if node.resource_type == "test" and all(one in manifest.sources for one in below):
            return True
        return all(dataset in there for dataset in needed) and any(map(is_changed, below))

    chosen, unchanged = [], []
    for node_id, node in manifest.nodes.items():
        if node.resource_type not in ("model", "seed", "test") or node.config.materialized == "ephemeral":
            continue
        is_built = node.resource_type == "test" or node.config.materialized not in ("view", "seed")
        if is_built and is_changed(node_id):
            # The name alone may be that of a folder, or of the project.
            chosen.append(".".join(node.fqn))
        else:
            unchanged.append(node_id)
    return chosen, unchanged


def build(
    request: BuildRequest,
    options: Sequence[str],
    manifest: Any,
    hear: Callable[[Any], None] | None = None,
) -> tuple[int, BuildEnded]:
    """Builds in this process; gives dbt's exit status, and how each node ended.

    `options` go to dbt. `manifest` is the parsed project; without one dbt parses it, and builds all of it. `hear` is
    called with each of dbt's events.
    """
    from dbt.cli.main import dbtRunner

    arguments = [*BUILD, *options, *(_EVERYTHING if request.test_everything else ())]
    chosen = nodes_to_build(manifest, request) if manifest is not None else None
    names, unchanged = chosen or ([], [])
    os.environ.update({**request.told, UNCHANGED: " ".join(unchanged)})
    if chosen is not None:
        arguments += ["--indirect-selection", "empty", "--select", *(f"fqn:{name}" for name in names)]
    done = dbtRunner(manifest=manifest, callbacks=[hear] if hear else []).invoke(arguments)
    results = [
        {
            "unique_id": one.node.unique_id,
            "status": str(one.status),
            "message": one.message,
            "compiled_code": getattr(one.node, "compiled_code", None),
        }
        for one in (done.result or ())
        # dbt names exposures and hooks among its results.
        if one.node.resource_type in ("model", "seed", "test")
    ]
    return exit_status(done), BuildEnded(results, len(unchanged))


def exit_status(done: Any) -> int:
    """The exit status that dbt's own command line would have; an exception is printed."""
    if done.exception is not None:
        print(done.exception, file=sys.stderr)
        return 2
    return 0 if done.success else 1


def told(**said: Any) -> str:
    """A line of stdout."""
    return TOLD + json.dumps(said)


def _hear(event: Any) -> None:
    # dbt's own log on stdout makes a line of JSON of each event, whether it is to be shown or not.
    if event.info.level in ("warn", "error"):
        from dbt_common.events.functions import env_scrubber

        _tell(trouble=env_scrubber(event.info.msg))
    elif event.info.name == "LogStartLine":
        node = event.data
        _tell(step=f"building {node.index} of {node.total}: {node.description}")


def _tell(**said: Any) -> None:
    with _speaking:
        sys.stdout.write(told(**said) + "\n")
        sys.stdout.flush()


def keep_everything() -> None:
    """Stops the search for unused objects.

    The process lives for one build: going through the parsed project again and again took a fifth of its time, and
    found next to nothing.
    """
    gc.freeze()
    gc.disable()


def _listen(requests: SimpleQueue[str]) -> None:
    """Hands the request over, and ends the process with its parent, whatever it does: parsing takes seconds.

    However the parent ended: dbt must not write on when nobody holds the lock for it.
    """
    request = b""
    while part := os.read(0, 1 << 16):
        request += part
        if request.endswith(b"\n"):
            requests.put(request.decode())
    os._exit(1)


def main() -> None:
    """Parses the project, and builds what is asked for then."""
    requests: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()

    from dbt.cli.main import dbtRunner

    options = sys.argv[1:]
    parsed = dbtRunner(callbacks=[_hear]).invoke(["parse", *options])
    keep_everything()
    request = BuildRequest.from_json(requests.get())
    status, ended = exit_status(parsed), BuildEnded()
    if parsed.success:
        status, ended = build(request, options, parsed.result, _hear)
    _tell(ended=asdict(ended))
    sys.exit(status)


if __name__ == "__main__":
    main()
