"""A signal ends a command in order, also one that comes while a module is imported."""

from __future__ import annotations

import signal
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest

from loaders.signals import Interrupted, check, raise_on_signal, whole

SIGNALLED = """
import signal
signal.raise_signal(signal.SIGTERM)
whole = True
"""


def import_and_wait(name: str) -> None:
    with raise_on_signal():
        import_module(name)
        threading.Event().wait(10)


def test_a_signal_during_an_import_lets_it_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the module is imported by half, and the interpreter's lock of imports may stay taken."""
    (tmp_path / "signalled_module.py").write_text(SIGNALLED)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Interrupted) as ended:
        import_and_wait("signalled_module")
    assert ended.value.number == signal.SIGTERM
    assert sys.modules["signalled_module"].whole


def test_what_must_be_done_whole_is_done_before_a_signal_ends_the_command() -> None:
    done = []

    def tidy_up() -> None:
        with raise_on_signal():
            with whole():
                signal.raise_signal(signal.SIGINT)
                done.append("whole")
            threading.Event().wait(10)

    with pytest.raises(Interrupted) as ended:
        tidy_up()
    assert ended.value.number == signal.SIGINT
    assert done == ["whole"]


def test_a_signal_that_was_raised_is_over_once_the_command_has_ended() -> None:
    with pytest.raises(Interrupted), raise_on_signal():
        signal.raise_signal(signal.SIGTERM)
    check()
