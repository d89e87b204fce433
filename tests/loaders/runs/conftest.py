"""What tests of whole runs share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from loaders.progress import Reporter
from loaders.runs import dbt
from tests.support import dbt_server


@pytest.fixture(scope="module")
def forked_dbt() -> Iterator[None]:
    """Builds of runs in this process are forks of a dbt that has parsed: each would begin with starting one."""

    def run(
        project: Path, path: Path, reporter: Reporter | None, told: Mapping[str, str], options: Sequence[str]
    ) -> tuple[int, str]:
        arguments = ["build", "--quiet", "--exclude-resource-type", "unit_test", *options]
        return dbt_server.run(arguments, project, {**os.environ, **told, "LOADERS_WAREHOUSE": str(path)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbt, "_run", run)
        yield
