"""The README's commands and queries as they stand there, in an empty environment, on one warehouse.

Every block of code is either run or named here with the reason why not. `/disk`, `/srv/liquidation-levels` and
`/backup` stand for folders of the test, and port 8000 for a free one.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.support import archive
from tests.support.warehouse import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")

#: How a block begins → what is done with it.
BLOCKS = {
    "make demo": "left out: makes an environment; `make test` is what runs this test",
    "34 files loaded": "left out: what the demo prints",
    "source .venv/bin/activate\nexport LOADERS_DATA_DIR=/disk/binance LOADERS_WAREHOUSE=/disk/warehouse.duckdb\n\n"
    "loaders fetch": "left out: asks the exchanges; test_fetch.py and test_backfill.py do so with servers of their own",
    "source .venv/bin/activate\nexport LOADERS_DATA_DIR=/disk/binance LOADERS_WAREHOUSE=/disk/warehouse.duckdb\n\n"
    "loaders check": "run",
    "# crontab": "run",
    "[Service]": "held against the crontab's line",
    "pip install 'loaders[serve]'": "run",
    "import pyarrow, urllib.request": "run",
    "to=/backup": "run",
    "import duckdb\n\nduckdb.sql(": "run",
    "-- The largest levels": "run",
    "marts/klines_5m/exchange=binance": "held against what an export writes",
    "-- DuckDB; ClickHouse": "run",
    "polars.scan_parquet": "left out: libraries that this project does not bring",
    "pip install 'loaders[spark]'": "left out: tests/engines/test_spark.py builds so (make engines)",
}


def blocks() -> list[str]:
    """Fenced and indented blocks of code, in their order, without their indentation."""
    found = []
    for match in re.finditer(
        r"^(?P<indent> *)```\w+\n(?P<fenced>.*?)^ *```$|(?:^\n)(?P<indented>(?:^    [^\n]*\n|^\n(?=    ))+)",
        README,
        re.MULTILINE | re.DOTALL,
    ):
        text = match["fenced"] if match["fenced"] is not None else match["indented"]
        indent = len(match["indent"] or "") if match["fenced"] is not None else 4
        found.append("\n".join(line[indent:] for line in text.splitlines()))
    return found


def block(beginning: str) -> str:
    (found,) = [one for one in blocks() if one.startswith(beginning)]
    return found


@dataclass(frozen=True)
class Machine:
    """A machine with the project, its environment, a disk, and nothing set."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "srv"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    def here(self, text: str) -> str:
        """A text of the README with the folders of this machine."""
        for name, folder in (("/srv/liquidation-levels", self.project), ("/disk", self.disk)):
            text = text.replace(name, str(folder))
        return text.replace("/backup", str(self.folder / "backup"))

    def environment(self) -> dict[str, str]:
        # The package that is tested, where the environment was made for another checkout.
        tested = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **tested}

    def run(self, script: str, shell: str = "bash") -> str:
        """Runs a script in the project's folder; its first failing command ends it."""
        done = subprocess.run(
            [shell, "-ec", script],
            cwd=self.project,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def query(self, name: str, sql: str) -> list[str]:
        with duckdb.connect(str(self.disk / name), read_only=True) as connection:
            return sorted(map(str, connection.execute(sql).fetchall()))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The README's commands of a first day and a night, on candles and open interest of yesterday."""
    if not (Path(sys.prefix) / "bin" / "activate").exists():
        pytest.skip("the tests do not run in an environment that can be activated")
    machine = Machine(tmp_path_factory.mktemp("readme"))
    machine.project.mkdir()
    for name in ("models", "macros", "seeds", "tests", "analyses", "dbt_project.yml", "profiles.yml"):
        (machine.project / name).symlink_to(PROJECT / name)
    (machine.project / ".venv").symlink_to(sys.prefix)
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    archive.klines(machine.disk / "binance", "BTCUSDT", yesterday)
    archive.metrics(machine.disk / "binance", "BTCUSDT", yesterday)
    printed = machine.run(
        machine.here(
            block(
                "source .venv/bin/activate\nexport LOADERS_DATA_DIR=/disk/binance "
                "LOADERS_WAREHOUSE=/disk/warehouse.duckdb\n\nloaders check"
            )
        )
    )
    assert "2 files to land" in printed
    assert "2 files loaded" in printed
    assert (machine.project / "target" / "static_index.html").exists()
    # cron has a shell of its own.
    *settings, line = machine.here(block("# crontab")).splitlines()[1:]
    night = [f"export {one}" for one in settings] + [re.sub(r"^10 3 \* \* \* +", "", line)]
    printed = machine.run("\n".join(night), shell="sh")
    assert re.search(r"^ok +publish", printed, re.MULTILINE)
    return machine


def test_every_block_is_run_or_left_out_for_a_reason() -> None:
    unknown = [one[:60] for one in blocks() if sum(one.startswith(beginning) for beginning in BLOCKS) != 1]
    assert unknown == []
    assert len(blocks()) == len(BLOCKS)


def test_the_unit_runs_what_the_crontab_runs() -> None:
    unit, crontab = block("[Service]"), block("# crontab")
    (started,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    settings = sorted(word for line in re.findall(r"^Environment=(.*)$", unit, re.MULTILINE) for word in line.split())
    assert settings == sorted(re.findall(r"^LOADERS_\S+$", crontab, re.MULTILINE))
    command = crontab.splitlines()[-1].partition(" && ")[2]
    assert started == f"/srv/liquidation-levels/{command}".replace("loaders run", "loaders --json run")


def test_the_queries_give_the_same_on_warehouse_and_published_file(machine: Machine) -> None:
    queries = [one for one in block("-- The largest levels").split(";\n") if one.strip()]
    assert len(queries) == 4
    answers = [machine.query("warehouse.duckdb", one) for one in queries]
    assert [machine.query("marts.duckdb", one) for one in queries] == answers
    assert answers[0]
    assert len(answers[2]) == 2


def test_a_copy_under_another_name_answers_too(machine: Machine) -> None:
    copy = machine.disk / "copy.duckdb"
    copy.write_bytes((machine.disk / "marts.duckdb").read_bytes())
    assert "`attach 'copy.duckdb' as marts (read_only)`" in README
    with duckdb.connect() as connection:
        connection.execute(f"attach '{copy}' as marts (read_only)")
        assert connection.execute("select count(*) > 0 from marts.liquidation_map").fetchone() == (True,)


def test_backup_and_compacting(machine: Machine) -> None:
    machine.run(machine.here(block("to=/backup")))
    (saved,) = (machine.folder / "backup").glob("*/warehouse.duckdb")
    assert saved.read_bytes() == (machine.disk / "warehouse.duckdb").read_bytes()
    compacting = machine.here(block("import duckdb\n\nduckdb.sql("))
    machine.run(f". .venv/bin/activate\npython - <<'END'\n{compacting}\nEND")
    rows = "select count(*) from marts.klines_5m"
    assert machine.query("compact.duckdb", rows) == machine.query("warehouse.duckdb", rows)


def test_the_zone_and_the_query_that_asks_it(machine: Machine) -> None:
    export = "loaders export --to /disk/zone"
    assert "`loaders export --to FOLDER`" in README
    settings = "export LOADERS_WAREHOUSE=/disk/warehouse.duckdb"
    machine.run(machine.here(f". .venv/bin/activate\n{settings}\n{export}"))
    named = block("marts/klines_5m/exchange=binance").splitlines()[0].split("/")
    written = [
        path.relative_to(machine.disk / "zone") for path in (machine.disk / "zone/marts/klines_5m").rglob("*.parquet")
    ]
    assert {path.parts[:4] + path.parts[-1:] for path in written} == {(*named[:4], named[-1])}
    query = block("-- DuckDB; ClickHouse").replace("'zone/", f"'{machine.disk}/zone/")
    with duckdb.connect() as connection:
        assert [symbol for symbol, _ in connection.execute(query).fetchall()] == ["BTCUSDT"]


def test_the_service_and_the_lines_that_ask_it(machine: Machine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = next(line for line in block("pip install 'loaders[serve]'").splitlines() if line.startswith("loaders"))
    settings = machine.environment() | {"LOADERS_WAREHOUSE": str(machine.disk / "warehouse.duckdb")}
    command = f". .venv/bin/activate; exec {serve.partition('#')[0]} --port {port}"
    with subprocess.Popen(["bash", "-ec", command], cwd=machine.project, env=settings) as service:
        try:
            deadline = time.monotonic() + 60
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert time.monotonic() < deadline
                assert service.poll() is None
                time.sleep(0.2)
            asking = block("import pyarrow, urllib.request").replace("8000", str(port))
            printed = machine.run(f". .venv/bin/activate\npython - <<'END'\n{asking}\nprint(levels.num_rows)\nEND")
        finally:
            service.terminate()
    assert int(printed) > 0


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
