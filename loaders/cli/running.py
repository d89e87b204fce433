"""Commands that do everything in order: `run`, `demo`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import click

from loaders.cli import plan_view
from loaders.cli.context import Context
from loaders.cli.options import (
    folders_option,
    market_option,
    max_age_option,
    published_option,
    selecting,
    wait_option,
)
from loaders.datasets import Market
from loaders.delivery.publish import require_replaceable
from loaders.errors import LoadersError, NotNotified, WrongUsage
from loaders.ingest import preflight
from loaders.ingest.load import Request
from loaders.progress import reporter
from loaders.runs import demo as demonstration
from loaders.runs import pipeline
from loaders.runs.notify import send_notice
from loaders.selection import Selection


class NotifyingCommand(click.Command):
    """A command whose `--notify` is told of wrong usage as well: a data folder that is not mounted, say."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As for every command; what cannot be parsed is told before it ends the command."""
        given = list(args)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            lenient = super().make_context(info_name, given, parent, resilient_parsing=True)
            _tell(lenient.params.get("notify"), error.format_message(), error.exit_code)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """As for every command; an error that the run itself could not tell is told."""
        try:
            return super().invoke(ctx)
        except LoadersError as error:
            _tell(ctx.params.get("notify"), str(error), error.exit_status)
            raise


def _tell(target: str | None, message: str, exit_status: int) -> None:
    if not target:
        return
    try:
        send_notice(target, {"text": f"loaders run did not start: {message}", "exit_status": exit_status})
    except NotNotified as error:
        click.echo(f"nobody was notified: {error}", err=True)


@click.command(cls=NotifyingCommand)
@folders_option
@selecting
@market_option
@published_option
@click.option(
    "--notify",
    metavar="URL|COMMAND",
    envvar="LOADERS_NOTIFY",
    help="Told if the exit status is not 0, a check is worse than before, or a run is good again: JSON by POST to a "
    "URL, or on the standard input of a command, which is run without a shell.",
)
@click.option(
    "--ping",
    metavar="URL",
    envvar="LOADERS_PING",
    help="Asked by GET after a run with status 0, for a monitor that raises the alarm when it was not asked.",
)
@max_age_option
@click.option("--dry-run", is_flag=True, help="Print the checks and what would be loaded; change nothing.")
@click.option("--fetch", "fetches", is_flag=True, help="First download what the archive has that is not here.")
@click.option("--backfill", "backfills", is_flag=True, help="Then ask REST for gaps and for what came since.")
@click.option(
    "--full",
    is_flag=True,
    help="Build, ask and publish everything, not only what changed: once a week, and after restoring a backup. Finds "
    "rows that were altered behind the loaders.",
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
    ping: str | None,
    max_age: timedelta | None,
    dry_run: bool,
    fetches: bool,
    backfills: bool,
    full: bool,
    wait_seconds: float,
) -> int:
    """(Fetch, backfill,) check, load, build, validate, publish: one job, one line a step. What cron calls.

    Each step does what changed since it last went well; where nothing did, it says so. What passed is published even
    if a file had to be refused; the file is named and the exit status is 1. If a model, a test or an expectation fails,
    the last published file stays. Exit status 75: the warehouse is busy, try later.
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
    if dry_run:
        return _show_plan(context, request, max_age, wait_seconds)
    # Not after hours of loading.
    require_replaceable(context.warehouse, context.published(target))
    done = pipeline.run(
        settings,
        context.warehouse,
        request,
        context.published(target),
        reporter(),
        # With --json, standard output is one document.
        say=lambda line: click.echo(line, err=context.as_json),
        notify=notify,
        ping=ping,
        wait_seconds=wait_seconds,
        max_age=max_age,
        sources=[name for name, wanted in (("fetch", fetches), ("backfill", backfills)) if wanted],
        full=full,
    )
    if context.as_json:
        context.answer(pipeline.to_dict(done), "")
    return done.exit_status


def _show_plan(context: Context, request: Request, max_age: timedelta | None, wait_seconds: float) -> int:
    """What `check` says and `load` would do; the other steps follow from these."""
    surveyed = preflight.survey(context.warehouse, request)
    checks = list(preflight.checks(context.warehouse, request, surveyed, max_age))
    planned = plan_view.make(context.warehouse, request, wait_seconds, surveyed)
    result = {"checks": preflight.to_dict(checks), **plan_view.to_dict(planned)}
    context.answer(result, f"{preflight.text(checks)}\n\n{plan_view.text(planned)}")
    return max(planned.exit_status, 0 if all(one.passed for one in checks) else 1)


@click.command()
@click.pass_obj
def demo(context: Context) -> int:
    """Generates sample files, lands and builds them, and shows what came out. Uses its own warehouse in demo/."""
    summary = demonstration.run(context.settings, reporter())
    context.answer(demonstration.to_dict(summary), demonstration.text(summary))
    return 0
