"""Paths as the engine, the ledger and the terminal take them: literally, and as text that can be written."""

from __future__ import annotations

import os
import re
from pathlib import Path

_GLOB = re.compile(r"([*?\[])")


def is_text(path: str | Path) -> bool:
    """Whether the path is UTF-8, so that the engine and the ledger can name it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str | Path) -> str:
    """The path as text; a byte that is no UTF-8 is shown as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def can_be_a_pattern(path: Path) -> bool:
    """Whether `engine_pattern` can name the path: in a pattern the engine takes a backslash for a slash."""
    return is_text(path) and not ("\\" in str(path) and _GLOB.search(str(path)))


def engine_pattern(path: Path) -> str:
    """The pattern that means this path and nothing else: the engine takes `*`, `?` and `[` in paths for wildcards."""
    return _GLOB.sub(r"[\1]", str(path))
