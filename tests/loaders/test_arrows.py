"""The contract of imports holds, and a wrong import breaks it: each is planted in a copy of the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.warehouse import PROJECT


def lint_imports(folder: Path) -> tuple[int, str]:
    """The exit status and the report of the linter, for the package in a folder."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with a copy of the package and its contract."""
    shutil.copytree(PROJECT / "loaders", tmp_path / "loaders", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_arrows_run_one_way(copied: Path) -> None:
    status, report = lint_imports(copied)
    assert status == 0, report


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        pytest.param("ingest/load.py", "loaders.runs.pipeline", id="upwards"),
        pytest.param("files/discovery.py", "loaders.warehouse.ledger", id="a neighbour"),
        pytest.param("datasets/base.py", "loaders.settings_of_tests", id="what stands in no layer"),
    ],
)
def test_a_wrong_import_breaks_the_contract(copied: Path, module: str, imported: str) -> None:
    if not (PROJECT / f"{imported.replace('.', '/')}.py").exists():
        (copied / f"{imported.replace('.', '/')}.py").touch()
    path = copied / "loaders" / module
    path.write_text(path.read_text() + f"\nimport {imported}\n")
    status, report = lint_imports(copied)
    assert status == 1, report
    assert imported in report
