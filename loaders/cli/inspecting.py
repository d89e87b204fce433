"""Commands that only read: `status`, `gaps`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, timedelta

import click

from loaders import warehouse
from loaders.cli.context import Context
from loaders.cli.options import max_age_option, selecting, wait_option
from loaders.queries import completeness as complete
from loaders.queries import coverage, gaps
from loaders.queries.gaps import Gap
from loaders.queries.tiers import read_tiers
from loaders.runs import health, source_plan
from loaders.runs.holdings import series_of_gap
from loaders.selection import Selection, not_found_lines
from loaders.settings import Settings
from loaders.warehouse import ledger


@click.command()
@click.option("--overlaps", is_flag=True, help="List files of one series whose times overlap, too.")
@click.option(
    "--completeness",
    is_flag=True,
    help="Instead: each series by tier, interval and asset, how much of it is there, and what to do.",
)
@selecting
@max_age_option
@wait_option
@click.pass_obj
def status(
    context: Context,
    overlaps: bool,
    completeness: bool,
    selection: Selection,
    max_age: timedelta | None,
    wait_seconds: float,
) -> int:
    """Is it healthy? Then: last run, build, validation, publication, sizes, coverage with gaps, jobs, failed files.

    Symbols, datasets and intervals choose the series that are shown. The exit status is 0 whatever it says: `check` is
    for scripts.
    """
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
        if completeness:
            tiers = read_tiers(context.settings.project())
            found = complete.find(connection, selection, tiers, ledger.now())
            context.answer(complete.to_dict(found), complete.text(found, colours=sys.stdout.isatty()))
            return 0
        found_health = health.examine(context.settings, context.warehouse, connection, max_age)
        answer = coverage.to_dict(connection, selection, overlaps=overlaps)
        missing = selection.not_found(ledger.landed_symbols(connection))
    lines = [health.text(found_health), coverage.text(answer), *not_found_lines(missing, "landed file")]
    context.answer({**health.to_dict(found_health), **answer, "not_found": missing}, "\n\n".join(filter(None, lines)))
    return 1 if missing else 0


@click.command("gaps")
@selecting
@click.option("--urls", is_flag=True, help="Print the addresses of the files that would fill them, one a line.")
@wait_option
@click.pass_obj
def show_gaps(
    context: Context,
    selection: Selection,
    urls: bool,
    wait_seconds: float,
) -> int:
    """The gaps in the data, as the last `dbt build` saw them: which file would fill each, and whether REST has it.

    A gap is a fact, not a failure: the exit status is 0.
    """
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
        found = gaps.find(connection, selection, ledger.now())
        missing = selection.not_found(ledger.landed_symbols(connection))
    result = {**gaps.to_dict(found), "not_found": missing}
    if urls:
        addresses = addresses_of(found, context.settings)
        context.answer({**result, "urls": addresses}, "\n".join(addresses))
    else:
        # That what nobody has lacks nothing would be no answer.
        shown = [gaps.text(found)] if found or not missing else []
        context.answer(result, "\n".join([*shown, *not_found_lines(missing, "landed file")]))
    return 1 if missing else 0


def addresses_of(found: Sequence[Gap], settings: Settings) -> list[str]:
    """Where the files are that would fill gaps, as far as the exchange's naming tells; each once."""
    return list(
        dict.fromkeys(
            download.address
            for gap in found
            for download in source_plan.files_of(
                series_of_gap(gap.exchange, gap.dataset, gap.market, gap.symbol, gap.interval),
                gap.gap_start.replace(tzinfo=UTC),
                gap.gap_end.replace(tzinfo=UTC),
                settings,
            )
        )
    )
