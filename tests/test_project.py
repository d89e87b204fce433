"""The project's rules, asserted of its files, its command line and its dbt manifest."""

import importlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from tests.support import dbt_server

ROOT = Path(__file__).parents[1]

PREFIXES = {"staging": ("stg_", "base_"), "intermediate": ("int_",)}
INNER_PREFIXES = tuple(prefix for prefixes in PREFIXES.values() for prefix in prefixes)

# Written so that this file does not match them.
REGISTRY_OR_MIRROR = re.compile(
    r"py[p]i\.(?:org|python)|python[h]osted|npm[j]s\.|crates[.]io|rub[y]gems\.|conda[.]anaconda"
    r"|extra-index[-]url|index[-]url|find[-]links|trusted[-]host",
    re.IGNORECASE,
)
# Of several threads that work on one over few or no rows, DuckDB 1.5.5 now and then loses one: duckdb/duckdb#25713.
WINDOW_OVER_ALL_ROWS = re.compile(r"\bover[ ]*\([ ]*\)", re.IGNORECASE)
SOMEBODYS_FOLDER = re.compile(r"(?<![\w.~}/-])/(?:home|root|work|Users)/\w")

Node = dict[str, Any]


def tracked_files() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in names.stdout.split("\0") if name and (ROOT / name).is_file()]


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_constraints_hold_only_names_and_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!+]*")
    assert [line for line in lines if not pinned.fullmatch(line)] == []
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(names) == len(set(names))
    assert "loaders" not in names


def test_no_file_names_a_package_registry_or_mirror() -> None:
    assert lines_that_match(REGISTRY_OR_MIRROR) == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert lines_that_match(SOMEBODYS_FOLDER) == []


def test_no_window_is_over_all_rows_at_once() -> None:
    assert lines_that_match(WINDOW_OVER_ALL_ROWS) == []


def command_line() -> click.Group:
    group = importlib.import_module("loaders.cli").cli
    assert isinstance(group, click.Group)
    return group


def commands_of(group: click.Group) -> dict[str, click.Command]:
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_every_command_and_option_has_help() -> None:
    group = command_line()
    commands = commands_of(group)
    assert len(commands) >= 9
    assert [name for name, command in commands.items() if not command.help] == []
    assert [
        f"{command.name} {parameter.opts[0]}"
        for command in [group, *commands.values()]
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ] == []


def test_every_command_stands_in_the_readme() -> None:
    commands = commands_of(command_line())
    readme = (ROOT / "README.md").read_text()
    shown = set(re.findall(r"\bloaders (?:--\S+ )*([a-z]+)", readme)) | set(re.findall(r"`([a-z]+)`", readme))
    assert [name for name in commands if name not in shown] == []


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """What dbt knows after a strict parse: that of the server, which would have ended at a warning."""
    target = tmp_path_factory.mktemp("target")
    status, printed = dbt_server.run(["parse"], ROOT, {**os.environ, "DBT_TARGET_PATH": str(target)})
    assert status == 0, printed
    loaded: Node = json.loads((target / "manifest.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def models(manifest: Node) -> list[Node]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert found
    return found


@pytest.fixture(scope="session")
def marts(models: list[Node]) -> list[Node]:
    found = [model for model in models if layer(model) == "marts"]
    assert found
    return found


def layer(model: Node) -> str:
    return Path(model["original_file_path"]).parts[1]


def test_every_model_lies_in_a_layer_and_bears_its_prefix(models: list[Node]) -> None:
    assert {layer(model) for model in models} <= {*PREFIXES, "marts"}
    assert [
        model["name"]
        for model in models
        if layer(model) in PREFIXES and not model["name"].startswith(PREFIXES[layer(model)])
    ] == []
    assert [
        model["name"] for model in models if layer(model) == "marts" and model["name"].startswith(INNER_PREFIXES)
    ] == []


def test_every_table_and_every_column_is_described(manifest: Node, models: list[Node]) -> None:
    seeds = [node for node in manifest["nodes"].values() if node["resource_type"] == "seed"]
    tables = [*models, *seeds, *manifest["sources"].values()]
    assert [table["name"] for table in tables if not table["description"].strip()] == []
    assert [table["name"] for table in tables if not table["columns"]] == []
    assert [
        f"{table['name']}.{column['name']}"
        for table in tables
        for column in table["columns"].values()
        if not column["description"].strip()
    ] == []


def test_every_mart_is_a_public_contract_with_typed_columns(marts: list[Node]) -> None:
    assert [mart["name"] for mart in marts if not mart["contract"]["enforced"]] == []
    assert [mart["name"] for mart in marts if mart["access"] != "public"] == []
    assert [
        f"{mart['name']}.{column['name']}"
        for mart in marts
        for column in mart["columns"].values()
        if not column["data_type"]
    ] == []


def test_every_mart_names_its_key_among_its_columns(marts: list[Node]) -> None:
    keys = {mart["name"]: mart["config"]["meta"].get("key") for mart in marts}
    assert [name for name, key in keys.items() if not key or not isinstance(key, list)] == []
    assert [mart["name"] for mart in marts if not set(keys[mart["name"]]) <= set(mart["columns"])] == []


def test_the_uniqueness_test_of_a_mart_is_on_its_key(manifest: Node, marts: list[Node]) -> None:
    tested: dict[str, list[list[str]]] = {}
    for node in manifest["nodes"].values():
        about = node.get("test_metadata") or {}
        if about.get("name") == "unique_combination_of_columns" and node["config"]["enabled"]:
            tested.setdefault(node["attached_node"], []).append(about["kwargs"]["combination_of_columns"])
    wanted = {mart["name"]: [mart["config"]["meta"].get("key")] for mart in marts}
    assert {mart["name"]: tested.get(mart["unique_id"], []) for mart in marts} == wanted


def test_every_dbt_test_has_a_name_that_dbt_does_not_cut(manifest: Node) -> None:
    """Of a name that is too long, dbt leaves the first 30 characters and a hash, which tell nobody what failed."""
    names = [node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    assert [name for name in names if re.search(r"_[0-9a-f]{32}$", name)] == []


def test_an_incremental_unique_key_is_the_key(models: list[Node]) -> None:
    keys = {
        model["name"]: (model["config"]["unique_key"], model["config"]["meta"].get("key"))
        for model in models
        if model["config"].get("unique_key")
    }
    assert {name: pair for name, pair in keys.items() if pair[0] != pair[1]} == {}
