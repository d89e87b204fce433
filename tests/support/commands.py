"""Commands as their users give them, in the process of the test."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from click.testing import CliRunner

from loaders.cli import group
from tests.support.warehouse import Warehouse


def run(house: Warehouse, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command, in this process."""
    runner = CliRunner()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "exit", _Exit.leave)
        with runner.isolation() as (out, err, _):
            try:
                group.main(["--warehouse", str(house.path), *arguments])
                status = 0
            except _Exit as ended:
                status = ended.status
            return status, out.getvalue().decode(), err.getvalue().decode()


class _Exit(Exception):
    def __init__(self, status: int) -> None:
        self.status = status

    @staticmethod
    def leave(status: Any = 0) -> None:
        raise _Exit(int(status or 0))
