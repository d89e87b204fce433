"""What every command is given, and how it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from loaders.settings import Settings

#: Not empty once a command has printed its result: what goes wrong after that makes no second document.
answered: list[bool] = []


@dataclass(frozen=True, slots=True)
class Context:
    """What every command is given."""

    settings: Settings
    as_json: bool

    @property
    def warehouse(self) -> Path:
        """The warehouse file, absolute."""
        return self.settings.warehouse_path()

    def published(self, target: Path | None) -> Path:
        """The file that clients open, absolute."""
        return target.expanduser().absolute() if target else self.settings.published_path()

    def answer(self, result: dict[str, Any], text: str) -> None:
        """Prints a result, as text or as one JSON document."""
        answered.append(True)
        click.echo(json.dumps(result, default=str, indent=2) if self.as_json else text)
