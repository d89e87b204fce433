"""A copy that the README's recipe takes while loading runs is whole, and a restored one goes on from there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import archive
from tests.support.warehouse import PROJECT, Warehouse

BACKUPS = 4

# A load for each new file, from the second argument's number up to the third's. Every third ends before it closes the
# warehouse, and leaves what it wrote in the log.
LOADING = """
import os, sys
from pathlib import Path
from tests.support.warehouse import Warehouse
from tests.support import archive
folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for number in range(first, last + 1):
    if os.fork() == 0:
        house = Warehouse(folder, threads=1)
        archive.metrics(house.data, "AAAUSDT", f"2024-{number % 12 + 1:02}-{number // 12 % 28 + 1:02}")
        if number % 3 == 0:
            from loaders.warehouse import ledger
            ledger.finish_job = lambda *_: os._exit(0)
        house.load()
        os._exit(0)
    os.wait()
"""


def recipe() -> str:
    """The commands as the README has them."""
    (block,) = re.findall(r"((?:^    .*\n)*^    .*flock .*\n(?:^    .*\n)*)", (PROJECT / "README.md").read_text(), re.M)
    return "".join(line.removeprefix("    ") for line in block.splitlines(keepends=True))


SLOWLY = """#!/bin/sh
to="$2/$(basename "$1")"
head -c 300000 "$1" > "$to"
sleep 0.5
tail -c +300001 "$1" >> "$to"
"""


@pytest.fixture
def slow_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `cp` that takes its time, so that whoever may write meanwhile does."""
    program = archive.write(tmp_path / "bin" / "cp", [SLOWLY])
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def back_up(warehouse: Path, target: Path) -> Path:
    """Runs the recipe with other paths; gives the copy."""
    commands = recipe()
    for written, meant in (("/disk/warehouse.duckdb", warehouse), ("/backup/", target)):
        assert written in commands
        commands = commands.replace(written, str(meant) + ("/" if written.endswith("/") else ""))
    subprocess.run(["sh", "-e", "-c", commands], check=True)
    (copy,) = target.rglob(warehouse.name)
    return copy


@pytest.mark.skipif(shutil.which("flock") is None, reason="the recipe needs flock (util-linux)")
@pytest.mark.usefixtures("slow_copies")
def test_a_backup_taken_while_loading_runs_is_whole(tmp_path: Path) -> None:
    house = Warehouse(tmp_path / "house")
    archive.klines(house.data, "AAAUSDT", "2024-01-01")
    house.load()
    copies = []
    command = [sys.executable, "-c", LOADING, str(tmp_path / "house")]
    with subprocess.Popen([*command, "1", "200"], cwd=PROJECT, start_new_session=True) as loading:
        try:
            for number in range(BACKUPS):
                time.sleep(0.7)
                copies.append(back_up(house.path, tmp_path / f"backup-{number}"))
                assert loading.poll() is None
        finally:
            os.killpg(loading.pid, signal.SIGKILL)
    # One more that is killed with its rows in the log only, whatever the backups above met.
    subprocess.run([*command, "300", "300"], cwd=PROJECT, check=True)
    copies.append(back_up(house.path, tmp_path / "backup-of-a-log"))
    assert copies[-1].with_name(copies[-1].name + ".wal").exists(), "the load was killed before it closed"
    counts = []
    for copy in copies:
        restored = Warehouse(copy.parent)
        assert restored.path == copy
        restored.consistent()
        ((files, rows),) = restored.query(
            "select count(*), sum(rows_loaded) from ops.ingestion_files where status = 'loaded'"
        )
        assert rows == files * 288
        counts.append(files)
    assert counts == sorted(counts)
    assert counts[0] < counts[-2] < counts[-1], "nothing was landed meanwhile"


@pytest.mark.skipif(shutil.which("flock") is None, reason="the recipe needs flock (util-linux)")
def test_a_restored_warehouse_goes_on_where_the_backup_was_taken(built_once: Warehouse, tmp_path: Path) -> None:
    """Restored under its own name, loaded and built, it has the marts that the warehouse has that never stopped."""
    went_on, restored = Warehouse(tmp_path / "went_on"), Warehouse(tmp_path / "restored")
    shutil.copy(built_once.path, went_on.path)
    shutil.copy(back_up(built_once.path, tmp_path / "backup"), restored.path)
    for warehouse in (went_on, restored):
        archive.klines(warehouse.data, "AAAUSDT", "2024-03-03")
        archive.metrics(warehouse.data, "AAAUSDT", "2024-03-03")
        warehouse.load()
        warehouse.build_untested("--select", "+liquidation_map")
    assert restored.marts() == went_on.marts()
    assert restored.query("select count(*) from marts.klines_5m where open_time >= '2024-03-03'") == [(288,)]
