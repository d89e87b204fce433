"""Tiers of assets, from the seed `asset_tiers.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from loaders.errors import WrongUsage

TIERS = ("TIER1", "TIER2", "TIER3", "TIER4")


def read_tiers(project: Path) -> dict[str, str]:
    """Asset, by its common name, to its tier. Raises `WrongUsage` if the seed is not there."""
    path = project / "seeds" / "asset_tiers.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["asset"]: row["tier"] for row in csv.DictReader(file)}
    except (OSError, KeyError) as error:
        raise WrongUsage(f"{path} has no assets and tiers ({error}): restore it from the project") from error


def assets_of_tiers(project: Path, tiers: Iterable[str]) -> frozenset[str]:
    """The assets of some tiers."""
    wanted = set(tiers)
    return frozenset(asset for asset, tier in read_tiers(project).items() if tier in wanted)
