"""Plants faults, runs the copy, and tells what came of each."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.planted_faults.archive import ROOT, Place, write_good_archive
from benchmarks.planted_faults.faults import FAULTS, Fault
from benchmarks.planted_faults.judge import Outcome, caught_by, judge, outcome_of
from loaders.runs.pipeline import Run


def prepare(folder: Path) -> tuple[Place, Run]:
    """The good archive, run and published."""
    place = Place(folder / "good")
    shutil.rmtree(place.folder, ignore_errors=True)
    write_good_archive(place.data)
    return place, place.run()


def complaints(place: Place, done: Run) -> list[str]:
    """What a run of the good archive should not have said."""
    said = [step.text for step in done.steps if step.outcome != "ok"]
    if not said:
        said += list(caught_by(place, {step.name: step for step in done.steps}))
        said += [f"incomplete: {row}" for row in place.query("from marts.data_completeness where missing <> 0")]
        said += judge(place.published, place.published)[1]
    return said


def plant(good: Place, *faults: Fault) -> Outcome:
    """Runs a copy of the good archive with these faults in it. The copy stays until the next one."""
    # Always in the same place: dbt parses its project anew when the warehouse's path changes.
    place = Place(good.folder.with_name("planted"))
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    shutil.copytree(good.data, place.data)
    shutil.copy(good.published, place.published)
    if any(one.behind for one in faults):
        shutil.copy(good.warehouse, place.warehouse)
    if any(one.project for one in faults):
        place = Place(place.folder, _copy_of_the_project(place.folder / "project"))
    for one in faults:
        one.plant(place)
    before = time.perf_counter()
    # What is altered behind the ledger, in files that did not change, is for the weekly run to find.
    full = any(one.behind for one in faults)
    outcome = outcome_of(place, place.run(full=full), good.published)
    return Outcome(
        outcome.caught,
        outcome.published,
        outcome.wrong,
        outcome.exit_status,
        outcome.differences,
        time.perf_counter() - before,
    )


def _copy_of_the_project(target: Path) -> Path:
    target.mkdir()
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(ROOT / name, target / name)
    for name in ("models", "macros", "seeds", "tests/dbt", "analyses"):
        shutil.copytree(ROOT / name, target / name)
    return target


def table_of(outcomes: dict[str, Outcome]) -> Table:
    """One row for each fault."""
    table = Table("fault", "what it is", "run", "caught by", "published", "right", show_lines=True)
    for name, outcome in outcomes.items():
        caught = "\n".join(outcome.caught) or "nothing to catch"
        published = "no, the last file stays"
        if outcome.published:
            rows = f"{outcome.differences} rows differ, all told" if outcome.differences else "all rows right"
            published = f"yes, {rows if not outcome.wrong else 'false rows'}"
        run = "full" if FAULTS[name].behind else "nightly"
        table.add_row(name, FAULTS[name].description, run, caught, published, "\n".join(outcome.wrong) or "yes")
    return table


def main() -> int:
    """Plants the named faults, or all. 1 if the good archive raised anything or a fault slipped through."""
    parser = argparse.ArgumentParser(prog="benchmarks.planted_faults", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("faults", nargs="*", metavar="fault", help=", ".join(FAULTS))
    asked = parser.parse_args()
    if unknown := [name for name in asked.faults if name not in FAULTS]:
        parser.error(f"no such fault: {', '.join(unknown)}")
    folder: Path = asked.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    good, done = prepare(folder)
    if raised := complaints(good, done):
        print("the good archive raised:", *raised, sep="\n")
        return 1
    outcomes = {}
    for name in asked.faults or FAULTS:
        outcome = outcomes[name] = plant(good, FAULTS[name])
        mark = "SLIPPED" if outcome.wrong else "ok"
        print(f"{mark:8}{name} ({outcome.seconds:.0f} s)", *outcome.wrong, file=sys.stderr, flush=True)
        if outcome.wrong:
            kept = folder / "slipped" / name
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(good.folder.with_name("planted"), kept)
    Console(width=200).print(table_of(outcomes), markup=False)
    slipped = sum(bool(outcome.wrong) for outcome in outcomes.values())
    refused = sum(not outcome.published for outcome in outcomes.values())
    print(f"{len(outcomes)} faults: {refused} kept from being published, {slipped} slipped through")
    return 1 if slipped else 0
