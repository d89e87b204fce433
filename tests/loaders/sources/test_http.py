"""What each status, each broken answer and each limit of a server leads to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from loaders.errors import AddressBlocked, Banned, SourceUnavailable
from loaders.settings import Settings
from loaders.sources.budgets import Spacing, Window
from loaders.sources.http import Client, NotServed, RequestRefused
from tests.support import replay
from tests.support.replay import Act, Replay, cut, shorter_by, status

NOW = datetime(2026, 7, 10, 12, 2, 30, tzinfo=UTC)
KEY = "data/a/x.zip"


@dataclass
class Asked:
    """A client of a replay server, and what it told."""

    server: Replay
    client: Client
    told: list[str]

    def get(self) -> bytes:
        """One file."""
        return self.client.get(f"/{KEY}", lambda response: response.read())


@pytest.fixture
def asked() -> Iterator[Asked]:
    server = Replay(NOW)
    server.put(KEY, b"content" * 100)
    told: list[str] = []
    with replay.serve(server) as address:
        settings = Settings(**replay.settings_for(address))
        with Client("the server", address, settings, say=told.append, clock=lambda: NOW.timestamp()) as client:
            yield Asked(server, client, told)


@pytest.mark.parametrize(
    ("act", "requests"),
    [
        pytest.param(status(503), 3, id="503"),
        pytest.param(status(500, b"<html>"), 3, id="500 with a page"),
        pytest.param(status(429), 3, id="429 without Retry-After"),
        pytest.param(cut(), 3, id="a connection that ends before the answer, as throttling of TLS does"),
        pytest.param(cut(10), 3, id="a connection that is reset within the body"),
        pytest.param(shorter_by(7), 3, id="a body shorter than announced"),
    ],
)
def test_what_passes_is_asked_again(asked: Asked, act: Act, requests: int) -> None:
    asked.server.fault("x.zip", act, times=2)
    assert asked.get() == b"content" * 100
    assert len(asked.server.log) == requests


def test_what_does_not_pass_ends_with_the_address_and_the_reason(asked: Asked) -> None:
    asked.server.fault("x.zip", status(503), times=100)
    with pytest.raises(SourceUnavailable, match=r"x\.zip .*status 503.* run it again later"):
        asked.get()
    assert len(asked.server.log) == 6


def test_a_file_that_is_not_there_is_an_answer(asked: Asked) -> None:
    with pytest.raises(NotServed):
        asked.client.get("/data/none.zip", lambda response: response.read())
    assert len(asked.server.log) == 1


def test_a_403_about_one_key_concerns_that_key(asked: Asked) -> None:
    asked.server.fault("x.zip", status(403, x_amz_error_code="AccessDenied"))
    with pytest.raises(NotServed):
        asked.get()
    assert asked.get()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        pytest.param(status(403, b"<html>Request blocked.</html>"), "refuses this address", id="403 with a page"),
        pytest.param(status(451), "country of this address", id="451"),
    ],
)
def test_a_blocked_address_is_final_and_asked_no_more(asked: Asked, act: Act, message: str) -> None:
    asked.server.fault("x.zip", act)
    for _ in range(3):
        with pytest.raises(AddressBlocked, match=message):
            asked.get()
    assert len(asked.server.log) == 1


@pytest.mark.parametrize(
    "told",
    [
        pytest.param("1", id="seconds"),
        pytest.param(format_datetime(NOW + timedelta(seconds=1), usegmt=True), id="a date"),
    ],
)
def test_retry_after_is_kept(asked: Asked, told: str) -> None:
    asked.server.fault("x.zip", status(429, Retry_After=told))
    began = time.monotonic()
    asked.get()
    assert 0.9 < time.monotonic() - began < 3


def test_a_short_ban_is_waited_out(asked: Asked) -> None:
    until = int((NOW + timedelta(seconds=0.2)).timestamp() * 1000)
    asked.server.fault("x.zip", status(418, f'{{"code":-1003,"msg":"IP banned until {until}."}}'.encode()))
    began = time.monotonic()
    asked.get()
    assert time.monotonic() - began > 1
    assert len(asked.server.log) == 2
    assert any("banned" in line for line in asked.told)


@pytest.mark.parametrize("hours", [pytest.param(2, id="a long one"), pytest.param(None, id="one without an end")])
def test_a_long_ban_is_told_and_nothing_is_asked(asked: Asked, hours: int | None) -> None:
    until = f" until {int((NOW + timedelta(hours=hours)).timestamp() * 1000)}" if hours else ""
    asked.server.fault("x.zip", status(418, f'{{"msg":"IP banned{until}."}}'.encode()))
    for _ in range(2):
        with pytest.raises(Banned, match=r"14:02:30" if hours else "banned"):
            asked.get()
    assert len(asked.server.log) == 1


def test_html_in_place_of_json_is_asked_again(asked: Asked) -> None:
    asked.server.fault("klines", status(200, b"<html>maintenance</html>"), times=2)
    params: dict[str, str | int] = {"symbol": "BTCUSDT", "interval": "5m", "startTime": 1, "endTime": 2, "limit": 1}
    assert asked.client.get_json("/fapi/v1/klines", params) == []
    assert len(asked.server.log) == 3


def test_an_exchange_s_refusal_keeps_its_code(asked: Asked) -> None:
    with pytest.raises(RequestRefused, match="Invalid symbol") as caught:
        asked.client.get_json("/fapi/v1/klines", {"symbol": "NONE"})
    assert caught.value.code == -1121


def test_the_server_s_clock_counts(asked: Asked) -> None:
    assert asked.client.now() == NOW
    asked.server.now = NOW + timedelta(minutes=7)
    asked.get()
    assert asked.client.now() == NOW + timedelta(minutes=7)
    assert asked.told == ["the server: its clock and this machine's differ by 420 s; the server's counts"]


def test_a_window_waits_until_enough_of_it_has_passed() -> None:
    now = [0.0]
    window = Window(100, 60, header="Used", clock=lambda: now[0])
    window.spend(60)
    now[0] = 20
    window.spend(20)
    assert window.seconds_to_wait(10) == 0
    assert window.seconds_to_wait(30) == 40
    # Somebody else asks from this address.
    window.see({"Used": "90"})
    assert window.seconds_to_wait(1) == 40
    now[0] = 61
    assert window.seconds_to_wait(1) == 0


def test_spacing_grows_with_each_refusal_and_shrinks_again() -> None:
    now = [0.0]
    spacing = Spacing(1, clock=lambda: now[0])
    spacing.spend(1)
    assert spacing.seconds_to_wait(1) == 1
    spacing.throttle()
    assert spacing.seconds_to_wait(1) == pytest.approx(1.6)
    for _ in range(100):
        spacing.see({})
    assert spacing.seconds_to_wait(1) == 1
