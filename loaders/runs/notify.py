"""Tells somebody that a run needs them: a webhook, or a command of theirs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

from loaders.errors import NotNotified

_TIMEOUT_SECONDS = 20
_ATTEMPTS = 3


def send_notice(target: str, result: Mapping[str, Any]) -> None:
    """Sends `result` as JSON: to a URL by POST, to a command on its standard input.

    `result["text"]` is a sentence for people, under the name that chat programs' webhooks look for. Raises
    `NotNotified` if that did not work; the message has no URL in it, since webhooks carry their secret there.
    """
    body = json.dumps(result, default=str)
    if re.match(r"https?://", target.strip(), re.IGNORECASE):
        _request("POST", target.strip(), body)
    else:
        _call(target, body)


def send_ping(url: str) -> None:
    """Asks the address by GET, for a monitor that raises the alarm when it was not asked. Raises `NotNotified`."""
    _request("GET", url)


def _request(method: str, url: str, body: str | None = None) -> None:
    # Only a run that has something to tell needs these.
    import httpx2
    import stamina

    headers = {"content-type": "application/json"} if body is not None else {}
    try:
        for attempt in stamina.retry_context(on=httpx2.TransportError, attempts=_ATTEMPTS, timeout=_TIMEOUT_SECONDS):
            with attempt:
                answer = httpx2.request(method, url, content=body, headers=headers, timeout=_TIMEOUT_SECONDS)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NotNotified(f"the address cannot be reached ({type(error).__name__})") from error
    if answer.is_error:
        raise NotNotified(f"the address answered {answer.status_code}")


def _call(command: str, body: str) -> None:
    try:
        words = shlex.split(command)
        done = subprocess.run(
            words, input=body, text=True, capture_output=True, timeout=_TIMEOUT_SECONDS * _ATTEMPTS, check=False
        )
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise NotNotified(f"the command could not be run ({error})") from error
    if done.returncode:
        raise NotNotified(f"the command ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
