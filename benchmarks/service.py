"""The service under load: 16 clients, a new publication every few seconds, and its memory over many publications.

    python benchmarks/service.py PUBLISHED.duckdb [--seconds 60] [--every 10] [--clients 16] [--publications 100]

PUBLISHED is copied; each publication is the same file with another job's name. Clients ask one address after the other
without a pause, so that the times are those of a service that is asked as fast as it answers; `alone` is one client.
Every answer must be 200 and of the publication that its `ETag` names.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import duckdb
import httpx2

ADDRESSES = (
    "/health",
    "/api/symbols",
    "/api/klines?symbol={symbol}&limit=1000",
    "/api/open-interest?symbol={symbol}&limit=1000",
    "/api/liquidations/levels?symbol={symbol}&limit=1000",
    "/api/liquidations/map?symbol={symbol}",
    "/api/liquidations/heatmap?symbol={symbol}&step=240&bins=200",
    "/api/backtest",
    "/api/gaps",
    "/api/quality",
    "/api/status",
)


def publish(source: Path, target: Path, number: int) -> None:
    """Puts a copy with another job's name in the file's place, by rename."""
    part = target.with_name("part.duckdb")
    shutil.copy(source, part)
    part.chmod(0o644)
    with duckdb.connect(str(part)) as connection:
        connection.execute(f"update published set job_id = 'job {number}', published_at = now()::timestamp")
        connection.execute("checkpoint")
    part.replace(target)


def memory(process: int) -> float:
    """MB that the process holds."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def ask(address: str, symbols: list[str], end: float, times: dict[str, list[float]], errors: list[str]) -> None:
    """One client. It reads an answer and looks for its publication's name: what takes longer would time the client."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    number = 0
    while time.monotonic() < end:
        path = ADDRESSES[number % len(ADDRESSES)]
        symbol = symbols[number // len(ADDRESSES) % len(symbols)]
        number += 1
        began = time.perf_counter()
        try:
            connection.request("GET", path.format(symbol=symbol))
            found = connection.getresponse()
            body = found.read()
        except (OSError, http.client.HTTPException) as error:
            errors.append(f"{path}: {error!r}")
            connection.close()
            continue
        times[path].append((time.perf_counter() - began) * 1000)
        if found.status != 200:
            errors.append(f"{path}: {found.status} {body[:200]!r}")
        elif (tag := found.headers.get("ETag")) and tag.strip('"').rpartition("-")[0].encode() not in body:
            errors.append(f"{path}: {tag} is of another publication than the answer")
    connection.close()


def load(address: str, symbols: list[str], clients: int, seconds: float) -> tuple[dict[str, list[float]], list[str]]:
    """Several clients at once."""
    times: list[dict[str, list[float]]] = [defaultdict(list) for _ in range(clients)]
    errors: list[str] = []
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=ask, args=(address, symbols, end, times[number], errors)) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together: dict[str, list[float]] = defaultdict(list)
    for one in times:
        for path, found in one.items():
            together[path] += found
    return together, errors


def tell(title: str, times: dict[str, list[float]], errors: list[str]) -> None:
    """p50 and p99 in milliseconds."""
    print(f"\n{title}: {sum(map(len, times.values())):,} answers, {len(errors)} errors {errors[:3] if errors else ''}")
    for path in ADDRESSES:
        if found := times.get(path):
            p99 = statistics.quantiles(found, n=100)[98] if len(found) > 1 else found[0]
            print(f"  {path:62} {statistics.median(found):8.1f} ms p50 {p99:8.1f} ms p99 {len(found):7,}")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("published", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--publications", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "marts.duckdb"
        publish(given.published, target, 0)
        server = subprocess.Popen(
            [sys.executable, "-m", "loaders", "serve", "--port", "0"],
            env={**os.environ, "LOADERS_PUBLISHED": str(target)},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "listening on" in line)
            threading.Thread(target=server.stderr.read, daemon=True).start()
            address = line.split("listening on ")[1].strip()
            symbols = [row["symbol"] for row in httpx2.get(f"{address}/api/symbols").json()["rows"]]
            tell("alone", *load(address, symbols, 1, 10))
            stop = threading.Event()

            def publishing() -> None:
                number = 1
                while not stop.wait(given.every):
                    publish(given.published, target, number)
                    number += 1

            thread = threading.Thread(target=publishing)
            thread.start()
            tell(
                f"{given.clients} clients, a publication every {given.every:g} s",
                *load(address, symbols, given.clients, given.seconds),
            )
            stop.set()
            thread.join()
            print("\nMemory of the service after publications")
            for number in range(given.publications):
                publish(given.published, target, 1000 + number)
                load(address, symbols, 2, 0.3)
                if (number + 1) % max(1, given.publications // 10) == 0:
                    print(f"  {number + 1:4} {memory(server.pid):8.1f} MB")
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
