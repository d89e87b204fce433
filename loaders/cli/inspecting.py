"""Commands that only read: `status`, `gaps`."""

from __future__ import annotations

import click

from loaders import warehouse
from loaders.cli.context import Context
from loaders.cli.options import selecting, wait_option
from loaders.queries import coverage, gaps
from loaders.selection import Selection
from loaders.warehouse import ledger


@click.command()
@click.option("--overlaps", is_flag=True, help="List files of one series whose times overlap, too.")
@wait_option
@click.pass_obj
def status(context: Context, overlaps: bool, wait_seconds: float) -> int:
    """Jobs, files, rows, coverage by symbol and dataset, failures with their reasons."""
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
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
