"""A small warehouse that was landed, built and validated once; tests work on copies of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from loaders.settings import Settings
from loaders.validation import runner
from tests.marts import archive
from tests.marts.conftest import PROJECT, Warehouse, another


def settings_of(warehouse: Warehouse) -> Settings:
    """Settings that keep everything in the warehouse's folder."""
    return Settings(
        project_dir=PROJECT,
        warehouse=warehouse.path,
        data_docs=warehouse.folder / "data_docs",
        published=warehouse.folder / "marts.duckdb",
    )


def change(warehouse: Warehouse, *statements: str) -> None:
    """Works on the tables behind everybody's back."""
    with duckdb.connect(str(warehouse.path)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Do not change it: take `passed`."""
    warehouse = another(tmp_path_factory.mktemp("built") / "warehouse")
    for symbol in ("AAAUSDT", "BBBUSDT"):
        archive.klines(warehouse.data, symbol, "2024-03-02", keep=lambda time: time.hour != 20)
        archive.metrics(warehouse.data, symbol, "2024-03-02", keep=lambda time: time.hour != 7)
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-02", market="spot")
    archive.agg_trades(warehouse.data, "AAAUSDT", "2024-03-02", first_id=1, keep=lambda time: time.hour < 2)
    day = archive.milliseconds(archive.day("2024-03-02")) // 1000
    archive.write(warehouse.data / "kraken" / "XBTUSD_1440.csv", [f"{day},100.0,101.0,99.0,100.0,1.5,7"])
    warehouse.load()
    warehouse.build()
    validation = runner.validate(settings_of(warehouse), warehouse.path)
    assert validation.passed, runner.text(validation)
    return warehouse


@pytest.fixture
def passed(built_once: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy of a warehouse that passed everything and can be published."""
    warehouse = another(tmp_path / "warehouse")
    shutil.copy(built_once.path, warehouse.path)
    return warehouse
