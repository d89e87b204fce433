"""A temporary warehouse that lands files and runs dbt as their users do: each as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

PROJECT = Path(__file__).resolve().parents[2]

MARTS = """
select table_name from duckdb_tables() where schema_name = 'marts'
union all
select view_name from duckdb_views() where schema_name = 'marts'
order by 1
"""


@dataclass
class Warehouse:
    """A warehouse file, the folder its files lie in, and what one does with them."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    project: Path = PROJECT

    @property
    def path(self) -> Path:
        """The database file."""
        return self.folder / "warehouse.duckdb"

    @property
    def data(self) -> Path:
        """The folder of the landed files."""
        return self.folder / "data_dir"

    @property
    def whole_environment(self) -> dict[str, str]:
        """The environment of a command."""
        return {
            **os.environ,
            "LOADERS_WAREHOUSE": str(self.path),
            "LOADERS_DATA_DIR": str(self.data),
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_LOG_LEVEL_FILE": "none",
            **self.environment,
        }

    def run(self, *command: str, expect: int = 0) -> str:
        """Runs a command in the project's folder and gives what it printed."""
        done = subprocess.run(
            command,
            cwd=self.project,
            env=self.whole_environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == expect, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def load(self, *options: str, expect: int = 0) -> str:
        """Lands what lies in the data folder."""
        self.data.mkdir(exist_ok=True)
        return self.run(sys.executable, "-m", "loaders", "load", *options, expect=expect)

    def build(self, *options: str, expect: int = 0) -> str:
        """Runs `dbt build`: seeds, models and all tests."""
        return self.run(str(Path(sys.executable).with_name("dbt")), "build", "--quiet", *options, expect=expect)

    def build_untested(self, *options: str) -> str:
        """Seeds and models alone, for tests that compare the tables themselves."""
        return self.build("--resource-type", "seed", "--resource-type", "model", *options)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all marts, sorted."""
        names = [name for (name,) in self.query(MARTS)]
        return {name: self.query(f"select * from marts.{name} order by all nulls last") for name in names}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(tmp_path)


def another(folder: Path) -> Warehouse:
    """A second warehouse, to compare with."""
    folder.mkdir(parents=True)
    return Warehouse(folder)
