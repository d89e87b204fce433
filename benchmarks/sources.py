"""Downloads, backfill and Kraken's zips against the least that they could cost: ratios of things measured in one run.

    python benchmarks/sources.py FOLDER [small|large|requests|kills|kraken|completeness]

`small`: 1,000 small files and their checksums from a server on loopback, against curl with the same list and number of
connections. `large`: 5 files of 200 MB, the same way. `requests`: 30 days of candles, open interest and funding of ten
symbols, against the fewest requests that hold so many rows; the server counts weights and would refuse. `kills`: a
fetch and its load, killed at 30 random moments and run again. `kraken`: 10 M candles in a zip of 2,000 members, landed
as a user does, against the bare insert of the same CSVs. `completeness`: the report over 500 pairs of 8 intervals (a
landing of about 2.5 M candles, and a build), against the time of the landing.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from loaders.progress import Lines  # noqa: E402
from loaders.runs import backfill as backfilling  # noqa: E402
from loaders.runs.sourcing import SourceRequest  # noqa: E402
from loaders.selection import Selection  # noqa: E402
from loaders.settings import Settings  # noqa: E402
from tests.support import replay  # noqa: E402
from tests.support.replay import Replay  # noqa: E402

NOW = datetime(2026, 7, 4, 0, 2, 30, tzinfo=UTC)
DAILY = "data/futures/um/daily/klines/{0}/5m/{0}-5m-{1}"
CONNECTIONS = 8


def zipped(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip as the archive packs it."""
    import io

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.csv"), content, method)
    return packed.getvalue()


def day_of_candles(symbol: str, day: datetime) -> bytes:
    """288 candles, about 30 kB."""
    start = int(day.timestamp() * 1000)
    rows = (
        f"{start + place * 300_000},100.{place:03},101.5,99.5,100.1,{place}.125,{start + place * 300_000 + 299_999},"
        f"{place * 100}.5,{place},1.5,150.25,0\n"
        for place in range(288)
    )
    return "".join(rows).encode()


def many_small() -> Replay:
    """100 days of ten symbols."""
    server = Replay(NOW)
    for number in range(10):
        for back in range(100):
            symbol, day = f"C{number}USDT", NOW.replace(hour=0, minute=0, second=0) - timedelta(days=1 + back)
            name = DAILY.format(symbol, f"{day:%Y-%m-%d}")
            server.put(f"{name}.zip", zipped(name.rpartition("/")[2], day_of_candles(symbol, day)))
    return server


def few_large() -> Replay:
    """Five days of 200 MB each, which do not shrink."""
    server = Replay(NOW)
    for back in range(5):
        name = DAILY.format("C0USDT", f"{NOW - timedelta(days=1 + back):%Y-%m-%d}")
        server.put(f"{name}.zip", zipped(name.rpartition("/")[2], os.urandom(200 * 10**6), zipfile.ZIP_STORED))
    return server


@contextmanager
def apart(make: str) -> Iterator[tuple[str, list[str]]]:
    """The server as a process of its own: its address and the keys it has."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(make, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(make: str, pipe: Connection) -> None:
    server = globals()[make]()
    with replay.serve(server) as address:
        keys = [key + end for key, stored in server.files.items() for end in ("", ".CHECKSUM")]
        pipe.send((address, keys))
        signal.pause()


def environment(folder: Path, address: str) -> dict[str, str]:
    """Of a command that asks the server."""
    settings = replay.settings_for(address) | {"connections": CONNECTIONS, "first_pause_seconds": 0.5}
    # Whoever has run a command before has its modules compiled.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {
        "LOADERS_WAREHOUSE": str(folder / "warehouse.duckdb"),
        "LOADERS_DATA_DIR": str(folder / "data_dir"),
        **{f"LOADERS_{name.upper()}": str(value) for name, value in settings.items()},
    }


def fetch_command(*more: str) -> list[str]:
    """All that the servers here have."""
    symbols = [word for number in range(10) for word in ("--symbol", f"C{number}USDT")]
    return [sys.executable, "-m", "loaders", "fetch", *symbols, "--dataset", "klines", *more]


def against_curl(folder: Path, make: str, most: float) -> None:
    """Seconds of `loaders fetch`, listing, start of the process and disk syncs included, ÷ those of curl; best of 3."""
    with apart(make) as (address, keys):
        ours, theirs, synced = [], [], []
        for attempt in range(3):
            place = folder / f"fetch{attempt}"
            began = time.perf_counter()
            done = subprocess.run(
                fetch_command(), env=environment(place, address), cwd=ROOT, capture_output=True, check=False
            )
            ours.append(time.perf_counter() - began)
            assert done.returncode == 0, done.stderr.decode()
            assert len(list(place.rglob("*.zip"))) == len(keys) // 2
            target = folder / f"curl{attempt}"
            target.mkdir()
            config = target / "list.txt"
            lines = (f'url = "{address}/{key}"\noutput = "{target}/{key.rpartition("/")[2]}"\n' for key in keys)
            config.write_text("".join(lines))
            command = [
                "curl",
                "--silent",
                "--fail",
                "--parallel",
                "--parallel-max",
                str(CONNECTIONS),
                "--config",
                str(config),
            ]
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            theirs.append(time.perf_counter() - began)
            # What `fetch` does besides: hash, hold against the checksum, sync.
            sums = "cat *.CHECKSUM | sha256sum --check --quiet && sync *.zip"
            subprocess.run(["sh", "-c", sums], cwd=target, check=True)
            synced.append(time.perf_counter() - began)
            # Nothing is removed before the end: ext4 passes over inodes that were freed lately, one by one, which takes
            # whoever writes next longer than the writing.
    print(
        f"{len(keys) // 2} files: fetch {min(ours):.2f} s, curl {min(theirs):.2f} s, "
        f"ratio {min(ours) / min(theirs):.2f} (at most {most}); "
        f"curl, sha256sum and sync {min(synced):.2f} s, ratio {min(ours) / min(synced):.2f}"
    )


def requests(folder: Path) -> None:
    """Requests ÷ the fewest that hold 30 days of ten symbols; limits passed."""
    symbols = [f"C{number}USDT" for number in range(10)]
    server = Replay(NOW, symbols=frozenset(symbols))
    # A half hour short of the 30 days of open interest that the exchange keeps.
    start = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=29)
    with replay.serve(server) as address:
        settings = Settings(project_dir=ROOT, **replay.settings_for(address))
        request = SourceRequest((folder / "data_dir",), Selection(symbols=frozenset(symbols), start=start))
        began = time.perf_counter()
        result = backfilling.backfill(settings, folder / "warehouse.duckdb", request, Lines(), now=NOW)
        seconds = time.perf_counter() - began
    assert {one.outcome for one in result.attempts} == {"filled"}
    rows = 29 * 288
    least = 10 * (-(-rows // 1500) + -(-(rows + 1) // 500) + 1)
    print(
        f"{len(server.log)} requests, at least {least}: ratio {len(server.log) / least:.3f} (at most 1.1); "
        f"{result.rows:,} rows in {seconds:.0f} s; refused by the server's limits: {server.bans}"
    )


def hashes(folder: Path) -> dict[str, str]:
    """Hash of each file that a load would see."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def rows_of(warehouse: Path) -> list[tuple[object, ...]]:
    """What is in raw, in an order of its own."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute("select * exclude (file_id) from raw.binance_klines order by all").fetchall()


def kills(folder: Path, times: int = 30) -> None:
    """Fetch and load, killed at random moments until 30 kills have hit, then run to the end."""
    rng = random.Random(20)
    with apart("many_small") as (address, _):
        whole = folder / "whole"
        killed = folder / "killed"
        load = [sys.executable, "-m", "loaders", "load"]
        for command in (fetch_command(), load):
            subprocess.run(command, env=environment(whole, address), cwd=ROOT, check=True, capture_output=True)
        hit = partial = 0
        while hit < times:
            for command, longest in ((fetch_command(), 3.5), (load, 2.5)):
                (killed / "data_dir").mkdir(parents=True, exist_ok=True)
                process = subprocess.Popen(command, env=environment(killed, address), cwd=ROOT, stdout=-3, stderr=-3)
                try:
                    process.wait(rng.uniform(0.3, longest))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    hit += 1
                found = hashes(killed / "data_dir")
                expected = hashes(whole / "data_dir")
                partial += any(expected.get(name) != sha for name, sha in found.items() if name.endswith(".zip"))
            if hit % 6 == 0:
                # Begins again, so that kills meet all stages.
                shutil.rmtree(killed)
        (killed / "data_dir").mkdir(parents=True, exist_ok=True)
        for command in (fetch_command(), load):
            subprocess.run(command, env=environment(killed, address), cwd=ROOT, check=True, capture_output=True)
        same_files = hashes(whole / "data_dir") == hashes(killed / "data_dir")
        same_rows = rows_of(whole / "warehouse.duckdb") == rows_of(killed / "warehouse.duckdb")
    print(f"{hit} kills: partial files under a final name {partial}, same files {same_files}, same rows {same_rows}")


def kraken_zip(target: Path, pairs: list[str], minutes: list[int], rows: int, csvs: Path | None = None) -> int:
    """A zip with a member for each pair and length of candles, of `rows` rows; returns how many rows it has."""
    start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for place, pair in enumerate(pairs):
            for length in minutes:
                price = 100 + place % 900
                text = "".join(
                    f"{start + row * length * 60},{price}.{row % 97:02},{price + 2}.5,{price - 1}.25,"
                    f"{price + 1}.{row % 89:02},{row % 1000}.{row * 7919 % 10**8:08},{row % 50 + 1}\n"
                    for row in range(rows)
                )
                archive.writestr(f"{pair}_{length}.csv", text)
                if csvs is not None:
                    csvs.mkdir(exist_ok=True)
                    (csvs / f"{pair}_{length}.csv").write_text(text)
    return rows * len(pairs) * len(minutes)


BARE = """
import sys, duckdb
from pathlib import Path
connection = duckdb.connect(sys.argv[1])
connection.execute(
    "create table ohlcvt (pair varchar, interval_minutes integer, time timestamp, open decimal(38, 15),"
    " high decimal(38, 15), low decimal(38, 15), close decimal(38, 15), volume decimal(38, 15), trades bigint)"
)
connection.execute(
    "insert into ohlcvt select 'XBTUSD', 60, make_timestamp(time * 1000000), open, high, low, close, volume, trades"
    " from read_csv($1, auto_detect = false, header = false, delim = ',', columns = {'time': 'BIGINT',"
    " 'open': 'DECIMAL(18, 8)', 'high': 'DECIMAL(18, 8)', 'low': 'DECIMAL(18, 8)', 'close': 'DECIMAL(18, 8)',"
    " 'volume': 'DECIMAL(18, 8)', 'trades': 'BIGINT'})",
    [sorted(str(path) for path in Path(sys.argv[2]).iterdir())],
)
connection.close()
"""


def land(folder: Path) -> float:
    """Seconds of a load as a user runs it."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "loaders", "load"],
        env=environment(folder, ""),
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return time.perf_counter() - began


def kraken(folder: Path) -> None:
    """Rows a second of a zip of 2,000 members ÷ those of one bare insert of all its CSVs, unpacked.

    The bare insert reads 18 digits, which its rows never pass: with the 38 that raw keeps the engine takes many times
    as long.
    """
    pairs = [f"A{number:03}USD" for number in range(250)]
    csvs = folder / "csvs"
    rows = kraken_zip(folder / "data_dir/Kraken_OHLCVT.zip", pairs, [1, 5, 15, 30, 60, 240, 720, 1440], 5000, csvs)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE, str(folder / "bare.duckdb"), str(csvs)], check=True)
    bare = time.perf_counter() - began
    ours = land(folder)
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        counted = connection.execute(
            "select (select count(*) from raw.kraken_ohlcvt), (select count(*) from ops.ingestion_files)"
        ).fetchone()
    assert counted == (rows, 2000), counted
    print(
        f"{rows:,} rows in 2,000 members: landed in {ours:.1f} s ({rows / ours:,.0f} rows/s), bare insert {bare:.1f} s "
        f"({rows / bare:,.0f} rows/s), ratio {bare / ours:.2f} (at least 0.6)"
    )


def completeness(folder: Path) -> None:
    """Seconds of the report ÷ those of the landing it is about."""
    pairs = [f"A{number:03}USD" for number in range(500)]
    rows = kraken_zip(folder / "data_dir/Kraken_OHLCVT.zip", pairs, [1, 5, 15, 30, 60, 240, 720, 1440], 625)
    landing = land(folder)
    began = time.perf_counter()
    subprocess.run(
        ["dbt", "build", "--quiet", "--select", "+data_completeness", "+data_gaps", "--exclude-resource-type", "test"],
        env=environment(folder, "") | {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")},
        cwd=ROOT,
        check=True,
    )
    build = time.perf_counter() - began
    began = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "-m", "loaders", "status", "--completeness"],
        env=environment(folder, ""),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    report = time.perf_counter() - began
    print(
        f"{rows:,} rows landed in {landing:.1f} s, built in {build:.1f} s; "
        f"report of {len(shown.splitlines()) - 1} series in {report:.2f} s, "
        f"{report / landing:.3f} of the landing (below 0.1)"
    )


PARTS: dict[str, Callable[[Path], object]] = {
    "small": lambda folder: against_curl(folder, "many_small", 2),
    "large": lambda folder: against_curl(folder, "few_large", 1.2),
    "requests": requests,
    "kills": kills,
    "kraken": kraken,
    "completeness": completeness,
}


def main() -> None:
    """Runs the parts that are named, or all."""
    folder = Path(sys.argv[1]).absolute()
    for name in sys.argv[2:] or PARTS:
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        print(f"{name}: ", end="", flush=True)
        PARTS[name](place)
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
