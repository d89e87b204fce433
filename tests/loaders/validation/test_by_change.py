"""Asked of what changed, expectations say what they say of everything, as long as nobody works behind the ledger.

What lands, is replaced, forgotten and rebuilt is written here as the loaders and dbt write it, with faults that these
could have: no build of dbt takes part, so that many histories are asked in the time of one.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders.validation import plan as planning
from loaders.validation import runner
from loaders.validation.runner import Validation
from loaders.validation.suites import Result, Suite, suites
from loaders.warehouse import changes, ledger
from tests.support.warehouse import PROJECT, Warehouse

#: Incremental marts, their time, and how a build could get a row wrong.
MARTS = {
    "klines_5m": ("open_time", ["close = close + 1", "volume = volume + 1", "open_time = null"]),
    "open_interest_5m": ("snapshot_at", ["open_interest = open_interest + 1", "oi_delta = 1"]),
    "candles_with_side": ("open_time", ["position_event = 'none'", "oi_delta_usd = 7", "close = close + 1"]),
    "liquidation_levels": ("opened_at", ["quantity = quantity * 2", "liquidation_price = liquidation_price * 0.9"]),
}
#: Which earlier levels are given anew, before or after.
REBUILT_ALSO = "coalesce(liquidated_at, closed_at) >= $since"
LEVEL = "symbol, side, leverage, opened_at"

#: Raw tables, and how a landing could get a row wrong.
RAW = {
    "binance_klines": ("open_time", ["high = low - 1", "symbol = 'CCCUSDT'", "volume = null"]),
    "binance_metrics": ("create_time", ["symbol = 'CCCUSDT'", "sum_open_interest = -1"]),
    "binance_agg_trades": ("transact_time", ["price = 0", "agg_trade_id = agg_trade_id + 1"]),
}
DATASETS = {"binance_klines": "klines", "binance_metrics": "metrics", "binance_agg_trades": "aggTrades"}

#: Other tables are asked whole, or not at all, in the same way.
ASKED = {*MARTS, *RAW, "candles", "liquidation_map", "data_gaps", "quality_checks"}

DAY = datetime(2024, 3, 2)  # noqa: DTZ001


@dataclass
class House:
    """A warehouse that is worked on, and asked, through one connection; `good` is attached beside it."""

    connection: duckdb.DuckDBPyConnection
    suites: list[Suite]
    random: random.Random
    builds: int = 0
    asked: list[str] = field(default_factory=list)

    def run(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters or None).fetchall()

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def number(self, sql: str) -> int:
        return int(self.read(sql)[0][0] or 0)

    def validate(self, *, full: bool) -> dict[str, str]:
        """What does not pass. A validation of changes is kept, one of everything is not."""
        plan = planning.planned(self.read, self.suites, full=full)
        for statement in plan.temporary_tables():
            self.connection.execute(statement)
        results = []
        for suite, questions in plan.questions:
            for one in questions:
                rows = self.number(f"select count(*) from ({one.sql})") if one.sql else 0
                result = Result(
                    suite.table.full_name, one.expectation.name, "", "pass", rows, None, asked_of=one.asked_of
                )
                results.append(replace(result, status="fail") if rows else result)
        for (table,) in self.read(
            "select table_name from duckdb_tables() where temporary and table_name like 'changed%'"
        ):
            self.connection.execute(f"drop table temp.{table}")
        if not full:
            started = ledger.now()
            job = f"job-{self.number('select count(distinct job_id) from ops.validation_results')}"
            runner._record(self.connection, Validation(job, plan, started, ledger.now(), tuple(results), None))
            self.asked += [result.asked_of for result in results]
        return {f"{one.table} {one.expectation}": one.status for one in results if one.status != "pass"}

    def log_change(self, file: tuple[Any, ...], table: str, first: datetime, last: datetime) -> None:
        file_id, symbol = file[:2]
        self.run(
            """
            insert into ops.ingestion_changes by name
            select (select coalesce(max(change_id), 0) + 1 from ops.ingestion_changes) as change_id, $file as file_id,
                'binance' as exchange, $dataset as dataset, 'um' as market, $symbol as symbol,
                $first::timestamp as range_start, $last::timestamp as range_end
            """,
            file=file_id,
            dataset=DATASETS[table],
            symbol=symbol,
            first=first,
            last=last,
        )

    def any_file(self) -> tuple[str, tuple[Any, ...]]:
        """A raw table, and a USD-M file that was landed in it: number, symbol, first and last time."""
        found = self.run(
            "select dataset, file_id, symbol, first_time, last_time from ops.ingestion_files"
            " where status = 'loaded' and dataset in ('klines', 'metrics', 'aggTrades') order by file_id"
        )
        dataset, *file = self.random.choice(found)
        return next(table for table, name in DATASETS.items() if name == dataset), tuple(file)

    # What the loaders do

    def land(self, table: str, file: tuple[Any, ...], days: int, fault: str | None) -> None:
        """The rows of a file once more, some days later (0: in its place), under a new number."""
        time, _ = RAW[table]
        new = self.number(
            "select greatest((select max(file_id) from ops.ingestion_files),"
            " (select max(file_id) from ops.ingestion_changes)) + 1"
        )
        shift = timedelta(days=days)
        self.run(
            f"create or replace temp table landed as select * replace ({time} + $shift::interval as {time},"
            f" {new} as file_id) from raw.{table} where file_id = $file",
            shift=shift,
            file=file[0],
        )
        self.run(
            f"""
            insert into ops.ingestion_files by name
            select files.* replace ({new} as file_id, first_time + $shift::interval as first_time,
                last_time + $shift::interval as last_time, period_start + $shift::interval as period_start,
                period_end + $shift::interval as period_end, (select count(*) from landed) as rows_loaded,
                'loaded' as status)
            from ops.ingestion_files as files where file_id = $file
            """,
            shift=shift,
            file=file[0],
        )
        pick = f"rowid = (select min(rowid) + {self.random.randrange(20)} from landed)"
        if fault == "missing":
            self.run(f"delete from landed where {pick}")
        elif fault == "doubled":
            self.run(f"insert into landed select * from landed where {pick}")
        elif fault is not None:
            self.run(f"update landed set {fault} where {pick}")
        self.run(f"insert into raw.{table} by name select * from landed")
        # The loaders log the symbols of the rows themselves, and what had been there.
        symbols = {symbol for (symbol,) in self.run("select distinct symbol from landed")} | {file[1]}
        for symbol in symbols:
            self.log_change((new, symbol), table, file[2] + shift, file[3] + shift)

    def take_out(self, table: str, file: tuple[Any, ...], leave: bool) -> None:
        left = f"and rowid > (select min(rowid) from raw.{table} where file_id = $file)" if leave else ""
        self.run(f"delete from raw.{table} where file_id = $file {left}", file=file[0])

    def land_another_day(self) -> None:
        table, file = self.any_file()
        fault = self.random.choice([None, None, "missing", "doubled", *RAW[table][1]])
        self.land(table, file, self.random.randrange(1, 4), fault)

    def replace_file(self) -> None:
        table, file = self.any_file()
        fault = self.random.choice([None, None, *RAW[table][1]])
        self.land(table, file, 0, fault)
        self.run("update ops.ingestion_files set status = 'replaced' where file_id = $file", file=file[0])
        self.take_out(table, file, leave=self.random.random() < 0.2)

    def forget_file(self) -> None:
        table, file = self.any_file()
        self.take_out(table, file, leave=self.random.random() < 0.3)
        self.run("delete from ops.ingestion_files where file_id = $file", file=file[0])
        self.log_change(file, table, file[2], file[3])

    # What dbt does

    def build(self, *, project: str = "this project") -> None:
        self.builds += 1
        self.run(
            """
            insert into state.builds by name
            select $build as build_id, 'build' as command, $now::timestamp as started_at,
                $now::timestamp as finished_at, $project as project_hash,
                (select max(change_id) from ops.ingestion_changes) as change_id, 0 as nodes_failed, 0 as nodes_left_out
            """,
            build=f"build-{self.builds}",
            now=ledger.now(),
            project=project,
        )

    def rebuild(self) -> None:
        """Symbols' suffixes anew, each as it was in the good warehouse, but for a fault within it."""
        self.build()
        for symbol in self.random.sample(["AAAUSDT", "BBBUSDT"], self.random.randrange(1, 3)):
            since = DAY + timedelta(minutes=5 * self.random.randrange(288))
            wrong = self.random.choice([*MARTS, None, None])
            for mart, (time, faults) in MARTS.items():
                also = ""
                if mart == "liquidation_levels":
                    also = f" or {REBUILT_ALSO}"
                    # What ended them before is gone: they are given anew, and stand.
                    self.run(
                        "update marts.liquidation_levels set closed_at = $since::timestamp + interval '5 minutes'"
                        " where symbol = $symbol and opened_at < $since and coalesce(liquidated_at, closed_at) is null"
                        f" and hash(opened_at) % 5 = {self.random.randrange(20)}",
                        symbol=symbol,
                        since=since,
                    )
                rebuilt = f"symbol = $symbol and ({time} >= $since{also})"
                given = rebuilt
                if also:
                    given += f" or ({LEVEL}) in (select ({LEVEL}) from marts.{mart} where {rebuilt})"
                self.run(
                    f"create or replace temp table made as select * from good.marts.{mart} where {given}",
                    symbol=symbol,
                    since=since,
                )
                self.run(f"delete from marts.{mart} where {rebuilt}", symbol=symbol, since=since)
                if mart == wrong:
                    pick = f"rowid = {self.random.randrange(max(self.number('select count(*) from made'), 1))}"
                    fault = self.random.choice(["missing", "doubled", *faults])
                    if fault == "missing":
                        self.run(f"delete from made where {pick}")
                    elif fault == "doubled":
                        self.run(f"insert into made select * from made where {pick}")
                    else:
                        self.run(f"update made set {fault} where {pick}")
                logged = since
                if also:
                    self.run(f"delete from marts.{mart} where ({LEVEL}) in (select ({LEVEL}) from made)")
                    ((first,),) = self.run(
                        f"select min(opened_at) from made where opened_at < $since and ({REBUILT_ALSO}) is not true",
                        since=since,
                    )
                    logged = first or since
                self.run(f"insert into marts.{mart} select * from made")
                self.run(
                    """
                    insert into state.rebuilds by name
                    select (select coalesce(max(rebuild_id), 0) + 1 from state.rebuilds) as rebuild_id,
                        $mart as model, 'binance' as exchange, $symbol as symbol, $since::timestamp as rebuild_from
                    """,
                    mart=mart,
                    symbol=symbol,
                    since=logged,
                )
                self.run(
                    f"update state.mart_rows set row_count = (select count(*) from marts.{mart}) where model = $mart",
                    mart=mart,
                )

    def rebuild_tables(self) -> None:
        """A build that makes tables anew, and may get one wrong."""
        self.build()
        for fault in (
            "update marts.liquidation_map set last_price = 1",
            "update marts.data_gaps set missing = 0",
            "update marts.quality_checks set status = 'fail'",
        ):
            if self.random.random() < 0.3:
                self.run(fault)
        if self.random.random() < 0.5:
            for mart in ("liquidation_map", "data_gaps", "quality_checks"):
                self.run(f"create or replace table marts.{mart} as from good.marts.{mart}")


def opened(built: Warehouse, folder: Path, seed: int) -> House:
    # Views name their database after its file.
    path = folder / built.path.name
    shutil.copy(built.path, path)
    connection = duckdb.connect(str(path))
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"attach '{built.path}' as good (read_only)")
    asked = [suite for suite in suites(PROJECT) if suite.table.name in ASKED]
    house = House(connection, asked, random.Random(seed))
    connection.execute("update state.builds set project_hash = 'this project'")
    connection.execute("delete from ops.validation_results")
    return house


OPERATIONS: list[Callable[[House], None]] = [
    House.land_another_day,
    House.replace_file,
    House.forget_file,
    House.rebuild,
    House.rebuild,
    House.rebuild_tables,
]


# The history of seed 3 has no fault.
@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_any_history_has_the_verdict_of_a_full_validation(built_once: Warehouse, tmp_path: Path, seed: int) -> None:
    house = opened(built_once, tmp_path, seed)
    assert house.validate(full=False) == {}
    assert set(house.asked) == {"everything"}
    house.asked.clear()
    assert house.validate(full=False) == {}
    assert set(house.asked) == {"nothing"}
    told = 0
    for _ in range(4):
        done = [house.random.choice(OPERATIONS) for _ in range(house.random.randrange(1, 4))]
        for operation in done:
            operation(house)
        found = house.validate(full=False)
        assert found == house.validate(full=True), [operation.__name__ for operation in done]
        told += len(found)
    assert {"changes", "nothing"} <= set(house.asked)
    assert told
    house.connection.close()


def test_where_most_of_much_changed_everything_is_asked(
    built_once: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To gather what changed would take more than to ask of all of it."""
    house = opened(built_once, tmp_path, seed=0)
    assert house.validate(full=False) == {}
    house.run(
        """
        insert into state.rebuilds by name
        select distinct (select max(rebuild_id) + 1 from state.rebuilds) as rebuild_id, 'klines_5m' as model, exchange,
            symbol, timestamp '1970-01-01' as rebuild_from
        from ops.ingestion_files
        where symbol is not null
        """
    )
    assert not planning.planned(house.read, house.suites).is_full
    monkeypatch.setattr(changes, "_MANY_FILES", 0)
    assert planning.planned(house.read, house.suites).is_full
    house.run("update state.rebuilds set rebuild_from = timestamp '2200-01-01'")
    assert not planning.planned(house.read, house.suites).is_full
    house.connection.close()
