"""One server over HTTP: repeats what can pass, waits as long as it is told to, and stops at once where asking hurts.

What a status means here: 404 is an answer (`NotServed`), and so is a 403 that concerns one key. 429, 418 and 5xx pass:
the first two hold up every request to the server until the time that it names. Any other 403, and 451, concern the
whole address and end everything with one message.
"""

from __future__ import annotations

import email.utils
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode

from loaders.errors import AddressBlocked, Banned, SourceError, SourceUnavailable
from loaders.settings import Settings
from loaders.sources.budgets import Budget
from loaders.sources.transport import Connections, Ended, Response, Stopped, Take, TransferFailed, Transfers

_T = TypeVar("_T")

_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
_TOLD_PAUSE = 5.0
_MOST_BANS = 2
_GIVEN = (200, 206)

Read = Callable[[Response], _T]


class NotServed(Exception):
    """The server does not have it: an answer, not an error. The message says why."""


class RequestRefused(Exception):
    """A 400 with the exchange's own code and message, which the exchange's module understands."""

    def __init__(self, code: int | None, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class CanPass(Exception):
    """Worth another attempt after a while."""


class Throttled(CanPass):
    """The server said that too much was asked; `seconds` is its wish, if it named one."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


class Client:
    """A server, its connections, and when it may be asked next. Safe for several threads.

    `say` is told of pauses that a user would notice. `clock` is the time of day in seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        settings: Settings,
        *,
        say: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.requests = 0
        self._settings = settings
        self._say = say
        self._clock = clock
        self._skew: float | None = None
        self._date: str | None = None
        self._bans = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._not_before = 0.0
        self._final: SourceError | None = None
        self._connections = Connections("loaders (history for research)")

    def close(self) -> None:
        """Ends the connections; who waits for the server stops waiting."""
        self._stopped.set()
        self._connections.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> datetime:
        """The time of day by the server's clock, as its last answer told it; by ours before the first."""
        return datetime.fromtimestamp(self._clock() + (self._skew or 0.0), UTC)

    def together(self) -> Transfers:
        """For a thread that makes the first attempts of many `get`s at once."""
        return self._connections.together()

    @property
    def is_free(self) -> bool:
        """Whether the server may be asked at this moment, without waiting and without an error."""
        with self._lock:
            return not self._stopped.is_set() and self._final is None and time.monotonic() >= self._not_before

    def start(
        self,
        transfers: Transfers,
        path: str,
        ended: Callable[[Ended], None],
        into: Callable[[Response], Take] | None = None,
    ) -> None:
        """Makes the first attempt of a `get`, which costs no budget; `ended` is told what that takes as its `first`.

        For a server that `is_free`.
        """
        with self._lock:
            self.requests += 1

        def judged(outcome: Ended) -> None:
            if isinstance(outcome, Response):
                try:
                    self._learn(outcome, ())
                    if outcome.status_code not in _GIVEN:
                        self._judge(outcome, ())
                except (SourceError, NotServed, RequestRefused, CanPass) as error:
                    outcome = error
            ended(outcome)

        transfers.start(self.base_url + quote(path), _if_given(into), judged)

    def get(
        self,
        path: str,
        read: Read[_T],
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Callable[[], Mapping[str, str]] = dict,
        costs: Sequence[tuple[Budget, int]] = (),
        into: Callable[[Response], Take] | None = None,
        first: Ended | None = None,
    ) -> _T:
        """What `read` makes of an answer of status 200 or 206, after as many attempts as it takes.

        `headers` is asked at each attempt: what is left of a file that was cut is less than before. `into` is asked
        when such an answer begins, and says what takes its body as it comes. `first` is how the first attempt ended, if
        it has been made by `start`.

        Raises `NotServed`, `RequestRefused`, `AddressBlocked`, `Banned`, `SourceUnavailable`.
        """
        url = self.base_url + quote(path) + (f"?{urlencode(params)}" if params else "")

        def once() -> _T:
            return self._read(self._once(url, headers, costs, into), read, costs)

        try:
            try:
                if isinstance(first, Exception):
                    raise first
                return once() if first is None else self._read(first, read, costs)
            except (CanPass, TransferFailed) as error:
                return self._again(once, error)
        except (CanPass, TransferFailed) as error:
            raise SourceUnavailable(url, str(error) or type(error).__name__) from error

    def _again(self, once: Callable[[], _T], error: Exception) -> _T:
        """Repeats what failed first with `error`."""
        # Not above: most commands that ask never come here, and it takes as long to import as all the rest of a client.
        import stamina
        import stamina.instrumentation

        # Long pauses are told by `Client`; a line for each short one says nothing.
        stamina.instrumentation.set_on_retry_hooks(())
        for attempt in stamina.retry_context(
            on=self._can_pass,
            attempts=self._settings.request_attempts,
            timeout=None,
            wait_initial=self._settings.first_pause_seconds,
            wait_max=self._settings.longest_pause_seconds,
            wait_jitter=self._settings.first_pause_seconds,
        ):
            with attempt:
                if attempt.num == 1:
                    # The one that was made.
                    raise error
                return once()
        raise AssertionError("unreachable")

    def get_json(
        self,
        path: str,
        params: Mapping[str, str | int],
        *,
        costs: Sequence[tuple[Budget, int]] = (),
        check: Callable[[Any], None] = lambda answer: None,
    ) -> Any:
        """The answer's JSON; a page of HTML in its place is another attempt, and so is what `check` raises."""

        def read(response: Response) -> Any:
            answer = _json_of(response.read())
            check(answer)
            return answer

        return self.get(path, read, params=params, costs=costs)

    def _once(
        self,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        costs: Sequence[tuple[Budget, int]],
        into: Callable[[Response], Take] | None,
    ) -> Response:
        self._wait_for_turn(costs)
        with self._lock:
            self.requests += 1
        try:
            response = self._connections.get(url, headers(), _if_given(into))
        except Stopped:
            raise SourceError("stopped") from None
        self._learn(response, costs)
        if response.status_code not in _GIVEN:
            self._judge(response, costs)
        return response

    def _read(self, response: Response, read: Read[_T], costs: Sequence[tuple[Budget, int]]) -> _T:
        try:
            return read(response)
        except Throttled as throttled:
            self._hold(throttled.seconds, costs)
            raise

    def _wait_for_turn(self, costs: Sequence[tuple[Budget, int]]) -> None:
        while True:
            if self._stopped.is_set():
                raise SourceError("stopped")
            with self._lock:
                if self._final is not None:
                    raise self._final
                seconds = max(
                    [self._not_before - time.monotonic(), *(budget.seconds_to_wait(cost) for budget, cost in costs)]
                )
                if seconds <= 0:
                    for budget, cost in costs:
                        budget.spend(cost)
                    return
            if seconds >= _TOLD_PAUSE:
                self._say(f"{self.name}: waiting {seconds:.0f} s, as its limits ask")
            self._stopped.wait(seconds)

    def _learn(self, response: Response, costs: Sequence[tuple[Budget, int]]) -> None:
        told = response.headers.get("Date")
        with self._lock:
            for budget, _ in costs:
                budget.see(response.headers)
            if told and told != self._date:
                self._date = told
                with_zone = email.utils.parsedate_to_datetime(told)
                skew = with_zone.timestamp() - self._clock()
                # The header has whole seconds.
                if self._skew is None and abs(skew) > 60:
                    self._say(f"{self.name}: its clock and this machine's differ by {skew:.0f} s; the server's counts")
                self._skew = skew if abs(skew) > 2 else 0.0

    def _judge(self, response: Response, costs: Sequence[tuple[Budget, int]]) -> NoReturn:
        """Raises what an answer without content means."""
        status = response.status_code
        text = response.read()[:10_000].decode("utf-8", "replace")
        if status == 404:
            raise NotServed("not there (404)")
        if status == 403 and ("x-amz-error-code" in response.headers or "<Code>" in text):
            raise NotServed("not readable for anybody (403)")
        if status in (403, 451):
            raise self._end(AddressBlocked(self.name, status))
        if status == 418:
            self._banned(response, text)
        if status == 429:
            seconds = _retry_after(response, self._clock())
            self._hold(seconds, costs)
            raise Throttled("too many requests (429)", seconds)
        if status >= 500:
            seconds = _retry_after(response, self._clock())
            if seconds is not None:
                self._hold(seconds, ())
            raise CanPass(f"status {status}")
        if status == 400:
            try:
                answer = json.loads(text)
                raise RequestRefused(answer.get("code"), str(answer.get("msg")))
            except (ValueError, AttributeError):
                pass
        raise self._end(SourceUnavailable(response.url, f"status {status}"), remember=False)

    def _banned(self, response: Response, text: str) -> None:
        match = _BANNED_UNTIL.search(text)
        now = self.now().timestamp()
        seconds = int(match[1]) / 1000 - now if match else _retry_after(response, self._clock())
        self._bans += 1
        if seconds is None or seconds > self._settings.longest_ban_seconds or self._bans > _MOST_BANS:
            until = datetime.fromtimestamp(now + (seconds or 0), UTC)
            raise self._end(Banned(self.name, f"{until:%Y-%m-%d %H:%M:%S}"))
        self._say(f"{self.name}: banned for {seconds:.0f} s, waiting")
        self._hold(seconds + 1, ())
        raise Throttled("banned (418)", seconds)

    def _end(self, error: SourceError, *, remember: bool = True) -> SourceError:
        """Every later request gets the same answer without asking."""
        if remember:
            with self._lock:
                self._final = self._final or error
                return self._final
        return error

    def _hold(self, seconds: float | None, costs: Sequence[tuple[Budget, int]]) -> None:
        """Nobody asks the server for so many seconds; its budgets learn that they were too large."""
        with self._lock:
            for budget, _ in costs:
                # A server that names its time has said it all.
                if seconds is None:
                    budget.throttle()
            if seconds is not None:
                self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _can_pass(self, error: Exception) -> bool | float:
        """Whether another attempt makes sense; a number is a pause in seconds, in place of the growing one."""
        if isinstance(error, Throttled) and error.seconds is not None:
            # The pause is the server's: `_wait_for_turn` keeps it, for all threads.
            return 0.001
        return isinstance(error, CanPass | TransferFailed) and not self._stopped.is_set()


def _if_given(into: Callable[[Response], Take] | None) -> Callable[[Response], Take | None]:
    """Takes the body of an answer that has the content; an answer that says why there is none is read whole."""
    return lambda begun: into(begun) if into and begun.status_code in _GIVEN else None


def _retry_after(response: Response, clock: float) -> float | None:
    """Seconds of a Retry-After, which may be a number or a date; None where there is none."""
    told = response.headers.get("Retry-After")
    if told is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", told.strip()):
        return float(told)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - clock)
    except ValueError:
        return None


def _json_of(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        start = body[:40].decode("utf-8", "replace").strip()
        raise CanPass(f"not JSON: {start!r}") from None
