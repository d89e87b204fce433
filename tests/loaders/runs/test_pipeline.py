"""What cron calls: one job, one line a step, and somebody is told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from loaders.delivery import publish
from loaders.errors import NotNotified
from loaders.ingest import load
from loaders.ingest.load import Request
from loaders.progress import Lines
from loaders.runs import dbt, last_run, notify, pipeline
from loaders.runs.dbt import Built, DbtProcess
from loaders.runs.dbt_process import BuildEnded, BuildRequest, told
from loaders.runs.pipeline import Run
from loaders.selection import Selection
from loaders.validation import runner
from loaders.validation.plan import planned
from loaders.validation.runner import Validation
from loaders.validation.suites import Result, suites
from loaders.warehouse import ledger, readiness
from tests.support import archive, commands
from tests.support.warehouse import Warehouse

SAVE = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"


def run(warehouse: Warehouse, notify: str | None = None, ping: str | None = None) -> tuple[Run, list[str]]:
    """A run in this process, and the lines that it said."""
    said: list[str] = []
    warehouse.data.mkdir(exist_ok=True)
    request = Request((warehouse.data,), Selection())
    target = warehouse.folder / "marts.duckdb"
    done = pipeline.run(
        warehouse.settings, warehouse.path, request, target, Lines(), say=said.append, notify=notify, ping=ping
    )
    return done, said


def outcomes(done: Run) -> dict[str, str]:
    return {step.name: step.outcome for step in done.steps}


class NoProcess:
    """A dbt that does not begin."""

    def __init__(self, project: Path, path: Path) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def quick_build(monkeypatch: pytest.MonkeyPatch) -> Callable[[Built], None]:
    """Puts an answer in the place of dbt."""

    def answer(built: Built) -> None:
        monkeypatch.setattr(dbt, "DbtProcess", NoProcess)
        monkeypatch.setattr(dbt, "build", lambda project, path, **_: built)

    return answer


GOOD = Built(0, "", 3, ())
BAD = Built(1, "Completed with 1 error", 3, (("klines_5m_has_one_row_per_key", "Got 2 results"),))


@pytest.mark.usefixtures("forked_dbt")
def test_a_run_publishes_what_passed_and_names_the_refused_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-02")
    archive.metrics(warehouse.data, "AAAUSDT", "2024-03-02")
    bad = archive.klines(warehouse.data, "BBBUSDT", "2024-03-02")
    bad.write_text("this is no candle\n" * 300)
    told = warehouse.folder / "told.json"
    warehouse.environment |= {
        "LOADERS_DATA_DOCS": str(warehouse.folder / "docs"),
        "LOADERS_NOTIFY": f"{sys.executable} -c \"{SAVE}\" '{told}'",
    }

    warehouse.lend_environment(monkeypatch)
    status, printed, said = commands.run(warehouse, "--json", "run")
    assert status == 1, said
    answer = json.loads(printed)

    assert {step["step"]: step["outcome"] for step in answer["steps"]} == {
        "check": "warning",
        "load": "warning",
        "build": "ok",
        "validate": "ok",
        "publish": "ok",
        "report": "ok",
    }
    job = answer["job_id"]
    assert any(str(bad) in detail for detail in answer["steps"][1]["details"])
    assert warehouse.query("select job_id from ops.ingestion_jobs") == [(job,)]
    assert warehouse.query("select distinct job_id from ops.validation_results") == [(job,)]
    with duckdb.connect(str(warehouse.folder / "marts.duckdb"), read_only=True) as connection:
        assert connection.execute("select job_id from published").fetchall() == [(job,)]
        assert connection.execute("select symbol, count(*) from klines_5m group by all").fetchall() == [
            ("AAAUSDT", 288)
        ]
    message = json.loads(told.read_text())
    assert (message["job_id"], message["published"], message["exit_status"]) == (job, True, 1)
    assert str(bad) in message["text"]


def test_a_failed_build_stops_the_run_and_the_last_file_stays(
    passed: Warehouse, quick_build: Callable[[Built], None]
) -> None:
    quick_build(GOOD)
    assert run(passed)[0].exit_status == 0
    before = (passed.folder / "marts.duckdb").read_bytes()
    quick_build(BAD)
    done, said = run(passed)
    assert outcomes(done) == {
        "check": "ok",
        "load": "ok",
        "build": "failed",
        "validate": "skipped",
        "publish": "skipped",
        "report": "skipped",
    }
    assert done.exit_status == 1
    assert len(said) == len(pipeline.STEPS)
    assert "klines_5m_has_one_row_per_key: Got 2 results" in said[2]
    assert (passed.folder / "marts.duckdb").read_bytes() == before


def test_a_failed_expectation_stops_the_run(passed: Warehouse, quick_build: Callable[[Built], None]) -> None:
    quick_build(GOOD)
    passed.change("update marts.liquidation_map set last_price = 1")
    told = passed.folder / "told.json"
    done, said = run(passed, notify=f"{sys.executable} -c \"{SAVE}\" '{told}'")
    assert outcomes(done) == {
        "check": "ok",
        "load": "ok",
        "build": "ok",
        "validate": "failed",
        "publish": "skipped",
        "report": "skipped",
    }
    assert "marts.liquidation_map prices_are_the_last_ones" in said[3]
    assert not (passed.folder / "marts.duckdb").exists()
    assert done.notified
    assert json.loads(told.read_text())["published"] is False


def test_a_build_that_never_was_is_not_published(passed: Warehouse, quick_build: Callable[[Built], None]) -> None:
    quick_build(GOOD)
    archive.klines(passed.data, "CCCUSDT", "2024-03-02")
    done, _ = run(passed)
    assert outcomes(done)["load"] == "ok"
    # The candles are landed, and no mart has them.
    assert outcomes(done)["validate"] == "failed"
    assert outcomes(done)["publish"] == "skipped"


def known_project(warehouse: Warehouse) -> None:
    """Lets the warehouse's build and validation be ones of `loaders run`, which says by which project they are."""
    with duckdb.connect(str(warehouse.path)) as connection:

        def read(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        connection.execute(
            "update state.builds set project_hash = $1, files_hash = $2",
            [dbt.project_hash(warehouse.project), readiness.files_hash(read)],
        )
        plan = planned(read, suites(warehouse.project))
        results = tuple(
            Result(suite.table.full_name, one.expectation.name, "", "pass", 0, None, asked_of=one.asked_of)
            for suite, of_suite in plan.questions
            for one in of_suite
        )
        runner._record(connection, Validation("job", plan, ledger.now(), ledger.now(), results, None))


def test_a_night_in_which_nothing_landed_says_so_and_does_nothing(
    passed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_project(passed)
    built: list[Path] = []

    def build(project: Path, path: Path, **_: Any) -> Built:
        built.append(path)
        return GOOD

    monkeypatch.setattr(dbt, "build", build)
    monkeypatch.setattr(dbt, "DbtProcess", NoProcess)
    asked = (0, 0)
    for night in range(2):
        done, said = run(passed)
        assert set(outcomes(done).values()) == {"ok"}, said
        assert (built, done.exit_status) == ([], 0)
        assert "nothing changed since the build of" in said[2]
        assert "nothing changed since they passed" in said[3]
        assert ("it stays as it is" in said[4]) == bool(night)
        assert ("nothing was published since" in said[5]) == bool(night)
        (now,) = passed.query("select count(*), count(distinct job_id) from ops.validation_results")
        assert night == 0 or now == asked
        asked = now
    # A file that is refused changes no table of raw, but there are checks about it.
    bad = archive.klines(passed.data, "CCCUSDT", "2024-03-02")
    bad.write_text("this is no candle\n" * 300)
    run(passed)
    assert len(built) == 1
    passed.change("update state.builds set project_hash = 'of another model'")
    bad.unlink()
    run(passed)
    assert len(built) == 2


def test_what_decides_a_build_is_in_the_hash_of_the_project(tmp_path: Path) -> None:
    for name in ("dbt_project.yml", "profiles.yml", "models/a.sql", "macros/a.sql", "seeds/a.csv", "tests/dbt/a.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
        hashes = [dbt.project_hash(tmp_path)]
        (tmp_path / name).write_text("as it is!")
        hashes.append(dbt.project_hash(tmp_path))
        (tmp_path / "README.md").write_text(name)
        assert dbt.project_hash(tmp_path) == hashes[1] != hashes[0]
    before = dbt.project_hash(tmp_path)
    (tmp_path / "models/a.sql").rename(tmp_path / "models/b.sql")
    assert dbt.project_hash(tmp_path) != before


def processes_below(process: int) -> list[int]:
    """A process's children and theirs."""
    found = []
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        found += [int(child), *processes_below(int(child))]
    return found


def runs(process: int) -> bool:
    """Whether a process is there, and not just its status that nobody has asked for."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def ended_in(warehouse: Warehouse, step: str, number: signal.Signals) -> str:
    """A run that is sent a signal a moment after `step` began; gives what it printed."""
    before = pipeline.STEPS[pipeline.STEPS.index(step) - 1]
    with subprocess.Popen(
        [sys.executable, "-m", "loaders", "run"],
        cwd=warehouse.project,
        env=warehouse.whole_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if before in line.split():
                break
        time.sleep(2)
        children = processes_below(process.pid)
        assert bool(children) == (step == "build")
        process.send_signal(number)
        printed += process.communicate(timeout=30)[0]
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), printed
    # Python's tracker of shared memory ends once it sees that dbt has: a moment later, on a busy machine.
    deadline = time.monotonic() + (10 if number == signal.SIGKILL else 1)
    while left := list(filter(runs, children)):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.1)
    return printed


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
@pytest.mark.usefixtures("forked_dbt")
def test_a_signal_ends_the_step_that_runs_and_the_next_run_goes_on(
    passed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = passed.folder / "marts.duckdb"
    passed.environment["LOADERS_DATA_DOCS"] = str(passed.folder / "docs")
    passed.lend_environment(monkeypatch)
    publish.publish(passed.settings, passed.path, target)
    last_file = target.read_bytes()
    archive.klines(passed.data, "CCCUSDT", "2024-03-02")
    for step, number in (("build", signal.SIGKILL), ("build", signal.SIGTERM), ("validate", signal.SIGINT)):
        if step == "validate":
            # What two signals broke off: the build of the run that goes on, which leaves only the rest to do.
            dbt.build(passed.project, passed.path)
        printed = ended_in(passed, step, number)
        if number != signal.SIGKILL:
            assert f"failed    {step}" in printed
            assert f"ended by signal {int(number)}" in printed
            assert "skipped   publish" in printed
        assert target.read_bytes() == last_file
        with FileLock(f"{passed.path}.lock", timeout=0):
            pass
    # What a killed process had committed waited in the log, and its scratch folder went with the next one.
    assert {path.name for path in passed.folder.glob("*.duckdb*")} == {
        "marts.duckdb",
        "marts.duckdb.lock",
        "warehouse.duckdb",
        "warehouse.duckdb.last_run.json",
        "warehouse.duckdb.lock",
    }
    # The build was whole, so what is left to do is what the last signal broke off.
    done, said = run(passed)
    assert "nothing changed since the build of" in said[2]
    assert set(outcomes(done).values()) == {"ok"}, said
    with duckdb.connect(str(target), read_only=True) as connection:
        assert connection.execute("select count(*) from klines_5m where symbol = 'CCCUSDT'").fetchall() == [(288,)]


def test_a_signal_while_it_publishes_leaves_the_last_file(
    passed: Warehouse, quick_build: Callable[[Built], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_build(GOOD)
    target = passed.folder / "marts.duckdb"
    publish.publish(passed.settings, passed.path, target)
    last_file = target.read_bytes()
    # Another state than the one that is published.
    passed.change("update state.builds set build_id = 'another'")
    monkeypatch.setattr(publish, "_sync", lambda path: os.kill(os.getpid(), signal.SIGTERM))
    done, said = run(passed)
    assert (outcomes(done)["validate"], outcomes(done)["publish"]) == ("ok", "failed")
    assert done.exit_status == 128 + signal.SIGTERM
    assert "ended by signal 15" in said[4]
    assert target.read_bytes() == last_file
    assert {path.name for path in passed.folder.glob("marts.duckdb*")} == {"marts.duckdb", "marts.duckdb.lock"}


def saved_notice(warehouse: Warehouse) -> tuple[str, Path]:
    """A command for `notify`, and the file in which it saves what it was told."""
    told = warehouse.folder / "told.json"
    return f"{sys.executable} -c \"{SAVE}\" '{told}'", told


@pytest.mark.parametrize(
    ("step", "of", "setting"),
    [("load", load, "LOADERS_LOAD_MEMORY_LIMIT"), ("publish", publish, "LOADERS_MEMORY_LIMIT")],
)
def test_a_step_that_lacked_memory_says_which_setting_to_raise(
    passed: Warehouse,
    quick_build: Callable[[Built], None],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    of: object,
    setting: str,
) -> None:
    def lacks_memory(*_: object, **__: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to pin block\n\nPossible solutions:")

    quick_build(GOOD)
    monkeypatch.setattr(of, step, lacks_memory)
    done, _ = run(passed)
    (failed,) = (one for one in done.steps if one.name == step)
    assert failed.outcome == "failed"
    assert failed.line == f"Out of Memory Error: failed to pin block: raise {setting}"


def test_a_build_that_lacked_memory_says_which_setting_to_raise(
    passed: Warehouse, quick_build: Callable[[Built], None]
) -> None:
    message = (
        "Runtime Error in model candles\n  Out of Memory Error: could not allocate block of size 256.0 KiB "
        "(57.5 MiB/57.2 MiB used)\n  \n  Possible solutions:"
    )
    lacks_memory = ("candles", message)
    quick_build(Built(1, "", 3, (lacks_memory,)))
    done, _ = run(passed)
    (failed,) = (one for one in done.steps if one.outcome == "failed")
    assert [detail for detail in failed.details if "remedy" in detail] == [
        "remedy: the engine lacked memory, which says nothing about the rows: raise LOADERS_BUILD_MEMORY_LIMIT"
    ]
    # What else failed has its own.
    assert len(dbt.remedies([lacks_memory, *BAD.failures])) == 2
    (of_rows,) = dbt.remedies(BAD.failures)
    assert "loaders forget" in of_rows


def test_a_busy_warehouse_ends_the_run_with_75_and_is_told(passed: Warehouse) -> None:
    command, told = saved_notice(passed)
    with FileLock(f"{passed.path}.lock"):
        done, _ = run(passed, notify=command)
    assert outcomes(done)["check"] == "failed"
    assert set(list(outcomes(done).values())[1:]) == {"skipped"}
    assert done.exit_status == 75
    assert done.notified
    assert json.loads(told.read_text())["exit_status"] == 75


def test_a_good_night_after_a_bad_one_is_told_once(passed: Warehouse, quick_build: Callable[[Built], None]) -> None:
    command, told = saved_notice(passed)
    quick_build(BAD)
    run(passed, notify=command)
    good = last_run.last_good_run_path(passed.path)
    assert not good.exists()
    told.unlink()
    quick_build(GOOD)
    done, _ = run(passed, notify=command)
    assert (done.exit_status, done.recovered, done.notified) == (0, True, True)
    assert "recovered" in json.loads(told.read_text())["text"]
    assert json.loads(good.read_text())["job_id"] == done.job_id
    told.unlink()
    assert run(passed, notify=command)[0].notified is None
    assert not told.exists()
    kept = good.read_bytes()
    quick_build(BAD)
    run(passed)
    assert good.read_bytes() == kept
    assert json.loads(last_run.last_run_path(passed.path).read_text())["exit_status"] == 1


def test_only_a_good_run_asks_the_address_of_the_monitor(
    passed: Warehouse, quick_build: Callable[[Built], None], webhook: tuple[str, list[dict[str, Any]], list[int]]
) -> None:
    url, asked, answers = webhook
    answers += [200, 500]
    quick_build(BAD)
    run(passed, ping=url)
    assert asked == []
    quick_build(GOOD)
    assert run(passed, ping=url)[0].exit_status == 0
    assert asked == [{}]
    done, said = run(passed, ping=url)
    assert done.exit_status == 1
    assert "answered 500" in said[-1]


def test_the_progress_of_a_build_is_its_models_and_what_is_printed_its_troubles() -> None:
    steps: list[str] = []

    class Steps(Lines):
        def step(self, line: str) -> None:
            steps.append(line)

    ended = BuildEnded([{"unique_id": "test.a_test", "status": "fail", "message": "1 row", "compiled_code": ""}], 3)
    lines = [
        told(step="building 1 of 2: sql table model marts.klines_5m"),
        told(step="building 2 of 2: test a_test"),
        told(trouble="2 of 2 FAIL 1 a_test\nwith a second line"),
        "loaders: a line that nobody of ours wrote",
        "text without an end" + told(trouble="and a trouble"),
        told(ended=asdict(ended)),
        told(ended=asdict(ended))[:20],
    ]
    printed, last = dbt.heard([f"{line}\n" for line in lines], Steps())
    assert printed.splitlines() == [
        "2 of 2 FAIL 1 a_test",
        "with a second line",
        "loaders: a line that nobody of ours wrote",
        "text without an end",
        "and a trouble",
        told(ended=asdict(ended))[1:20],
    ]
    assert last == ended
    assert steps == ["building 1 of 2: sql table model marts.klines_5m", "building 2 of 2: test a_test"]


def test_what_dbt_says_of_a_build_is_heard(passed: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    passed.lend_environment(monkeypatch)
    passed.change("update marts.open_interest_5m set open_interest = -1 where symbol = 'AAAUSDT'")
    steps: list[str] = []

    class Steps(Lines):
        def step(self, line: str) -> None:
            steps.append(line)

    with contextlib.closing(DbtProcess(passed.project, passed.path)) as process:
        status, printed, ended = process.build(BuildRequest(test_everything=True), Steps())
    assert status == 1
    assert "open_interest_is_positive_or_unknown" in {one["unique_id"].split(".")[2] for one in ended.results}
    assert "Failure in test open_interest_is_positive_or_unknown" in printed
    assert any(step.endswith("sql incremental model marts.klines_5m") for step in steps)
    assert all(step.startswith("building ") for step in steps if step)


def test_a_failing_test_of_dbt_names_symbols_days_and_its_query(house: Warehouse) -> None:
    with duckdb.connect(str(house.path)) as connection:
        connection.execute(
            "create table candles as select 'AAAUSDT' as symbol, timestamp '2024-03-02 00:05' as open_time"
        )
    target = house.folder / "target"
    query = archive.write(target / "compiled" / "models" / "candles_have_a_key.sql", "select * from candles")
    node = {
        "unique_id": "test.liquidation_levels.candles_have_a_key.1a2b",
        "status": "fail",
        "message": "Got 1 result",
        "compiled_code": "-- no row\nselect * from candles -- that",
    }
    said = f"Got 1 result, AAAUSDT, 2024-03-02 (query: {query})"
    assert dbt.message_of(node, house.path, target) == said
    assert dbt.message_of({**node, "status": "error"}, house.path, target) == "Got 1 result"
    # A table that is not there says nothing more.
    gone = {**node, "compiled_code": "select * from gone"}
    assert dbt.message_of(gone, house.path, target) == f"Got 1 result (query: {query})"


def test_who_cannot_be_told_is_said_and_counts(passed: Warehouse, quick_build: Callable[[Built], None]) -> None:
    quick_build(BAD)
    done, said = run(passed, notify="no-such-command")
    assert done.notified is False
    assert "nobody was notified" in said[-1]
    assert done.exit_status == 1


def test_a_check_that_was_better_in_the_published_file_turned_bad(tmp_path: Path) -> None:
    now, then = tmp_path / "warehouse.duckdb", tmp_path / "marts.duckdb"
    columns = "as checks(check_name, exchange, dataset, symbol, status, detail)"
    with duckdb.connect(str(now)) as connection:
        connection.execute(
            f"""
            create schema marts;
            create table marts.quality_checks as from (values
                ('freshness', 'binance', 'klines', 'AAAUSDT', 'warn', '3 days'),
                ('freshness', 'kraken', 'klines', 'AAAUSDT', 'warn', null),
                ('duplicates', 'binance', 'klines', null, 'pass', null),
                ('missing', 'binance', null, null, 'fail', null),
                ('jumps', 'binance', 'klines', 'NEWUSDT', 'warn', null)
            ) {columns}
            """
        )
    assert pipeline.regressions(now, then) == []
    then.write_bytes(b"no database")
    assert pipeline.regressions(now, then) == ["marts.duckdb could not be opened: what its checks were is not known"]
    then.unlink()
    with duckdb.connect(str(then)) as connection:
        connection.execute(
            f"""
            create table quality_checks as from (values
                ('freshness', 'binance', 'klines', 'AAAUSDT', 'pass', null),
                ('freshness', 'kraken', 'klines', 'AAAUSDT', 'warn', null),
                ('duplicates', 'binance', 'klines', null, 'warn', null),
                ('missing', 'binance', null, null, 'warn', null)
            ) {columns}
            """
        )
    assert pipeline.regressions(now, then) == [
        "freshness of binance klines AAAUSDT: pass → warn (3 days)",
        "missing of binance: warn → fail",
    ]


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]], list[int]]]:
    """A URL, what was posted there, and the statuses it is to answer."""
    posted: list[dict[str, Any]] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(answers.pop(0))
            self.end_headers()

        def do_GET(self) -> None:
            posted.append({})
            self.send_response(answers.pop(0))
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hooks/secret", posted, answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_sent_the_facts(webhook: tuple[str, list[dict[str, Any]], list[int]]) -> None:
    url, posted, answers = webhook
    answers += [200, 500]
    notify.send_notice(url, {"text": "not published", "exit_status": 1})
    assert posted == [{"text": "not published", "exit_status": 1}]
    with pytest.raises(NotNotified, match="answered 500") as refused:
        notify.send_notice(url, {"text": "again"})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        pytest.param("http://127.0.0.1:1/secret", "cannot be reached", id="nobody listens"),
        pytest.param("http://127.0.0.1:notaport/secret", "cannot be reached", id="no address"),
        pytest.param("no-such-command --now", "could not be run", id="no such command"),
        pytest.param("'half a quote", "could not be run", id="no command line"),
        pytest.param("false", "ended with status 1", id="a command that fails"),
    ],
)
def test_what_could_not_be_told_is_an_error(target: str, why: str) -> None:
    with pytest.raises(NotNotified, match=why) as refused:
        notify.send_notice(target, {"text": "x"})
    assert "secret" not in str(refused.value)
