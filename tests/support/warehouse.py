"""A temporary warehouse: files are landed in it, dbt builds it, and its tables are asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders import warehouse
from loaders.ingest import load
from loaders.ingest.load import LoadResult, Request
from loaders.progress import Lines
from loaders.selection import Selection
from loaders.settings import Settings
from tests.support import dbt_server
from tests.support.dbt_server import PROJECT as PROJECT

TABLES = (
    "binance_klines",
    "binance_agg_trades",
    "binance_metrics",
    "binance_funding_rates",
    "binance_liquidations",
    "kraken_ohlcvt",
    "external_levels",
)

MARTS = """
select table_name from duckdb_tables() where schema_name = 'marts'
union all
select view_name from duckdb_views() where schema_name = 'marts'
order by 1
"""


class Warehouse:
    """A warehouse file, the folder its files lie in, and what one does with them.

    Batches are small, so that a few files make several. `settings` are those of the loaders that differ.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.path = folder / "warehouse.duckdb"
        self.project = PROJECT
        self.environment: dict[str, str] = {}
        self._built: object = None
        self._opened: duckdb.DuckDBPyConnection | None = None
        self.settings = Settings(
            **{
                "project_dir": PROJECT,
                "warehouse": self.path,
                "data_docs": folder / "data_docs",
                "published": folder / "marts.duckdb",
                "batch_files": 4,
                **settings,
            }
        )

    def copy(self, folder: Path) -> Warehouse:
        """The same in another folder, with files and tables of its own."""
        copied = Warehouse(folder)
        shutil.copytree(self.data, copied.data, dirs_exist_ok=True)
        shutil.copy(self.path, copied.path)
        copied._built = self._built
        return copied

    def another(self, folder: Path) -> Warehouse:
        """A copy that counts as a warehouse of its own: it was made at another time."""
        copied = self.copy(folder)
        copied.change("update ops.schema_version set applied_at = applied_at + interval '1 second'")
        return copied

    def lend_environment(self, patch: pytest.MonkeyPatch) -> None:
        """Gives this process the environment of a command."""
        for name, value in self.whole_environment.items():
            patch.setenv(name, value)

    def place(self, name: str, kind: str = "klines/BTCUSDT/5m", period: str = "daily") -> Path:
        """Where the archive would keep a USD-M file."""
        return self.data / "futures" / "um" / period / kind / name

    def load(self, *folders: Path, expect: int = 0, **request: Any) -> LoadResult:
        """Lands the data folder, or those given, in this process; `expect` is the exit status."""
        wanted = Request(folders or (self.data,), request.pop("selection", Selection()), **{"retries": 0, **request})
        with warehouse.writer(self.settings, self.path, readable=wanted.folders) as opened:
            result = load.load(opened, self.settings, wanted, Lines())
        assert result.exit_status == expect, result
        return result

    def build(self, *options: str, expect: int = 0, unit_tests: bool = False) -> str:
        """Runs `dbt build`: seeds, models and data tests; `unit_tests` of models do not depend on the data."""
        if not unit_tests:
            options = ("--exclude-resource-type", "unit_test", *options)
        return self.dbt("build", *options, expect=expect)

    def dbt(self, command: str, *options: str, expect: int = 0) -> str:
        """Runs a command of dbt, and gives what it printed."""
        arguments = [command, "--quiet", *options]
        status, printed = dbt_server.run(arguments, self.project, self.whole_environment)
        assert status == expect, f"dbt {' '.join(arguments)} ended with {status}\n{printed[-6000:]}"
        return printed

    def build_untested(self, *options: str) -> str:
        """Seeds and models alone, for tests that compare the tables themselves.

        Without options, the models that judge the map against recordings are left out: they are built whole each time,
        from tables that stand, and have tests of their own. Asked once more for the same, views and seeds stay as they
        are: only rows have changed.
        """
        wanted = options or ("--select", "fqn:*", "--exclude", "intermediate.verdict+", "liquidation_fills")
        asked = (self.project, tuple(self.environment.items()), wanted)
        if asked == self._built:
            excluded = "config.materialized:view"
            kinds = (*wanted, excluded) if "--exclude" in wanted else (*wanted, "--exclude", excluded)
        else:
            kinds = (*wanted, "--resource-type", "seed")
        printed = self.build("--resource-type", "model", *kinds)
        self._built = asked
        return printed

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

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._reading() as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # Opening a file takes longer than most queries, so those that belong together share one opening.
        if self._opened is not None:
            yield self._opened
            return
        with duckdb.connect(str(self.path), read_only=True) as connection:
            self._opened = connection
            try:
                yield connection
            finally:
                self._opened = None

    def change(self, *statements: str) -> None:
        """Works on the tables behind the loaders' back."""
        with duckdb.connect(str(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def held_by_another_process(self) -> Iterator[None]:
        """Another process has the file open for writing, and writes nothing."""
        hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", hold, str(self.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            try:
                yield
            finally:
                other.communicate()

    def marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all marts, sorted."""
        with self._reading():
            names = [name for (name,) in self.query(MARTS)]
            return {name: self.query(f"select * from marts.{name} order by all nulls last") for name in names}

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Raw rows with what their file is, and the ledger, without ids, jobs and times of landing."""
        with self._reading():
            return self._contents()

    def _contents(self) -> dict[str, list[tuple[Any, ...]]]:
        file = "f.dataset, f.symbol, f.interval, f.period_start, f.period_end"
        found = {
            table: self.query(
                f"select r.* exclude (file_id), {file} from raw.{table} r join ops.ingestion_files f using (file_id)"
                " where f.status = 'loaded' order by all"
            )
            for table in TABLES
        }
        for table in TABLES:
            assert self.query(f"select count(*) from raw.{table}") == [(len(found[table]),)], f"{table} has orphans"
        found["files"] = self.query(
            """
            select path, sha256, dataset, market, kline_type, symbol, "interval", period_start, status,
                rows_read, rows_loaded, rows_duplicate, rows_rejected, first_time, last_time, error_message
            from ops.ingestion_files
            order by all
            """
        )
        found["rejected"] = self.query("select line_number, line, reason from ops.rejected_rows order by all")
        return found

    def consistent(self) -> None:
        """Asserts what holds after any run: the ledger tells of exactly what is in raw, and of changes for it."""
        with self._reading():
            self._consistent()

    def _consistent(self) -> None:
        for table in TABLES:
            odd = self.query(
                f"""
                with
                counted as (select file_id, count(*) as rows from raw.{table} group by file_id),
                told as (
                    select file_id, rows_loaded as rows from ops.ingestion_files
                    where status = 'loaded' and file_id in (select file_id from raw.{table})
                )
                select * from counted full join told using (file_id)
                where counted.rows is distinct from told.rows
                """
            )
            assert odd == []
        assert (
            self.query(
                """
                with counted as (
                    select file_id, min(agg_trade_id) as low, max(agg_trade_id) as high
                    from raw.binance_agg_trades
                    group by file_id
                )
                select * from ops.ingestion_files as files left join counted using (file_id)
                where status = 'loaded' and (first_id, last_id) is distinct from (low, high)
                """
            )
            == []
        )
        assert (
            self.query(
                "select * from ops.ingestion_files where rows_read <> rows_loaded + rows_duplicate + rows_rejected"
            )
            == []
        )
        assert (
            self.query(
                'select dataset, market, kline_type, symbol, "interval", period_start, period_end, origin, provider'
                " from ops.ingestion_files where status = 'loaded' group by all having count(*) > 1"
            )
            == []
        )
        landed = self.query("select sum(rows_loaded) from ops.ingestion_files where status = 'loaded'")[0][0] or 0
        assert landed == sum(self.query(f"select count(*) from raw.{table}")[0][0] for table in TABLES)
        assert (
            self.query(
                "select file_id from ops.ingestion_files where status = 'loaded'"
                " and file_id not in (select file_id from ops.ingestion_changes)"
            )
            == []
        )
