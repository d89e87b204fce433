"""Commands that change what is landed, or look before they do: `load`, `forget`, `check`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import click

from loaders import warehouse
from loaders.cli import plan_view
from loaders.cli.context import Context
from loaders.cli.options import folders_option, market_option, max_age_option, selecting, wait_option
from loaders.datasets import Market
from loaders.errors import WrongUsage
from loaders.ingest import forget as forgetting
from loaders.ingest import load as loading
from loaders.ingest import preflight
from loaders.ingest.load import Request
from loaders.ingest.preflight import require_room
from loaders.progress import reporter
from loaders.rendering import counted, near
from loaders.selection import Selection, not_found_lines
from loaders.warehouse import ledger


@click.command()
@folders_option
@selecting
@market_option
@click.option("--dry-run", is_flag=True, help="Print the plan; change nothing.")
@click.option("--verify", is_flag=True, help="Hash files that look unchanged, too.")
@click.option("--resume", metavar="JOB", help="Go on with a job, with its own options.")
@wait_option
@click.option("--throttle-ms", type=click.IntRange(min=0), help="Pause between files; 200 for a spinning disk.")
@click.option("--retries", type=click.IntRange(min=0), help="Repetitions after an error that can pass.")
@click.pass_obj
def load(
    context: Context,
    folders: tuple[Path, ...],
    selection: Selection,
    market: str,
    dry_run: bool,
    verify: bool,
    resume: str | None,
    wait_seconds: float,
    throttle_ms: int | None,
    retries: int | None,
) -> int:
    """Lands files of the data folders; what was landed unchanged is skipped."""
    settings = context.settings
    request = Request(
        tuple(folder.absolute() for folder in folders),
        selection,
        cast(Market, market),
        verify,
        settings.throttle_ms if throttle_ms is None else throttle_ms,
        settings.retries if retries is None else retries,
    )
    if resume is not None:
        with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
            request = loading.request_of(ledger.arguments_of(connection, resume))
    if not request.folders:
        raise WrongUsage("no data folder: name one with --data-dir, or set LOADERS_DATA_DIR")
    if dry_run:
        planned = plan_view.make(context.warehouse, request, wait_seconds)
        context.answer(plan_view.to_dict(planned), plan_view.text(planned))
        return planned.exit_status
    with (
        warehouse.writer(settings, context.warehouse, readable=request.folders, wait_seconds=wait_seconds) as opened,
        reporter() as progress,
    ):
        report = loading.load(opened, settings, request, progress, ready=require_room)
    result = loading.to_dict(report)
    totals = report.totals
    text = (
        f"{totals.files_loaded:,} files loaded ({totals.rows_loaded:,} rows), {totals.files_skipped:,} skipped, "
        f"{totals.files_failed:,} failed, {totals.rows_rejected} rows rejected (job {report.job_id})"
    )
    if report.unrecognised:
        text += (
            f"\n{len(report.unrecognised)} unrecognised files (names of no dataset) were left alone, "
            f"such as {near(report.unrecognised[0])}"
        )
    for folder in report.empty_folders:
        text += f"\n{near(folder)} holds no file of a dataset: is the disk mounted, the path right?"
    for line in not_found_lines(report.not_found, "file of the data folders"):
        text += f"\n{line}"
    if report.signal is not None:
        text += (
            f"\nended by signal {report.signal} between files: run it again, or `loaders load --resume {report.job_id}`"
        )
    context.answer(result, text)
    return report.exit_status


@click.command()
@click.option(
    "--file", "paths", type=click.Path(path_type=Path), multiple=True, help="What this file brought; repeatable."
)
@click.option("--failed", "only_failed", is_flag=True, help="Only records of files that failed; nothing that landed.")
@selecting
@click.option("--dry-run", is_flag=True, help="Print what would go; change nothing.")
@wait_option
@click.pass_obj
def forget(
    context: Context,
    paths: tuple[Path, ...],
    only_failed: bool,
    selection: Selection,
    dry_run: bool,
    wait_seconds: float,
) -> int:
    """Takes out what a file, an exchange, a symbol or a range of days brought, ledger included.

    A range of days takes the files that lie in it wholly; those that only partly do are named and stay. Records of
    files that failed go as well: by their path, as `status` shows it, or all of them (--failed).
    """
    if not paths and not only_failed and selection == Selection():
        raise WrongUsage(
            "say what to forget: --file, --failed, --exchange, --symbol, --dataset, --interval, --start or --end"
        )
    # Checked first, so that a mistyped path does not make a new warehouse.
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
        gone = forgetting.choose(connection, paths, selection, only_failed=only_failed)
    if not dry_run:
        arguments = {"files": [str(path) for path in paths], "only_failed": only_failed, "selection": str(selection)}
        with warehouse.writer(context.settings, context.warehouse, wait_seconds=wait_seconds) as opened:
            gone = forgetting.forget(opened, context.settings, paths, selection, arguments, only_failed=only_failed)
    result = {
        "dry_run": dry_run,
        "forgotten": [file.path for file in gone.files],
        "failed": [file.path for file in gone.failed],
        "rows": gone.rows,
        "left_because_partly_outside": [file.path for file in gone.partly],
        "not_found": list(gone.unknown),
    }
    verb = "would be forgotten" if dry_run else f"forgotten ({counted(gone.rows, 'row')})"
    lines = [*(near(file.path) for file in gone.files), *(near(file.path) for file in gone.failed)]
    lines.append(f"{counted(len(gone.files), 'file')} {verb}")
    if gone.failed:
        lines[-1] += f", {counted(len(gone.failed), 'record')} of files that failed"
    lines += [f"left, only partly within the days: {near(file.path)}" for file in gone.partly]
    lines += [f"not found in the ledger: {forgetting.meant(name, gone.similar)}" for name in gone.unknown]
    context.answer(result, "\n".join(lines))
    return 1 if gone.unknown else 0


@click.command()
@folders_option
@selecting
@market_option
@max_age_option
@click.pass_obj
def check(
    context: Context,
    folders: tuple[Path, ...],
    selection: Selection,
    market: str,
    max_age: timedelta | None,
) -> int:
    """Looks before a load: lock, disk, warehouse, folders, files, age of the data, clock. Changes nothing."""
    request = Request(tuple(folder.absolute() for folder in folders), selection, cast(Market, market))
    surveyed = preflight.survey(context.warehouse, request)
    checks = list(preflight.checks(context.warehouse, request, surveyed, max_age))
    passed = all(one.passed for one in checks)
    context.answer({"passed": passed, "checks": preflight.to_dict(checks)}, preflight.text(checks))
    return 0 if passed else 1
