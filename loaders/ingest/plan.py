"""What is to be done with each file, and why, from the disk's listing and the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from loaders.datasets import Identity
from loaders.files.discovery import Candidate, Found
from loaders.warehouse.ledger import LandedFile

#: How many times as long the text of an archive is; CSV of prices shrinks 5 to 15 times.
INFLATION = 8.0


class Action(Enum):
    """What happens to a file. `COMPARE` becomes a skip or a replacement once the file has been hashed."""

    LOAD = "load"
    REPLACE = "replace"
    COMPARE = "compare"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file of the plan; `landed` is the revision that is in raw now."""

    candidate: Candidate
    action: Action
    reason: str
    landed: LandedFile | None = None

    def text_bytes(self, inflation: float = INFLATION) -> float:
        """How long its text is, about: an archive's is so many times as long as its file."""
        return self.candidate.size_bytes * (inflation if self.candidate.is_packed else 1)


def plan(found: Found, landed: Mapping[Identity, LandedFile], *, verify: bool = False) -> list[FilePlan]:
    """Steps in the order of the candidates. With `verify` what looks unchanged is hashed again, too."""
    steps = [_step(candidate, landed.get(candidate.identity), verify) for candidate in found.candidates]
    steps += [
        FilePlan(candidate, Action.SKIP, f"shadowed by {other.location}", landed.get(candidate.identity))
        for candidate, other in found.shadowed
    ]
    return steps


def to_do(steps: Sequence[FilePlan]) -> list[FilePlan]:
    """Steps that are not skips."""
    return [step for step in steps if step.action is not Action.SKIP]


def _step(candidate: Candidate, landed: LandedFile | None, verify: bool) -> FilePlan:
    if landed is None:
        return FilePlan(candidate, Action.LOAD, "not landed yet")
    seen = (landed.path, landed.size_bytes, landed.modified_ns)
    if seen != (str(candidate.location), candidate.size_bytes, candidate.modified_ns):
        return FilePlan(candidate, Action.COMPARE, "place, size or time differ from what was landed", landed)
    if verify:
        return FilePlan(candidate, Action.COMPARE, "unchanged by size and time, hashed again", landed)
    return FilePlan(candidate, Action.SKIP, "unchanged", landed)
