"""Warehouses for tests: an empty one, and one that was landed, built and validated once, of which they take copies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from loaders.progress import Reporter
from loaders.runs import dbt
from loaders.runs.dbt_process import BuildEnded, BuildRequest
from loaders.validation import runner
from tests.support import archive, dbt_server
from tests.support.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse and an empty data folder."""
    return Warehouse(tmp_path)


@pytest.fixture
def house(warehouse: Warehouse) -> Warehouse:
    """The same, for tests that need the name of the package `loaders.warehouse`."""
    return warehouse


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Warehouse:
    """One for all processes of tests. Do not change it: take `passed`."""
    # Each process has a folder in that of the run, if there are several.
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if own.name.startswith("popen") else own) / f"built-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    warehouse = Warehouse(folder / "warehouse")
    with FileLock(folder / "lock"):
        if not (folder / "whole").exists():
            _build_once(warehouse)
            (folder / "whole").touch()
    return warehouse


def _build_once(warehouse: Warehouse) -> None:
    for symbol in ("AAAUSDT", "BBBUSDT"):
        archive.klines(warehouse.data, symbol, "2024-03-02", keep=lambda time: time.hour != 20)
        archive.metrics(warehouse.data, symbol, "2024-03-02", keep=lambda time: time.hour != 7)
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-02", market="spot")
    archive.agg_trades(warehouse.data, "AAAUSDT", "2024-03-02", first_id=1, keep=lambda time: time.hour < 2)
    day = archive.milliseconds(archive.day("2024-03-02")) // 1000
    archive.write(warehouse.data / "kraken" / "XBTUSD_1440.csv", [f"{day},100.0,101.0,99.0,100.0,1.5,7"])
    warehouse.load()
    # The unit tests of the models run here: no other warehouse of a test needs them.
    warehouse.build(unit_tests=True)
    validation = runner.validate(warehouse.settings, warehouse.path)
    assert validation.passed, runner.text(validation)


@pytest.fixture
def passed(built_once: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy of a warehouse that passed everything and can be published."""
    warehouse = Warehouse(tmp_path / "warehouse")
    shutil.copy(built_once.path, warehouse.path)
    # One of the landed files: an empty data folder is a disk that is not mounted.
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-02", keep=lambda time: time.hour != 20)
    return warehouse


@pytest.fixture(scope="module")
def forked_dbt() -> Iterator[None]:
    """Builds of runs in this process are forks of a dbt that has parsed: each would begin with starting one."""

    class Forked:
        def __init__(self, project: Path, path: Path) -> None:
            self.project, self.path = project, path
            self.project_hash = dbt.project_hash(project)

        def build(self, request: BuildRequest, reporter: Reporter | None) -> tuple[int, str, BuildEnded]:
            environment = {**os.environ, "LOADERS_WAREHOUSE": str(self.path)}
            return dbt_server.build(request, self.project, environment)

        def close(self) -> None:
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbt, "DbtProcess", Forked)
        yield
