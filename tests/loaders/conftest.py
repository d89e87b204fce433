"""A warehouse of its own for every test."""

from pathlib import Path

import pytest

from tests.loaders.archive import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty warehouse and an empty data folder."""
    return House(tmp_path)
