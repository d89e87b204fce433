"""A picture of the page to send around, taken by a browser of the machine: the same drawing as on the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from loaders.errors import NoBrowser

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

#: Width and height of the picture.
SIZE = (1440, 960)

_SECONDS = 60


def browser(named: Path | None = None) -> Path:
    """The browser to use: the one that is named, else the first that the machine has. Raises `NoBrowser`."""
    if named is not None:
        found = shutil.which(str(named))
        if found is None:
            raise NoBrowser(f"{named} is not a program")
        return Path(found)
    for name in _BROWSERS:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise NoBrowser(f"none of {', '.join(_BROWSERS)} is installed")


def take(page: Path, target: Path, *, symbol: str | None = None, named: Path | None = None) -> None:
    """Draws the page, its controls left out, into a PNG file. Raises `NoBrowser` if no browser does it."""
    program = browser(named)
    target.parent.mkdir(parents=True, exist_ok=True)
    wanted = {"picture": "1", "theme": "light", **({"symbol": symbol} if symbol else {})}
    part = target.with_name(f"{target.name}.{os.getpid()}.part.png")
    with tempfile.TemporaryDirectory(prefix="loaders-picture-") as profile:
        command = [
            str(program),
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            f"--window-size={SIZE[0]},{SIZE[1]}",
            # Time runs until the page is drawn, not by the clock.
            "--virtual-time-budget=10000",
            f"--screenshot={part}",
            # Chromium's sandbox refuses to work for root.
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            f"{page.absolute().as_uri()}#{urlencode(wanted)}",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            part.unlink(missing_ok=True)
            raise NoBrowser(f"{program} did not end within {_SECONDS} seconds") from None
    if not part.exists():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NoBrowser(f"{program} drew nothing (status {done.returncode}: {last})")
    part.replace(target)
