"""Commands that do everything in order: `run`, `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from loaders.cli.context import Context
from loaders.cli.options import folders_option, market_option, published_option, selecting, wait_option
from loaders.datasets import Market
from loaders.errors import WrongUsage
from loaders.ingest.load import Request
from loaders.progress import reporter
from loaders.runs import demo as demonstration
from loaders.runs import pipeline
from loaders.selection import Selection


@click.command()
@folders_option
@selecting
@market_option
@published_option
@click.option(
    "--notify",
    metavar="URL|COMMAND",
    envvar="LOADERS_NOTIFY",
    help="Told if the exit status is 1 or a check turned bad: JSON by POST to a URL, or on a command's standard input.",
)
@wait_option
@click.pass_obj
def run(
    context: Context,
    folders: tuple[Path, ...],
    selection: Selection,
    market: str,
    target: Path | None,
    notify: str | None,
    wait_seconds: float,
) -> int:
    """Check, load, build, validate, publish: one job, one line a step. What cron calls.

    What passed is published even if a file had to be refused; the file is named and the exit status is 1. If a model, a
    test or an expectation fails, the last published file stays. Exit status 75: the warehouse is busy, try later.
    """
    settings = context.settings
    request = Request(
        tuple(folder.absolute() for folder in folders),
        selection,
        cast(Market, market),
        throttle_ms=settings.throttle_ms,
        retries=settings.retries,
    )
    if not request.folders:
        raise WrongUsage("no data folder: name one with --data-dir, or set LOADERS_DATA_DIR")
    done = pipeline.run(
        settings,
        context.warehouse,
        request,
        context.published(target),
        reporter(),
        # With --json, standard output is one document.
        say=lambda line: click.echo(line, err=context.as_json),
        notify=notify,
        wait_seconds=wait_seconds,
    )
    if context.as_json:
        context.answer(pipeline.to_dict(done), "")
    return done.exit_status


@click.command()
@click.pass_obj
def demo(context: Context) -> int:
    """Generates sample files, lands and builds them, and shows what came out. Uses its own warehouse in demo/."""
    summary = demonstration.run(context.settings, reporter())
    context.answer(demonstration.to_dict(summary), demonstration.text(summary))
    return 0
