"""A server on loopback that stands for the exchanges: the archive with its listing, Binance's REST and Kraken's.

It answers as the real servers do, limits and bans included, from files and rows of `tests.support.archive`, by a clock
that the test sets. `faults` make chosen requests go wrong; `log` has every request, in order.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support import archive
from tests.support.archive import milliseconds

WEIGHT_A_MINUTE = 2400
_SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_INTERVALS = {"1m": 1, "5m": 5, "1h": 60}

Act = Callable[["Handler"], bool]
"""Answers a request itself and says True, or lets it pass."""


@dataclass
class Fault:
    """Goes wrong `times` times at requests whose path and query match."""

    pattern: str
    act: Act
    times: int = 1


@dataclass
class Stored:
    """A file of the archive."""

    content: bytes
    modified: datetime
    checksum: bytes | None
    etag: str


@dataclass
class Replay:
    """What the server has, and what it did."""

    now: datetime
    files: dict[str, Stored] = field(default_factory=dict)
    junk: list[str] = field(default_factory=list)
    page_size: int = 1000
    ranges: bool = True
    faults: list[Fault] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    absent: Callable[[str, datetime], bool] = lambda symbol, at: False
    symbols: frozenset[str] = frozenset({"BTCUSDT", "ETHUSDT"})
    pairs: dict[str, str] = field(default_factory=lambda: {"XBTUSD": "XXBTZUSD", "XDGUSD": "XDGUSD"})
    kraken_answer: dict[str, Any] | None = None
    weight_limit: int = WEIGHT_A_MINUTE
    minute_seconds: float = 60
    bans: int = 0
    weights: list[tuple[float, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, path: Path, root: Path, *, checksum: bool = True, day: int = 2) -> str:
        """Takes a CSV that lies in the archive's layout below `root` into the archive, zipped; returns its key."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
        key = str(path.relative_to(root).with_suffix(".zip"))
        self.put(key, packed.getvalue(), checksum=checksum, day=day)
        return key

    def put(self, key: str, content: bytes, *, checksum: bool = True, day: int = 2) -> None:
        """A file under a key."""
        told = f"{hashlib.sha256(content).hexdigest()}  {key.rpartition('/')[2]}\n".encode() if checksum else None
        modified = datetime(2026, 7, day, tzinfo=UTC)
        self.files[key] = Stored(content, modified, told, hashlib.md5(content).hexdigest())

    def asked(self, pattern: str = "") -> list[str]:
        """Requests that match."""
        return [line for line in self.log if re.search(pattern, line)]

    def fault(self, pattern: str, act: Act, times: int = 1) -> None:
        """Adds a fault."""
        self.faults.append(Fault(pattern, act, times))


def status(code: int, body: bytes = b"", **headers: str) -> Act:
    """Answers with a status; underscores in the headers' names are dashes."""

    def act(handler: Handler) -> bool:
        handler.answer(body, code, {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return act


def cut(after: int = 0) -> Act:
    """Resets the connection, `after` bytes of the body at the earliest; 0: before any answer."""

    def act(handler: Handler) -> bool:
        handler.cut_after = after
        if after == 0:
            handler.reset()
            return True
        return False

    return act


def shorter_by(size: int) -> Act:
    """Announces the whole body and ends the connection before its last bytes."""

    def act(handler: Handler) -> bool:
        handler.missing_bytes = size
        return False

    return act


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: the second must not wait for the first one's receipt.
    disable_nagle_algorithm = True
    replay: Replay
    cut_after: int | None
    missing_bytes: int

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps standard error quiet."""

    def do_GET(self) -> None:
        """Answers, or goes wrong."""
        self.cut_after, self.missing_bytes = None, 0
        replay = self.replay
        with replay.lock:
            replay.log.append(unquote(self.path))
            fault = next((one for one in replay.faults if one.times and re.search(one.pattern, self.path)), None)
            if fault:
                fault.times -= 1
        if fault and fault.act(self):
            return
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/listing"):
            self.answer(_listing(replay, query), headers={"Content-Type": "application/xml"})
        elif parts.path.startswith(("/fapi", "/futures/data")):
            self._binance(parts.path, query)
        elif parts.path.startswith("/0/public/OHLC"):
            self.answer(json.dumps(_kraken(replay, query)).encode())
        else:
            self._file(unquote(parts.path).lstrip("/"))

    def answer(self, body: bytes, code: int = 200, headers: dict[str, str] | None = None) -> None:
        """A whole answer, but for what a fault takes away."""
        self.send_response_only(code)
        self.send_header("Date", format_datetime(self.replay.now, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.cut_after is not None:
            self.wfile.write(body[: self.cut_after])
            self.wfile.flush()
            self.reset()
        elif self.missing_bytes:
            self.wfile.write(body[: -self.missing_bytes])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def reset(self) -> None:
        """Ends the connection as a cut cable does."""
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _file(self, key: str) -> None:
        told = key.endswith(".CHECKSUM")
        stored = self.replay.files.get(key.removesuffix(".CHECKSUM"))
        if stored is None or (told and stored.checksum is None):
            self.answer(b"<Error><Code>NoSuchKey</Code></Error>", 404)
            return
        if told:
            self.answer(stored.checksum or b"")
            return
        headers = {"ETag": f'"{stored.etag}"'}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and self.replay.ranges and self.headers.get("If-Range") == f'"{stored.etag}"':
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(stored.content) - 1}/{len(stored.content)}"
            self.answer(stored.content[start:], 206, headers)
        else:
            self.answer(stored.content, 200, headers)

    def _binance(self, path: str, query: dict[str, str]) -> None:
        replay = self.replay
        limit = int(query.get("limit", "30"))
        weight = 0
        if "lines" in path:
            weight = 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
        with replay.lock:
            now = time.monotonic()
            replay.weights = [(at, cost) for at, cost in replay.weights if at > now - replay.minute_seconds]
            replay.weights.append((now, weight))
            used = sum(cost for _, cost in replay.weights)
        if used > replay.weight_limit:
            replay.bans += 1
            self.answer(b'{"code":-1003,"msg":"Too many requests"}', 429)
            return
        headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
        symbol = query.get("symbol", "")
        if symbol not in replay.symbols:
            if path.endswith("fundingRate"):
                self.answer(b"[]", headers=headers)
            else:
                self.answer(b'{"code":-1121,"msg":"Invalid symbol."}', 400, headers)
            return
        start, end = (datetime.fromtimestamp(int(query[name]) / 1000, UTC) for name in ("startTime", "endTime"))
        if path.endswith("openInterestHist"):
            if start < replay.now - timedelta(days=30):
                self.answer(b'{"code":-1130,"msg":"parameter \'startTime\' is invalid."}', 400, headers)
                return
            rows: Sequence[Any] = list(_snapshots(replay, symbol, start, end))[-min(limit, 500) :]
        elif path.endswith("fundingRate"):
            rows = list(_rates(replay, symbol, start, end))[: min(limit, 1000)]
        else:
            rows = list(_candles(replay, symbol, query["interval"], start, end))[: min(limit, 1500)]
        self.answer(json.dumps(rows).encode(), headers=headers)


def _grid(start: datetime, end: datetime, minutes: int) -> Iterator[datetime]:
    step = minutes * 60
    first = math.ceil(start.timestamp() / step) * step
    for seconds in range(first, int(end.timestamp()) + 1, step):
        yield datetime.fromtimestamp(seconds, UTC)


def _candles(replay: Replay, symbol: str, interval: str, start: datetime, end: datetime) -> Iterator[list[Any]]:
    """All that have begun: the last one is still forming."""
    minutes = _INTERVALS[interval]
    for at in _grid(start, min(end, replay.now), minutes):
        if not replay.absent(symbol, at):
            opened, high, low, closed, volume = archive.candle(symbol, at, minutes)
            quote = volume * (high + low) / 2
            yield [
                milliseconds(at),
                *(str(price) for price in (opened, high, low, closed)),
                str(volume),
                milliseconds(at + timedelta(minutes=minutes)) - 1,
                f"{quote:.5f}",
                minutes * 10,
                f"{volume / 2:.4f}",
                f"{quote / 2:.5f}",
                "0",
            ]


def _snapshots(replay: Replay, symbol: str, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    for at in _grid(start, min(end, replay.now), 5):
        if not replay.absent(symbol, at):
            contracts = archive.open_interest_at(symbol, at)
            yield {
                "symbol": symbol,
                "sumOpenInterest": str(contracts),
                "sumOpenInterestValue": str(contracts * archive.price_at(symbol, at)),
                "timestamp": milliseconds(at),
            }


def _rates(replay: Replay, symbol: str, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    for at in _grid(start - timedelta(seconds=1), min(end, replay.now), 480):
        time_ms = milliseconds(at) + archive.noise("late", symbol, milliseconds(at)) % 9
        if milliseconds(start) <= time_ms <= milliseconds(end):
            yield {"symbol": symbol, "fundingTime": time_ms, "fundingRate": "0.00010000", "markPrice": "100.5"}


def _kraken(replay: Replay, query: dict[str, str]) -> dict[str, Any]:
    if replay.kraken_answer is not None:
        return replay.kraken_answer
    if query["pair"] not in replay.pairs:
        return {"error": ["EQuery:Unknown asset pair"]}
    minutes = int(query["interval"])
    times = list(_grid(replay.now - timedelta(minutes=719 * minutes + minutes), replay.now, minutes))[-720:]
    rows = []
    for at in times:
        if at.timestamp() > int(query["since"]):
            opened, high, low, closed, volume = archive.candle(query["pair"], at, 1)
            traded = not replay.absent(query["pair"], at)
            rows.append(
                [
                    int(at.timestamp()),
                    *(str(price) for price in (opened, high, low, closed)),
                    str(closed),
                    str(volume) if traded else "0",
                    7 if traded else 0,
                ]
            )
    return {"error": [], "result": {replay.pairs[query["pair"]]: rows, "last": rows[-2][0] if len(rows) > 1 else 0}}


def _listing(replay: Replay, query: dict[str, str]) -> bytes:
    """A page of the bucket's listing, as S3 writes it."""
    prefix, marker, delimiter = (query.get(name, "") for name in ("prefix", "marker", "delimiter"))
    keys = dict(replay.files)
    names = [*keys, *(f"{key}.CHECKSUM" for key, stored in keys.items() if stored.checksum), *replay.junk]
    entries: dict[str, bool] = {}
    for name in sorted(names):
        if name.startswith(prefix):
            inner = name[len(prefix) :].partition(delimiter) if delimiter else (name[len(prefix) :], "", "")
            entry = prefix + inner[0] + inner[1]
            if entry > marker:
                entries[entry] = bool(inner[1])
    page = list(entries.items())[: replay.page_size]
    truncated = len(entries) > len(page)
    body = [f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="{_SPACE}"><Name>data</Name>']
    body.append(f"<Prefix>{escape(prefix)}</Prefix><Marker>{escape(marker)}</Marker>")
    if truncated and delimiter:
        body.append(f"<NextMarker>{escape(page[-1][0])}</NextMarker>")
    body.append(f"<MaxKeys>1000</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>")
    for name, is_folder in page:
        if is_folder:
            body.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
            continue
        stored = keys.get(name)
        size = len(stored.content) if stored else 100
        tag = stored.etag if stored else "0" * 32
        when = stored.modified if stored else datetime(2026, 7, 1, tzinfo=UTC)
        body.append(
            f"<Contents><Key>{escape(name)}</Key><LastModified>{when:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
            f"<ETag>&quot;{tag}&quot;</ETag><Size>{size}</Size></Contents>"
        )
    return ("".join(body) + "</ListBucketResult>").encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that ends a connection is no news."""


@contextmanager
def serve(replay: Replay) -> Iterator[str]:
    """The server's address, while it runs on loopback."""
    handler = type("BoundHandler", (Handler,), {"replay": replay})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def settings_for(address: str) -> dict[str, Any]:
    """Settings of the loaders that ask this server, and lose no time."""
    return {
        "binance_archive_url": address,
        "binance_listing_url": f"{address}/listing",
        "binance_rest_url": address,
        "kraken_rest_url": address,
        "kraken_seconds_between": 0,
        "first_pause_seconds": 0.01,
        "longest_pause_seconds": 0.05,
        "connections": 4,
    }
