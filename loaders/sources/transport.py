"""Bytes over HTTP, by libcurl: one GET at a time for each thread, or many in one thread, on connections that stay open.

What an answer means is told in `http`; here it has a status, headers and a body, or the transfer failed.

libcurl, because the archive is thousands of small files: 2,000 requests cost 0.2 s of a core, and 1.9 s by a client
that parses HTTP in Python; the interpreter is free while bytes come, so that other threads hash and sync. Many in one
thread (`Transfers`), because threads that each wait for small answers take the interpreter from one another at every
line of a header: eight of them cost three times as much as one.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import pycurl

from loaders import signals

_CONNECT_SECONDS, _READ_SECONDS = 15, 60
_BUFFER = 1 << 19


class TransferFailed(Exception):
    """No whole answer came: no connection, a broken one, or silence."""


class Stopped(Exception):
    """The connections were closed while an answer was on its way."""


class Headers(Mapping[str, str]):
    """Fields of an answer; their names in whatever case.

    Lines are looked through when a field is asked for: of thousands of answers one or two fields each are.
    """

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._lines = lines

    def __getitem__(self, name: str) -> str:
        begin = name.lower().encode("latin-1") + b":"
        for line in reversed(self._lines):
            if line[: len(begin)].lower() == begin:
                return line[len(begin) :].strip().decode("latin-1")
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = (line.partition(b":")[0].lower().decode("latin-1") for line in self._lines if b":" in line)
        return iter(dict.fromkeys(names))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(slots=True)
class Response:
    """An answer. The body is empty if it was handed over as it came."""

    url: str
    status_code: int
    headers: Headers
    body: bytes = b""

    def read(self) -> bytes:
        """The whole body."""
        return self.body


Take = Callable[[bytes], object]
Into = Callable[[Response], Take | None]
"""Asked when an answer begins: what takes the pieces of its body, or None to have it whole in the end."""


class Connections:
    """Connections to servers; each thread that asks has its own while it asks."""

    def __init__(self, agent: str) -> None:
        self._fields = [f"User-Agent: {agent}", "Accept-Encoding: identity"]
        self._idle: list[pycurl.Curl] = []
        self._stopped = threading.Event()

    def together(self) -> Transfers:
        """For one thread that has many transfers under way."""
        return Transfers(self)

    def close(self) -> None:
        """Ends the connections, those in use within a second."""
        self._stopped.set()
        self._idle.clear()

    def get(self, url: str, headers: Mapping[str, str], into: Into = lambda response: None) -> Response:
        """The answer, whatever its status. Raises `TransferFailed`, `Stopped`, and what `into` and its taker raise."""
        try:
            curl = self._idle.pop()
        except IndexError:
            curl = self.new()
        transfer = self.prepare(curl, url, headers, into)
        try:
            curl.perform()
        except pycurl.error as error:
            # A signal's exception that was raised within a callback may have been lost there.
            signals.check()
            if transfer.error is not None:
                raise transfer.error from None
            if self._stopped.is_set():
                raise Stopped from None
            raise TransferFailed(str(error.args[-1])) from error
        finally:
            # libcurl keeps the connection if it can serve again, and opens another one if it was cut since.
            self._idle.append(curl)
        return transfer.end()

    def prepare(self, curl: pycurl.Curl, url: str, headers: Mapping[str, str], into: Into) -> _Transfer:
        """What `curl` will do when it performs."""
        transfer = _Transfer(url, into)
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.HTTPHEADER, [*self._fields, *(f"{name}: {value}" for name, value in headers.items())])
        curl.setopt(pycurl.HEADERFUNCTION, transfer.lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, transfer.take)
        return transfer

    def new(self) -> pycurl.Curl:
        """A handle that has all options but those of a request."""
        curl = pycurl.Curl()
        options: dict[int, object] = {
            pycurl.NOSIGNAL: 1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.CONNECTTIMEOUT: _CONNECT_SECONDS,
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: _READ_SECONDS,
            pycurl.BUFFERSIZE: _BUFFER,
            # Asked every second or sooner, also while nothing comes.
            pycurl.NOPROGRESS: 0,
            pycurl.XFERINFOFUNCTION: lambda *_: self._stopped.is_set(),
            **_trusted(),
        }
        for option, value in options.items():
            if value is None:
                curl.unsetopt(option)
            else:
                curl.setopt(option, value)
        return curl


Ended = Response | Exception
"""How a transfer ended: with an answer, whatever its status, or with why there is none."""


class Transfers:
    """Many transfers that one thread has under way; `close` ends them."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._multi = pycurl.CurlMulti()
        self._idle: list[pycurl.Curl] = []
        self._active: dict[pycurl.Curl, tuple[_Transfer, Callable[[Ended], None]]] = {}

    def __enter__(self) -> Transfers:
        return self

    def __exit__(self, *_: object) -> None:
        for curl in self._active:
            self._multi.remove_handle(curl)
        for curl in (*self._active, *self._idle):
            curl.close()
        self._multi.close()

    def start(self, url: str, into: Into, ended: Callable[[Ended], None]) -> None:
        """Begins a GET. `work` moves its bytes, and tells `ended` how it ended; what that raises, `work` raises."""
        curl = self._idle.pop() if self._idle else self._new()
        self._active[curl] = self._connections.prepare(curl, url, {}, into), ended
        self._multi.add_handle(curl)

    def work(self, most_seconds: float) -> None:
        """Waits until bytes can be moved, so long at most, and moves them."""
        # Time that libcurl wants to be called after; -1: it wants nothing but bytes.
        wish = self._multi.timeout()
        seconds = most_seconds if wish < 0 else min(most_seconds, wish / 1000)
        if seconds and self._multi.select(seconds) < 0:
            # There is nothing to wait for yet, while a name is looked up.
            time.sleep(min(seconds, 0.01))
        while self._multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
            pass
        # A signal's exception that was raised within a callback may have been lost there.
        signals.check()
        more = True
        while more:
            more, whole, failed = self._multi.info_read()
            for curl in whole:
                self._end(curl, None)
            for curl, _, message in failed:
                self._end(curl, TransferFailed(message))

    def _new(self) -> pycurl.Curl:
        curl = self._connections.new()
        # `work` comes back by itself.
        curl.setopt(pycurl.NOPROGRESS, 1)
        return curl

    def _end(self, curl: pycurl.Curl, failed: TransferFailed | None) -> None:
        transfer, ended = self._active.pop(curl)
        self._multi.remove_handle(curl)
        self._idle.append(curl)
        ended(transfer.error or failed or transfer.end())


class _Transfer:
    """One answer as it comes."""

    def __init__(self, url: str, into: Into) -> None:
        self.lines: list[bytes] = []
        self.error: Exception | None = None
        self._url = url
        self._into = into
        self._response: Response | None = None
        self._take: Take | None = None
        self._body: list[bytes] = []

    def take(self, chunk: bytes) -> int | None:
        """Hands a piece of the body on; a number that is not its length ends the transfer."""
        try:
            if self._take is None:
                self._take = self._into(self._begun()) or self._body.append
            self._take(chunk)
        except Exception as error:
            # libcurl knows no exceptions.
            self.error = error
            return -1
        return None

    def end(self) -> Response:
        """The answer, all of which has come."""
        response = self._begun()
        response.body = b"".join(self._body)
        return response

    def _begun(self) -> Response:
        if self._response is None:
            # A server may say "100 Continue" before.
            begins = 0
            for place, line in enumerate(self.lines):
                if line.startswith(b"HTTP/"):
                    begins = place
            status = int(self.lines[begins].split(maxsplit=2)[1])
            self._response = Response(self._url, status, Headers(self.lines[begins + 1 :]))
        return self._response


@cache
def _trusted() -> dict[int, object]:
    """The certificates that Python trusts. A wheel's libcurl looks where the machine that built it had them."""
    paths = ssl.get_default_verify_paths()
    return {
        pycurl.CAINFO: paths.cafile,
        pycurl.CAPATH: paths.capath,
        # Those of Windows and macOS besides.
        pycurl.SSL_OPTIONS: pycurl.SSLOPT_NATIVE_CA,
    }
