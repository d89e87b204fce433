"""Commands that only read: `status`, `gaps`."""

from __future__ import annotations

import sys

import click

from loaders import warehouse
from loaders.cli.context import Context
from loaders.cli.options import selecting, wait_option
from loaders.errors import WrongUsage
from loaders.queries import completeness as complete
from loaders.queries import coverage, gaps
from loaders.queries.tiers import read_tiers
from loaders.selection import Selection
from loaders.warehouse import ledger


@click.command()
@click.option("--overlaps", is_flag=True, help="List files of one series whose times overlap, too.")
@click.option(
    "--completeness",
    is_flag=True,
    help="Instead: each series by tier, interval and asset, how much of it is there, and what to do.",
)
@selecting
@wait_option
@click.pass_obj
def status(context: Context, overlaps: bool, completeness: bool, selection: Selection, wait_seconds: float) -> int:
    """Jobs, files, rows, coverage by symbol and dataset, failures with their reasons.

    What it shows is chosen with --completeness only.
    """
    if not completeness and selection != Selection():
        raise WrongUsage("symbols, tiers, datasets, intervals and days choose what --completeness shows: add it")
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
        if completeness:
            tiers = read_tiers(context.settings.project())
            found = complete.find(connection, selection, tiers, ledger.now())
            context.answer(complete.to_dict(found), complete.text(found, colours=sys.stdout.isatty()))
            return 0
        answer = coverage.to_dict(connection, overlaps=overlaps)
    context.answer(dict(answer), coverage.text(answer))
    return 0


@click.command("gaps")
@selecting
@wait_option
@click.pass_obj
def show_gaps(
    context: Context,
    selection: Selection,
    wait_seconds: float,
) -> int:
    """The gaps in the data, as the last `dbt build` saw them: which file would fill each, and whether REST has it.

    A gap is a fact, not a failure: the exit status is 0.
    """
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
        found = gaps.find(connection, selection, ledger.now())
    context.answer(gaps.to_dict(found), gaps.text(found))
    return 0
