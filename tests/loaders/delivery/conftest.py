"""One published file for all tests of page and service, made once even where several processes test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support import published


@pytest.fixture(scope="session")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file. Do not change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "published sample"
    with FileLock(f"{folder}.lock"):
        if not (folder / "marts.duckdb").exists():
            published.make(folder)
    return folder / "marts.duckdb"
