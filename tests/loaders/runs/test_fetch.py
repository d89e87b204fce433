"""`fetch` against the replay server: what is chosen, what arrives, and what goes wrong on the way."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loaders.errors import AddressBlocked, FetchBusy, SourceUnavailable, WrongUsage
from loaders.progress import TransferLines
from loaders.runs import fetch as fetching
from loaders.runs.fetch import FetchResult
from loaders.runs.sourcing import SourceRequest
from loaders.selection import Selection
from loaders.sources.download import fetch_lock
from tests.support import archive, replay
from tests.support.replay import Handler, Replay, cut, shorter_by, status
from tests.support.warehouse import Warehouse

NOW = datetime(2026, 7, 4, 9, tzinfo=UTC)
KLINES = "data/futures/um/daily/klines/BTCUSDT/5m/"


def selection(*symbols: str, **more: Any) -> Selection:
    return Selection(symbols=frozenset(symbols), **more)


def klines(root: Path, of: str, kind: str = "klines") -> Path:
    """A file of three candles: these tests are about files."""
    start, _, length = archive.period(of)
    rows = [archive.KLINES, *archive.kline_rows(f"{start:%Y-%m-%d}", 3)]
    return archive.write(root / f"data/futures/um/{length}/{kind}/BTCUSDT/5m/BTCUSDT-5m-{of}.csv", rows)


def metrics(root: Path, of: str) -> Path:
    """A file of three snapshots."""
    rows = [archive.METRICS, *archive.metrics_rows(of, 3)]
    return archive.write(root / f"data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-{of}.csv", rows)


@dataclass
class Place:
    """A replay server and a warehouse that asks it."""

    server: Replay
    warehouse: Warehouse
    address: str

    def fetch(self, wanted: Selection, *, dry_run: bool = False, **request: Any) -> FetchResult:
        """A fetch in this process."""
        asked = SourceRequest((self.warehouse.data,), wanted, **request)
        return fetching.fetch(
            self.warehouse.settings, self.warehouse.path, asked, TransferLines(), dry_run=dry_run, now=NOW
        )

    @property
    def files(self) -> dict[str, str]:
        """Hash of every file below the data folder that a load would see, and of any left part."""
        data = self.warehouse.data
        return {
            str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(data.rglob("*"))
            if path.is_file() and ".loaders" not in path.parts
        }


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """May and June as months, June as days, too, two days of July; two days of open interest; June's funding."""
    root = tmp_path_factory.mktemp("published")
    for of in ("2026-05", "2026-06", *(f"2026-06-{day:02}" for day in range(1, 31)), "2026-07-01", "2026-07-02"):
        klines(root, of)
    for day in ("2026-07-01", "2026-07-02"):
        metrics(root, day)
    archive.write(
        root / "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-06.csv",
        [archive.FUNDING, f"{archive.day_ms('2026-06-01')},8,0.0001"],
    )
    return root


@pytest.fixture
def place(published: Path, tmp_path: Path) -> Iterator[Place]:
    server = Replay(NOW)
    for path in published.rglob("*.csv"):
        server.publish(path, published)
    with replay.serve(server) as address:
        yield Place(server, Warehouse(tmp_path, **replay.settings_for(address)), address)


def test_months_where_they_are_published_and_days_for_the_rest(place: Place) -> None:
    result = place.fetch(selection("BTCUSDT"))
    assert [one.file.key for one in result.wanted] == [
        "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-06.zip",
        "data/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2026-05.zip",
        "data/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06.zip",
        f"{KLINES}BTCUSDT-5m-2026-07-01.zip",
        f"{KLINES}BTCUSDT-5m-2026-07-02.zip",
        "data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2026-07-01.zip",
        "data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2026-07-02.zip",
    ]
    assert place.files == {
        key: hashlib.sha256(stored.content).hexdigest()
        for key, stored in place.server.files.items()
        if "2026-06-" not in key
    }
    assert place.warehouse.load().totals.files_loaded == 7


def test_the_same_once_more_asks_for_listings_alone(place: Place) -> None:
    place.fetch(selection("BTCUSDT"))
    before = place.files
    place.server.log.clear()
    # By now what lies there says what is wanted.
    result = place.fetch(selection())
    assert (result.wanted, place.files) == ([], before)
    assert place.server.asked() == place.server.asked("^/listing")


def test_days_that_are_there_are_not_fetched_again_as_a_month(place: Place, published: Path) -> None:
    for day in range(1, 31):
        name = f"{KLINES}BTCUSDT-5m-2026-06-{day:02}.csv"
        archive.write(place.warehouse.data / name, (published / name).read_bytes())
    result = place.fetch(selection("BTCUSDT", datasets=frozenset({"klines"}), intervals=frozenset({"5m"})))
    assert [one.file.name for one in result.wanted] == ["BTCUSDT-5m-2026-07-01.zip", "BTCUSDT-5m-2026-07-02.zip"]


def test_a_range_of_days_takes_days_and_whole_months_alone(place: Place) -> None:
    wanted = selection(
        "BTCUSDT", datasets=frozenset({"klines"}), start=archive.day("2026-06-29"), end=archive.day("2026-07-02")
    )
    names = [one.file.name for one in place.fetch(wanted, dry_run=True).wanted]
    assert names == ["BTCUSDT-5m-2026-06-29.zip", "BTCUSDT-5m-2026-06-30.zip", "BTCUSDT-5m-2026-07-01.zip"]
    assert place.files == {}


def test_a_listing_of_many_pages_with_junk_is_followed_to_its_end(place: Place) -> None:
    place.server.page_size = 3
    place.server.junk = [
        f"{KLINES}BTCUSDT-5m-2026-07-03.zip.tmp",
        f"{KLINES}BTCUSDT-5m-2026-13-45.zip",
        f"{KLINES}ETHUSDT-5m-2026-07-01.zip",
        f"{KLINES}2019/BTCUSDT-5m-2019-01-01.zip",
        f"/{KLINES}BTCUSDT-5m-2026-07-01.zip",
        f"data2/{KLINES}BTCUSDT-5m-2026-07-03.zip",
        KLINES.lower() + "BTCUSDT-5m-2026-07-03.zip",
    ]
    wanted = selection("BTCUSDT", datasets=frozenset({"klines"}))
    assert [one.file.name[11:-4] for one in place.fetch(wanted).wanted] == [
        "2026-05",
        "2026-06",
        "2026-07-01",
        "2026-07-02",
    ]
    assert len(place.server.asked("^/listing.*daily")) > 10


def test_a_page_of_a_listing_that_failed_fails_the_listing(place: Place) -> None:
    place.server.page_size = 3
    place.server.fault("listing.*daily.*marker=.*06-0", status(200, b"<html>oops</html>"), times=100)
    with pytest.raises(SourceUnavailable, match="listing"):
        place.fetch(selection("BTCUSDT"))
    assert place.files == {}


def test_an_unknown_symbol_is_an_empty_answer(place: Place) -> None:
    result = place.fetch(selection("NONEUSDT"))
    assert (result.wanted, result.exit_status) == ([], 0)


def test_without_a_word_of_what_is_wanted_the_remedy_is_named(place: Place) -> None:
    with pytest.raises(WrongUsage, match="--symbol"):
        place.fetch(selection())


@pytest.mark.parametrize("ranges", [pytest.param(True, id="ranges"), pytest.param(False, id="no ranges")])
def test_a_cut_download_goes_on_where_it_ended(place: Place, ranges: bool) -> None:
    key = f"{KLINES}BTCUSDT-5m-2026-07-01.zip"
    place.server.ranges = ranges
    place.server.fault(f"{key}$", cut(100))
    place.server.fault(f"{key}$", shorter_by(50))
    place.fetch(selection("BTCUSDT"))
    assert place.files[key] == hashlib.sha256(place.server.files[key].content).hexdigest()
    assert len(place.server.asked(f"{key}$")) == 3
    assert [name for name in place.files if not name.endswith(".zip")] == []


def stored_zip(name: str, size: int) -> bytes:
    """A zip of one CSV that does not shrink."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr(f"{name}.csv", random.Random(size).randbytes(size))
    return packed.getvalue()


def test_a_large_file_comes_in_many_pieces(place: Place) -> None:
    key = f"{KLINES}BTCUSDT-5m-2026-07-01"
    place.server.put(f"{key}.zip", stored_zip("BTCUSDT-5m-2026-07-01", 30_000_000))
    # The second time it goes on where it was cut.
    place.server.fault(r"07-01\.zip$", cut(20_000_000))
    place.fetch(selection("BTCUSDT", start=datetime(2026, 7, 1, tzinfo=UTC)))
    assert place.files[f"{key}.zip"] == hashlib.sha256(place.server.files[f"{key}.zip"].content).hexdigest()


def test_what_has_come_is_kept_when_all_ends(place: Place) -> None:
    key = f"{KLINES}BTCUSDT-5m-2026-07-01"
    content = stored_zip("BTCUSDT-5m-2026-07-01", 3_000_000)
    place.server.put(f"{key}.zip", content)
    half, ended = threading.Event(), threading.Event()

    def hang(handler: Handler) -> bool:
        handler.send_response_only(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:1_500_000])
        half.set()
        ended.wait(30)
        handler.reset()
        return True

    def block(handler: Handler) -> bool:
        half.wait(30)
        # What was sent has to arrive, too.
        time.sleep(0.3)
        return status(451)(handler)

    place.server.fault(r"07-01\.zip$", hang)
    place.server.fault(r"07-02\.zip$", block)
    wanted = selection("BTCUSDT", datasets=frozenset({"klines"}), start=datetime(2026, 7, 1, tzinfo=UTC))
    with pytest.raises(AddressBlocked):
        place.fetch(wanted)
    ended.set()
    (part,) = (name for name in place.files if name.startswith(f"{key}.zip."))
    assert content[:1_500_000] == (place.warehouse.data / part).read_bytes()
    place.server.log.clear()
    place.fetch(wanted)
    assert place.files == {
        name: hashlib.sha256(place.server.files[name].content).hexdigest()
        for name in (f"{key}.zip", f"{KLINES}BTCUSDT-5m-2026-07-02.zip")
    }


@pytest.mark.parametrize("size", [pytest.param(100, id="a small file"), pytest.param(9_000_000, id="a large file")])
def test_a_full_disk_ends_everything_and_leaves_no_file(
    place: Place, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    place.server.put(f"{KLINES}BTCUSDT-5m-2026-07-01.zip", stored_zip("BTCUSDT-5m-2026-07-01", size))

    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    wanted = selection("BTCUSDT", start=datetime(2026, 7, 1, tzinfo=UTC), end=datetime(2026, 7, 2, tzinfo=UTC))
    with pytest.raises(OSError, match="No space left"):
        place.fetch(wanted)
    assert not [name for name in place.files if name.endswith(".zip")]


def test_no_more_is_asked_at_once_than_there_are_connections(place: Place) -> None:
    lock = threading.Lock()
    busy = most = 0
    seen: set[str] = set()

    def count(handler: Handler) -> bool:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            fails = handler.path not in seen and len(seen) % 3 == 0
            seen.add(handler.path)
        time.sleep(0.02)
        with lock:
            busy -= 1
        return status(503)(handler) if fails else False

    place.server.fault(r"^/data/", count, times=1000)
    settings = place.warehouse.settings
    wanted = selection("BTCUSDT", datasets=frozenset({"klines"}), start=datetime(2026, 6, 2, tzinfo=UTC))
    result = place.fetch(wanted)
    assert {one.outcome for one in result.fetched} == {"fetched"}
    assert (len(result.fetched), most) == (31, settings.connections)


def test_a_server_that_names_a_pause_is_left_alone_by_all(place: Place) -> None:
    times: list[float] = []

    def note(handler: Handler) -> bool:
        times.append(time.monotonic())
        return status(429, Retry_After="1")(handler) if len(times) == 1 else False

    place.server.fault(r"^/data/", note, times=1000)
    wanted = selection("BTCUSDT", datasets=frozenset({"klines"}), start=datetime(2026, 6, 2, tzinfo=UTC))
    result = place.fetch(wanted)
    assert len(result.fetched) == 31
    # What was on its way when the answer came was asked before it.
    early = [one for one in times if one < times[0] + 0.9]
    assert len(early) <= 2 * place.warehouse.settings.connections


def test_a_file_that_is_listed_and_gone_is_told_and_the_rest_comes(place: Place) -> None:
    place.server.fault("2026-07-01.zip$", status(404), times=10)
    result = place.fetch(selection("BTCUSDT", datasets=frozenset({"klines"})))
    assert [one.outcome for one in result.fetched].count("missing") == 1
    assert len(place.files) == 3
    assert result.exit_status == 0


def test_a_stale_checksum_is_read_once_more(place: Place) -> None:
    key = f"{KLINES}BTCUSDT-5m-2026-07-01.zip"
    place.server.fault(f"{key}.CHECKSUM", status(200, b"0" * 64 + b"  old"))
    result = place.fetch(selection("BTCUSDT"))
    assert result.exit_status == 0
    assert key in place.files


def test_a_wrong_checksum_puts_the_file_aside_and_does_not_loop(place: Place) -> None:
    key = f"{KLINES}BTCUSDT-5m-2026-07-01.zip"
    stored = place.server.files[key]
    stored.checksum = b"0" * 64 + b"  " + Path(key).name.encode()
    result = place.fetch(selection("BTCUSDT"))
    assert result.exit_status == 1
    assert key not in place.files
    assert (place.warehouse.data / ".loaders/aside" / key).read_bytes() == stored.content
    assert len(place.server.asked(f"{key}$")) == 2
    # It is left alone until it changes in the archive.
    place.server.log.clear()
    again = place.fetch(selection("BTCUSDT"))
    assert ([one.key for one in again.aside], again.exit_status) == ([key], 0)
    assert place.server.asked("zip") == []
    place.server.put(key, stored.content, day=3)
    assert [one.file.key for one in place.fetch(selection("BTCUSDT")).wanted] == [key]
    assert key in place.files


def test_a_zip_with_the_published_checksum_that_does_not_unpack_is_put_aside(place: Place) -> None:
    key = f"{KLINES}BTCUSDT-5m-2026-07-01.zip"
    damaged = bytearray(place.server.files[key].content)
    damaged[60] ^= 0xFF
    place.server.put(key, bytes(damaged))
    assert place.fetch(selection("BTCUSDT")).exit_status == 1
    assert key not in place.files


def test_without_a_published_checksum_the_zip_s_own_sums_count(place: Place) -> None:
    key = f"{KLINES}BTCUSDT-5m-2026-07-01.zip"
    place.server.files[key].checksum = None
    result = place.fetch(selection("BTCUSDT"))
    assert [one.file.key for one in result.fetched if one.outcome == "unverified"] == [key]


def test_a_file_that_changed_is_fetched_again_and_replaced_by_the_next_load(place: Place, published: Path) -> None:
    place.fetch(selection("BTCUSDT"))
    place.warehouse.load()
    name = f"{KLINES}BTCUSDT-5m-2026-07-02.csv"
    other = archive.write(published / ".." / "other" / name, (published / name).read_text().replace(",7,", ",8,"))
    key = place.server.publish(other, other.parents[name.count("/")], day=5)
    result = place.fetch(selection())
    assert [(one.file.key, one.reason) for one in result.wanted] == [(key, "changed in the archive")]
    place.warehouse.load()
    assert place.warehouse.query("select count(*) from ops.ingestion_files where status = 'replaced'") == [(1,)]


def test_files_that_others_put_there_are_taken_as_they_are(place: Place) -> None:
    for key, stored in place.server.files.items():
        archive.write(place.warehouse.data / key, stored.content)
    place.server.log.clear()
    assert place.fetch(selection()).wanted == []
    assert place.server.asked("zip$") == []


def test_a_blocked_address_ends_everything_with_one_message(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.server.fault("zip", status(403, b"<html>blocked</html>"), times=1000)
    with pytest.raises(AddressBlocked):
        place.fetch(selection("BTCUSDT"))
    # Not more than were under way.
    assert len(place.server.asked("zip")) <= 4
    assert "blocked" not in capsys.readouterr().err


def test_two_at_once_into_one_folder_are_one_too_many(place: Place) -> None:
    with fetch_lock(place.warehouse.data), pytest.raises(FetchBusy, match="try later"):
        place.fetch(selection("BTCUSDT"))


def test_recorded_liquidations_lie_under_a_root_of_their_own(place: Place, tmp_path: Path) -> None:
    at = archive.day("2023-12-01")
    name = "BTCUSDT-liquidationSnapshot-2023-12-01.csv"
    row = f"{archive.milliseconds(at)},SELL,LIMIT,IOC,0.5,100.1,100.2,FILLED,0.5,0.5"
    source = archive.write(tmp_path / "root" / f"data3/liquidationSnapshot/BTCUSDT/{name}", [archive.ORDERS, row])
    key = place.server.publish(source, tmp_path / "root")
    place.fetch(selection("BTCUSDT", datasets=frozenset({"liquidations"})))
    assert list(place.files) == [key]
    place.warehouse.load()
    assert place.warehouse.query("select market, symbol, side from raw.binance_liquidations") == [
        ("um", "BTCUSDT", "SELL")
    ]


def test_mark_price_candles_come_on_request(place: Place, tmp_path: Path) -> None:
    source = klines(tmp_path / "root", "2026-07-01", "markPriceKlines")
    key = place.server.publish(source, tmp_path / "root")
    result = place.fetch(selection("BTCUSDT", datasets=frozenset({"klines"})), kline_types=("mark",))
    assert [one.file.key for one in result.wanted] == [key]


def test_a_tier_is_the_archive_s_symbols_of_its_assets(place: Place) -> None:
    place.server.put("data/futures/um/monthly/klines/DOGEUSDT/5m/DOGEUSDT-5m-2026-06.zip", b"")
    result = place.fetch(Selection(assets=frozenset({"BTC", "ETH"}), datasets=frozenset({"klines"})), dry_run=True)
    assert {one.file.name.partition("-")[0] for one in result.wanted} == {"BTCUSDT"}


def slow(handler: Handler) -> bool:
    """Passes a request on after a while."""
    time.sleep(0.02)
    return False


def test_killed_at_any_moment_and_run_again_the_same_files(place: Place, tmp_path: Path) -> None:
    """SIGKILL at random moments: under a final name stands a whole file or none, and the next run goes on."""
    whole = {key: hashlib.sha256(stored.content).hexdigest() for key, stored in place.server.files.items()}
    rng = random.Random(7)
    command = [sys.executable, "-m", "loaders", "fetch", "--symbol", "BTCUSDT", "--start", "2026-06-02"]
    environment = place.warehouse.whole_environment | {
        f"LOADERS_{name.upper()}": str(value) for name, value in replay.settings_for(place.address).items()
    }
    # Slow enough to be met on the way.
    place.server.fault("zip", slow, times=10**6)
    for _ in range(4):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5 + rng.random() * 0.8)
        process.send_signal(signal.SIGKILL)
        process.wait()
        final = {name: sha for name, sha in place.files.items() if not name.endswith(".part")}
        assert final.items() <= whole.items()
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0
    assert all(name.endswith(".zip") for name in place.files)
    assert len(place.files) == 29 + 2 + 2 + 1
    for name in place.files:
        with zipfile.ZipFile(place.warehouse.data / name) as opened:
            assert opened.testzip() is None
