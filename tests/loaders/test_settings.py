"""Settings that cannot be meant are wrong usage, told in one line that names them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import duckdb
import pytest

from loaders.errors import WrongSetting
from loaders.settings import Settings
from tests.support.warehouse import Warehouse


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("LOADERS_RETRIES", "abc", id="no number"),
        pytest.param("LOADERS_RETRIES", "-1", id="below its least"),
        pytest.param("LOADERS_RETRIES", "", id="nothing"),
        pytest.param("LOADERS_THREADS", "2.5", id="no whole number"),
        pytest.param("LOADERS_MAX_REJECTED_SHARE", "1.5", id="a share above 1"),
        pytest.param("LOADERS_MAX_REJECTED_SHARE", "nan", id="a share that is no number"),
        pytest.param("LOADERS_CONNECTIONS", "65", id="above its greatest"),
        pytest.param("LOADERS_LONGEST_BAN_SECONDS", "an hour", id="a length of time in words"),
        pytest.param("LOADERS_MEMORY_LIMIT", "much", id="no amount of memory"),
        pytest.param("LOADERS_LOAD_MEMORY_LIMIT", "384", id="an amount without a unit"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSetting, match=f"{name} is {value!r}: ") as raised:
        Settings()
    assert raised.value.exit_status == 2


@pytest.mark.parametrize("amount", ["1GB", "384MB", "1.5 GiB", "1000b", "1k", "512 kb", "2 gigabytes", "none", "-1"])
def test_an_amount_of_memory_is_what_the_engine_takes(monkeypatch: pytest.MonkeyPatch, amount: str) -> None:
    monkeypatch.setenv("LOADERS_MEMORY_LIMIT", amount)
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = $1", [Settings().memory_limit])


def test_what_is_given_goes_before_the_environment_and_that_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("loaders_retries", "7")
    monkeypatch.setenv("LOADERS_WAREHOUSE", "/disk/warehouse.duckdb")
    monkeypatch.setenv("LOADERS_NOTIFY", "of no field")
    told = Settings()
    assert (told.retries, told.warehouse, told.throttle_ms) == (7, Path("/disk/warehouse.duckdb"), 0)
    assert (Settings(retries=2).retries, attrs.evolve(told, retries=0).retries) == (2, 0)
    assert attrs.evolve(told, warehouse=None).warehouse is None
    with pytest.raises(WrongSetting, match=r"LOADERS_THREADS is 2\.5: a whole number of 1 or more is needed"):
        Settings(threads=2.5)  # type: ignore[arg-type]


def test_a_command_ends_with_status_2_and_one_line(warehouse: Warehouse) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loaders", "--warehouse", str(warehouse.path), "status"],
        env={**os.environ, "LOADERS_RETRIES": "abc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("loaders: LOADERS_RETRIES is 'abc': ")
    assert not warehouse.path.exists()
