"""Commands that bring history in: `plan`, `fetch`, `backfill`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from loaders.cli.context import Context
from loaders.cli.options import kline_type_option, market_option, new_folders_option, selecting, wait_option
from loaders.datasets import Market
from loaders.errors import WrongUsage
from loaders.progress import reporter, transfer
from loaders.runs import fetch as fetching
from loaders.runs.sourcing import SourceRequest
from loaders.selection import Selection


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what is wanted of the sources, and where it goes; the command gets them as one `request`."""

    @functools.wraps(command)
    def with_request(
        *given: Any,
        folders: tuple[Path, ...],
        selection: Selection,
        market: str,
        kline_types: tuple[str, ...],
        **others: Any,
    ) -> Any:
        if not folders:
            raise WrongUsage("no data folder: name one with --data-dir, or set LOADERS_DATA_DIR")
        wanted = tuple(one.absolute() for one in folders)
        return command(*given, request=SourceRequest(wanted, selection, cast(Market, market), kline_types), **others)

    return new_folders_option(selecting(market_option(kline_type_option(wait_option(with_request)))))


@click.command()
@asking
@click.option(
    "--list",
    "download_list",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write down what nobody serves: file names and addresses, one a line.",
)
@click.pass_obj
def plan(context: Context, request: SourceRequest, download_list: Path | None, wait_seconds: float) -> int:
    """For a range of days: which part is on disk, in the archive, on REST, and what nobody serves.

    Asks for listings only. `fetch` and `backfill` do what it says.
    """
    # `plan` and `backfill` know what lands files, which takes a fifth of the time that `fetch` needs to start.
    from loaders.runs import source_plan

    made = source_plan.make(
        context.settings, context.warehouse, request, lambda line: click.echo(line, err=True), wait=wait_seconds
    )
    if download_list is not None:
        source_plan.write_list(made, download_list)
    context.answer(source_plan.to_dict(made), source_plan.text(made))
    return 0


@click.command()
@asking
@click.option("--dry-run", is_flag=True, help="Print files and bytes; fetch nothing.")
@click.pass_obj
def fetch(context: Context, request: SourceRequest, dry_run: bool, wait_seconds: float) -> int:
    """Downloads archive files that are missing or have changed, verified against their published checksums.

    Without options: what is landed already, up to yesterday. Of a symbol that is new: five-minute candles, open
    interest and funding. Whole months come as one file where the archive has it, the rest by the day.
    """
    result = fetching.fetch(
        context.settings, context.warehouse, request, transfer(), dry_run=dry_run, wait_seconds=wait_seconds
    )
    context.answer(fetching.to_dict(result, dry_run=dry_run), fetching.text(result, dry_run=dry_run))
    return result.exit_status


@click.command()
@asking
@click.option("--dry-run", is_flag=True, help="Print the ranges that would be asked for; ask nothing.")
@click.option("--follow", is_flag=True, help="Keep collecting, every five minutes, until stopped.")
@click.pass_obj
def backfill(context: Context, request: SourceRequest, dry_run: bool, follow: bool, wait_seconds: float) -> int:
    """Fills gaps, and the time since the last row, from REST where the exchange still has them.

    Every answer is kept as a file below `rest/` in the first data folder, and landed. `dbt build` afterwards brings the
    rows into the marts; `loaders gaps` shows what came of each attempt.
    """
    from loaders.runs import backfill as backfilling

    settings, path = context.settings, context.warehouse
    if follow:
        if dry_run:
            raise WrongUsage("--follow and --dry-run cannot go together")
        backfilling.follow(settings, path, request, reporter, lambda line: click.echo(line, err=True))
        return 0
    result = backfilling.backfill(settings, path, request, reporter(), dry_run=dry_run, wait_seconds=wait_seconds)
    context.answer(backfilling.to_dict(result, dry_run=dry_run), backfilling.text(result, dry_run=dry_run))
    return result.exit_status
