"""The service: every answer is the published file's, whatever is asked, and a new file takes over by itself."""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import duckdb
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks as conformance

from loaders.datasets import DATASETS
from loaders.delivery.service import app as service
from loaders.delivery.service import formats, parameters
from loaders.delivery.service.cache import Answer, Cache
from loaders.delivery.service.publications import Publications
from loaders.errors import PublishedMissing
from loaders.settings import Settings
from tests.support import published
from tests.support.warehouse import PROJECT

ARROW, PARQUET = formats.ARROW, formats.PARQUET


@pytest.fixture(scope="module")
def file(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published file of these tests' own."""
    return Path(shutil.copy(marts, tmp_path_factory.mktemp("served") / "marts.duckdb"))


@pytest.fixture(scope="module")
def address(file: Path) -> Iterator[str]:
    """A server that answers from it."""
    with serving(file) as found:
        yield found


class serving:
    """A server in a thread of this process."""

    def __init__(self, file: Path, origins: tuple[str, ...] = ()) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        application = service.create(Settings(), file, origins)
        config = uvicorn.Config(application, host="127.0.0.1", port=self.port, log_level="critical")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        end = time.monotonic() + 30
        while not self.server.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(30)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return str(value).replace(" ", "T") + "Z"
    return value


def asked(file: Path, sql: str) -> list[dict[str, Any]]:
    """Rows of a query on the published file, as JSON has them."""
    with duckdb.connect(str(file), read_only=True) as connection:
        result = connection.execute(sql)
        names = [column[0] for column in result.description]
        return [{name: plain(one) for name, one in zip(names, row, strict=True)} for row in result.fetchall()]


CASES = [
    pytest.param(
        "/api/symbols",
        "select symbol, min(open_time) as first_open_time, max(open_time) + interval '5 minutes' as as_of,"
        " max_by(close, open_time) as last_price, count(*) as candles from klines_5m group by symbol order by symbol",
        id="symbols",
    ),
    pytest.param(
        "/api/klines?symbol=BTCUSDT&start=2026-06-27&end=2026-06-27",
        "select * from klines_5m where symbol = 'BTCUSDT' and open_time >= '2026-06-27' and open_time < '2026-06-28'"
        " order by open_time",
        id="candles of a day, its end included",
    ),
    pytest.param(
        "/api/open-interest?symbol=ETHUSDT&start=2026-06-28T09:00:00Z&end=2026-06-28T12:00:00%2B02:00",
        "select * from open_interest_5m where symbol = 'ETHUSDT' and snapshot_at >= '2026-06-28 09:00'"
        " and snapshot_at < '2026-06-28 10:00' order by snapshot_at",
        id="open interest between two times, one with an offset",
    ),
    pytest.param(
        "/api/liquidations/levels?symbol=BTCUSDT&side=short&standing=true&limit=10000",
        "select * from liquidation_levels where symbol = 'BTCUSDT' and side = 'short' and liquidated_at is null"
        " and closed_at is null order by opened_at, side, leverage",
        id="levels that stand",
    ),
    pytest.param(
        f"/api/liquidations/map?symbol={published.TINY}",
        f"select * from liquidation_map where symbol = '{published.TINY}' order by side, price_bin, leverage",
        id="the map",
    ),
    pytest.param(
        "/api/liquidations/map?symbol=BTCUSDT&side=long&leverage=10",
        "select * from liquidation_map where symbol = 'BTCUSDT' and side = 'long' and leverage = 10"
        " order by side, price_bin, leverage",
        id="the map of a side and a leverage",
    ),
    pytest.param(
        "/api/liquidations/heatmap?symbol=BTCUSDT&side=long&start=2026-06-28&limit=100000",
        "select * from liquidation_heatmap where symbol = 'BTCUSDT' and side = 'long' and bucket_at >= '2026-06-28'"
        " order by bucket_at, side, price_bin",
        id="the heatmap as it is",
    ),
    pytest.param(
        "/api/liquidations/heatmap?symbol=BTCUSDT&step=240&limit=100000",
        """
        select symbol, time_bucket(interval '4 hours', bucket_at) as bucket_at, side, price_bin, volume_usd
        from liquidation_heatmap
        where symbol = 'BTCUSDT' and bucket_at in (
            select max(bucket_at) from liquidation_heatmap where symbol = 'BTCUSDT'
            group by time_bucket(interval '4 hours', bucket_at)
        )
        order by all
        """,
        id="the heatmap in longer steps shows what stood at their end",
    ),
    pytest.param(
        "/api/backtest?symbol=BTCUSDT",
        "select * from liquidation_backtest where symbol = 'BTCUSDT' order by side, horizon, tolerance",
        id="the backtest",
    ),
    pytest.param(
        "/api/gaps?dataset=metrics&start=2026-06-27&end=2026-06-28",
        "select * from data_gaps where dataset = 'metrics' and gap_start >= '2026-06-27' and gap_start < '2026-06-29'",
        id="gaps",
    ),
    pytest.param("/api/quality?status=warn", "select * from quality_checks where status = 'warn'", id="checks"),
]


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


@pytest.mark.parametrize(("path", "sql"), CASES)
def test_every_address_answers_what_the_file_says(address: str, file: Path, path: str, sql: str) -> None:
    found = httpx2.get(address + path)
    assert found.status_code == 200, found.text
    body = found.json()
    expected = asked(file, sql)
    assert expected
    assert in_order(body["rows"]) == in_order(expected)
    assert (body["count"], body["next"]) == (len(expected), None)
    if "order by" in sql:
        assert body["rows"] == expected
    # The same rows for data frames, with decimals and times as such.
    with duckdb.connect(str(file), read_only=True) as connection:
        table = connection.execute(sql).to_arrow_table()
    arrow = pa.ipc.open_stream(httpx2.get(address + path, headers={"Accept": ARROW}).content).read_all()
    parquet = pq.read_table(io.BytesIO(httpx2.get(address + path, headers={"Accept": PARQUET}).content))
    for other in (arrow, parquet):
        assert in_order(other.to_pylist()) == in_order(table.to_pylist())


def test_bins_of_the_heatmap_are_summed_up(address: str, file: Path) -> None:
    path = "/api/liquidations/heatmap?symbol=BTCUSDT&bins=30&limit=100000"
    rows = httpx2.get(address + path).json()["rows"]
    assert 10 <= len({row["price_bin"] for row in rows}) <= 31
    totals: dict[tuple[str, str], float] = {}
    for row in rows:
        key = (row["bucket_at"], row["side"])
        totals[key] = totals.get(key, 0) + row["volume_usd"]
    expected = asked(
        file,
        "select bucket_at, side, sum(volume_usd) as usd from liquidation_heatmap where symbol = 'BTCUSDT' group by all",
    )
    assert totals == {(row["bucket_at"], row["side"]): pytest.approx(row["usd"], rel=1e-12) for row in expected}


def test_pages_make_up_the_whole_and_belong_to_one_publication(address: str, file: Path) -> None:
    rows: list[dict[str, Any]] = []
    path: str | None = "/api/klines?symbol=BTCUSDT&limit=250"
    sizes = []
    while path is not None:
        found = httpx2.get(address + path)
        body = found.json()
        rows += body["rows"]
        sizes.append(body["count"])
        path = body["next"]
        assert ("Link" in found.headers) == (path is not None)
    assert sizes == [250, 250, 250, 114]
    assert rows == asked(file, "select * from klines_5m where symbol = 'BTCUSDT' order by open_time")
    other = httpx2.get(f"{address}/api/klines?symbol=BTCUSDT&publication={'0' * 16}")
    assert (other.status_code, "newer publication" in other.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/api/klines", 422, "symbol", id="a symbol is needed"),
        pytest.param("/api/klines?symbol=btc", 422, "symbol", id="no symbol"),
        pytest.param("/api/klines?symbol=../../etc", 422, "symbol", id="a path"),
        pytest.param("/api/klines?symbol=A'%20or%201=1", 422, "symbol", id="a statement"),
        pytest.param("/api/klines?symbol=NOBODY", 404, "/api/symbols lists", id="an unknown symbol"),
        pytest.param(
            "/api/klines?symbol=BTCUSDT&sort=close", 422, "sort: no such parameter", id="an unknown parameter"
        ),
        pytest.param("/api/klines?symbol=BTCUSDT&start=2026-06-31", 422, "2026-06-28T12:30:00Z", id="no day"),
        pytest.param(
            "/api/klines?symbol=BTCUSDT&start=2026-06-29&end=2026-06-28", 422, "end must not be before", id="backwards"
        ),
        pytest.param("/api/klines?symbol=BTCUSDT&limit=100001", 422, "limit", id="too many rows"),
        pytest.param("/api/liquidations/heatmap?symbol=BTCUSDT&step=90", 400, "multiple of", id="a step of its own"),
        pytest.param("/api/nothing", 404, "Not Found", id="no address"),
    ],
)
def test_what_cannot_be_answered_is_told(address: str, path: str, status: int, says: str) -> None:
    found = httpx2.get(address + path)
    assert found.status_code == status
    assert says in found.json()["detail"]


def test_formats_that_nobody_writes_are_refused(address: str) -> None:
    assert httpx2.get(f"{address}/api/symbols", headers={"Accept": "image/png"}).status_code == 406
    both = httpx2.get(f"{address}/api/symbols", headers={"Accept": f"{PARQUET};q=0.5, application/json;q=0.1"})
    assert both.headers["content-type"] == PARQUET
    assert httpx2.post(f"{address}/api/symbols").status_code == 405


def test_who_has_an_answer_is_told_so(address: str) -> None:
    for path in ("/api/klines?symbol=BTCUSDT", "/api/status", "/"):
        first = httpx2.get(address + path)
        for header in (
            {"If-None-Match": first.headers["etag"]},
            {"If-Modified-Since": first.headers["last-modified"]},
        ):
            again = httpx2.get(address + path, headers=header)
            assert (again.status_code, again.content) == (304, b"")
        assert httpx2.get(address + path, headers={"If-None-Match": '"other"'}).status_code == 200
        head = httpx2.head(address + path)
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", first.headers["etag"])


def test_the_page_is_served_and_says_what_the_report_says(address: str) -> None:
    found = httpx2.get(address)
    assert found.headers["content-type"].startswith("text/html")
    assert all(f'id="block-{symbol}"' in found.text for symbol in published.SYMBOLS)


def test_other_pages_may_not_ask_unless_they_are_named(address: str, file: Path) -> None:
    header = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in httpx2.get(f"{address}/api/symbols", headers=header).headers
    with serving(file, ("https://example.org",)) as open_to_some:
        found = httpx2.get(f"{open_to_some}/api/symbols", headers=header)
        assert found.headers["access-control-allow-origin"] == "https://example.org"


def test_a_new_publication_takes_over_and_old_requests_end_on_the_old_one(marts: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(marts, tmp_path / "marts.duckdb"))
    warehouse = marts.with_name("warehouse.duckdb")
    publications = Publications(Settings(), file)
    with publications.current() as old, old.cursor() as cursor:
        published.copy_marts(warehouse, file, job_id="the next", symbols=("BTCUSDT",))
        with publications.current() as new:
            assert (old.about["job_id"], new.about["job_id"]) == ("job", "the next")
            assert new.name != old.name
        assert cursor.execute("select count(distinct symbol) from klines_5m").fetchall() == [(5,)]
    # Nobody works on the old one any more.
    with pytest.raises(duckdb.ConnectionException):
        old.published.connection.execute("select 1")
    # What is no publication does not take over.
    file.unlink()
    file.write_bytes(b"this is no database")
    with publications.current() as still:
        assert still.about["job_id"] == "the next"
    file.unlink()
    with publications.current() as still:
        assert still.about["job_id"] == "the next"
    publications.close()
    with pytest.raises(PublishedMissing), publications.current():
        pass


def test_without_a_file_it_says_try_later(tmp_path: Path) -> None:
    with serving(tmp_path / "marts.duckdb") as address:
        for path in ("/health", "/api/symbols", "/"):
            found = httpx2.get(address + path)
            assert (found.status_code, found.headers["retry-after"]) == (503, "10")
            assert str(tmp_path) not in found.text


def test_no_query_reaches_the_disk(file: Path) -> None:
    publications = Publications(Settings(), file)
    with publications.current() as publication, publication.cursor() as cursor:
        for statement in (
            "select * from read_csv('/etc/hostname')",
            "copy klines_5m to '/tmp/x.csv'",
            "attach '/tmp/x.duckdb'",
            "set enable_external_access = true",
            "create table x (y integer)",
        ):
            with pytest.raises(duckdb.Error):
                cursor.execute(statement)
    publications.close()


def test_answers_are_kept_up_to_a_limit() -> None:
    cache = Cache(limit=100)
    for number in range(10):
        cache.put(number, Answer(b"x" * 20, "", {}))
    assert [number for number in range(10) if cache.get(number)] == [5, 6, 7, 8, 9]
    cache.put("large", Answer(b"x" * 26, "", {}))
    assert cache.get("large") is None
    cache.put(9, Answer(b"y" * 10, "", {}))
    assert cache.get(5) is not None


def test_datasets_are_those_of_the_loaders() -> None:
    assert get_args(parameters.Dataset) == DATASETS


def test_it_serves_until_it_is_told_to_end(file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "loaders", "serve", "--port", "0"],
        cwd=PROJECT,
        env={**os.environ, "LOADERS_PUBLISHED": str(file)},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        line = next(line for line in server.stderr if "listening on" in line)
        address = line.split("listening on ")[1].strip()
        found = httpx2.get(f"{address}/health").json()
        assert found["status"] == "ok"
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 143


CHECKS = [
    schemathesis.checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
    conformance.negative_data_rejection,
    conformance.unsupported_method,
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_service_keeps_to_its_description(address: str, mode: GenerationMode) -> None:
    """Every address, with values that its description allows, or does not."""
    description = schemathesis.openapi.from_url(f"{address}/openapi.json")
    asked_of = 0
    for found in description.get_all_operations():
        operation: Any = found.ok()
        if mode is GenerationMode.NEGATIVE and not operation.query:
            continue

        @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        ask()
        asked_of += 1
    assert asked_of == (12 if mode is GenerationMode.POSITIVE else 9)


def test_a_client_that_was_generated_from_the_description_reads_every_answer(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openapi.json").write_bytes(httpx2.get(f"{address}/openapi.json").content)
    options = ["--path", "openapi.json", "--output-path", "generated_client", "--meta", "none", "--fail-on-warning"]
    subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", *options],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )
    monkeypatch.syspath_prepend(tmp_path)
    client = importlib.import_module("generated_client").Client(base_url=address)
    paths = json.loads((tmp_path / "openapi.json").read_text())["paths"]
    operations = {path: of["get"]["operationId"] for path, of in paths.items() if path.startswith("/api/")}
    assert len(operations) == 10
    for path, name in operations.items():
        parameters = {one["name"] for one in paths[path]["get"].get("parameters", ())}
        wanted = {"symbol": "BTCUSDT"} if "symbol" in parameters else {}
        operation = importlib.import_module(f"generated_client.api.default.{name}")
        parsed = operation.sync_detailed(client=client, **wanted).parsed
        plainly = httpx2.get(address + path, params=wanted).json()
        # Times come back as times, which are written in another way.
        assert json.loads(json.dumps(parsed.to_dict()).replace("+00:00", "Z")) == plainly
