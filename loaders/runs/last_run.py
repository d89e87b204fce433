"""What the last run left for monitors and for the next run: two small files beside the warehouse.

`<warehouse>.last_run.json` is written after every run, `<warehouse>.last_good_run.json` only after one with exit status
0: a monitor that watches the age of the second one hears of a night that did not start, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def last_run_path(warehouse: Path) -> Path:
    """The file about the last run, whatever its end."""
    return warehouse.with_name(warehouse.name + ".last_run.json")


def last_good_run_path(warehouse: Path) -> Path:
    """The file about the last run with exit status 0."""
    return warehouse.with_name(warehouse.name + ".last_good_run.json")


def read_last_run(path: Path) -> dict[str, Any] | None:
    """What such a file says; None where there is none, or none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def record_run(warehouse: Path, result: Mapping[str, Any]) -> None:
    """Writes both files, the second one only for `exit_status` 0. Raises OSError."""
    text = json.dumps(result, default=str, indent=2) + "\n"
    targets = [last_run_path(warehouse)]
    if result["exit_status"] == 0:
        targets.append(last_good_run_path(warehouse))
    for target in targets:
        part = target.with_name(target.name + ".part")
        part.write_text(text, encoding="utf-8")
        part.replace(target)
