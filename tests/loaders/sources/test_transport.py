"""What ends an answer that is on its way, and whom the connections trust."""

from __future__ import annotations

import errno
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from loaders.signals import Interrupted, raise_on_signal
from loaders.sources import transport
from loaders.sources.transport import Connections, Ended, Headers, Response, Stopped, TransferFailed
from tests.support import replay
from tests.support.replay import Handler, Replay, cut, shorter_by, status

KEY = "data/a/x.zip"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a file whose server takes the question and says nothing."""
    ended = threading.Event()

    def wait(_: Handler) -> bool:
        ended.wait(30)
        return False

    server = Replay(datetime(2026, 7, 10, tzinfo=UTC))
    server.put(KEY, b"content")
    server.fault("x.zip", wait)
    with replay.serve(server) as address:
        yield f"{address}/{KEY}"
        ended.set()


def test_closing_ends_what_waits_for_an_answer(silent: str) -> None:
    connections = Connections("test")
    threading.Timer(0.2, connections.close).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        connections.get(silent, {})
    assert time.monotonic() - began < 5


def test_a_signal_ends_what_waits_for_an_answer(silent: str) -> None:
    began = time.monotonic()
    later = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    later.start()
    with pytest.raises(Interrupted), raise_on_signal():
        Connections("test").get(silent, {})
    assert time.monotonic() - began < 5


def test_a_full_disk_is_told_as_such() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(_: bytes) -> None:
        raise full

    server = Replay(datetime(2026, 7, 10, tzinfo=UTC))
    server.put(KEY, b"content")
    with replay.serve(server) as address, pytest.raises(OSError, match="No space left") as caught:
        Connections("test").get(f"{address}/{KEY}", {}, lambda _: refuse)
    assert caught.value is full


def test_many_transfers_of_one_thread_end_each_in_its_own_way() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(_: bytes) -> None:
        raise full

    server = Replay(datetime(2026, 7, 10, tzinfo=UTC))
    for name in ("whole", "reset", "short", "busy", "full"):
        server.put(f"data/{name}.zip", name.encode() * 1000)
    server.fault("reset", cut(10))
    server.fault("short", shorter_by(7))
    server.fault("busy", status(429, b"too many", Retry_After="7"))
    ended: dict[str, Ended] = {}
    pieces: list[bytes] = []
    with replay.serve(server) as address, Connections("test").together() as transfers:
        for name in ("whole", "reset", "short", "busy", "full", "none"):
            take = {"whole": pieces.append, "full": refuse}.get(name)
            transfers.start(
                f"{address}/data/{name}.zip",
                lambda _, take=take: take,  # type: ignore[misc]
                lambda outcome, name=name: ended.update({name: outcome}),  # type: ignore[misc]
            )
        until = time.monotonic() + 10
        while len(ended) < 6 and time.monotonic() < until:
            transfers.work(0.1)
    statuses = {name: one.status_code for name, one in ended.items() if isinstance(one, Response)}
    assert statuses == {"whole": 200, "busy": 429, "none": 404}
    assert b"".join(pieces) == b"whole" * 1000
    assert isinstance(busy := ended["busy"], Response)
    assert (busy.read(), busy.headers["retry-after"]) == (b"too many", "7")
    assert isinstance(ended["reset"], TransferFailed)
    assert isinstance(ended["short"], TransferFailed)
    assert ended["full"] is full


def test_a_signal_ends_many_transfers(silent: str) -> None:
    later = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    later.start()
    began = time.monotonic()

    def work() -> None:
        with Connections("test").together() as transfers:
            transfers.start(silent, lambda _: None, lambda _: None)
            while time.monotonic() - began < 10:
                transfers.work(5)

    with pytest.raises(Interrupted), raise_on_signal():
        work()
    assert time.monotonic() - began < 5


def test_names_of_headers_are_in_whatever_case_and_the_last_one_counts() -> None:
    headers = Headers([b"Date: yesterday\r\n", b'ETag: "a"\r\n', b"DATE:today \r\n", b"\r\n"])
    assert dict(headers) == {"date": "today", "etag": '"a"'}
    assert (headers["Date"], headers.get("Retry-After"), len(headers)) == ("today", None, 2)


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answers anybody."""
        self.send_response_only(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Keeps standard error quiet."""


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server whose certificate nobody else vouches for: its address and the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = tmp_path / "certificate.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "both.pem").write_bytes(secret + public.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with HTTPServer(("127.0.0.1", 0), _Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"https://localhost:{server.server_port}/", public
        server.shutdown()


def test_certificates_are_those_that_python_trusts(
    self_signed: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, certificate = self_signed
    with pytest.raises(TransferFailed, match="certificate"):
        Connections("test").get(address, {})
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    transport._trusted.cache_clear()
    try:
        assert Connections("test").get(address, {}).read() == b"hello"
    finally:
        transport._trusted.cache_clear()
