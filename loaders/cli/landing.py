"""Commands that change what is landed, or look before they do: `load`, `forget`, `check`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import cast

import click

from loaders import warehouse
from loaders.cli.context import Context
from loaders.cli.options import folders_option, market_option, selecting, wait_option
from loaders.datasets import Market
from loaders.errors import WrongUsage
from loaders.ingest import forget as forgetting
from loaders.ingest import load as loading
from loaders.ingest import preflight
from loaders.ingest.load import Request
from loaders.ingest.plan import to_do
from loaders.ingest.preflight import require_room
from loaders.progress import reporter
from loaders.selection import Selection
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
        return _show_plan(context, request, wait_seconds)
    with (
        warehouse.writer(settings, context.warehouse, readable=request.folders, wait_seconds=wait_seconds) as opened,
        reporter() as progress,
    ):
        report = loading.load(opened, settings, request, progress, ready=require_room)
    result = loading.to_dict(report)
    totals = report.totals
    text = (
        f"{totals.files_loaded} files loaded ({totals.rows_loaded:,} rows), {totals.files_skipped} skipped, "
        f"{totals.files_failed} failed, {totals.rows_rejected} rows rejected (job {report.job_id})"
    )
    if report.unrecognised:
        text += (
            f"\n{len(report.unrecognised)} unrecognised files (names of no dataset) were left alone, "
            f"such as {report.unrecognised[0]}"
        )
    if report.signal is not None:
        text += (
            f"\nended by signal {report.signal} between files: run it again, or `loaders load --resume {report.job_id}`"
        )
    context.answer(result, text)
    return report.exit_status


def _show_plan(context: Context, request: Request, wait_seconds: float) -> int:
    exists = context.warehouse.exists()
    opened = warehouse.reader(context.warehouse, wait_seconds=wait_seconds) if exists else nullcontext(None)
    with opened as connection:
        found, steps = loading.survey(connection, request)
    steps = list(loading.settle(steps, found))
    work = to_do(steps)
    result = {
        "dry_run": True,
        "steps": [
            {
                "path": step.candidate.location,
                "action": step.action.value,
                "reason": step.reason,
                "bytes": step.candidate.size_bytes,
            }
            for step in steps
        ],
        "refused": [{"path": one.path, "reason": one.reason} for one in found.refused],
        "unrecognised": found.unrecognised,
        "files": len(work),
        "bytes": sum(step.candidate.size_bytes for step in work),
    }
    lines = [f"{step.action.value:8} {step.candidate.location}  ({step.reason})" for step in steps]
    lines += [f"{'refuse':8} {one.path}  ({one.reason})" for one in found.refused]
    lines += [f"{'ignore':8} {path}  (not named like an archive file)" for path in found.unrecognised]
    size = sum(step.candidate.size_bytes for step in work)
    lines.append(f"{len(work)} files to land, {size:,} bytes; {len(steps) - len(work)} to skip; nothing was changed")
    context.answer(result, "\n".join(lines))
    return 1 if found.refused else 0


@click.command()
@click.option(
    "--file", "paths", type=click.Path(path_type=Path), multiple=True, help="What this file brought; repeatable."
)
@selecting
@click.option("--dry-run", is_flag=True, help="Print what would go; change nothing.")
@wait_option
@click.pass_obj
def forget(
    context: Context,
    paths: tuple[Path, ...],
    selection: Selection,
    dry_run: bool,
    wait_seconds: float,
) -> int:
    """Takes out what a file, an exchange, a symbol or a range of days brought, ledger included.

    A range of days takes the files that lie in it wholly; those that only partly do are named and stay.
    """
    if not paths and selection == Selection():
        raise WrongUsage("say what to forget: --file, --exchange, --symbol, --dataset, --interval, --start or --end")
    if dry_run:
        with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
            gone = forgetting.choose(connection, paths, selection)
    else:
        # Checked first, so that a mistyped path does not make a new warehouse.
        with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
            forgetting.choose(connection, paths, selection)
        arguments = {"files": [str(path) for path in paths], "selection": str(selection)}
        with warehouse.writer(context.settings, context.warehouse, wait_seconds=wait_seconds) as opened:
            gone = forgetting.forget(opened, context.settings, paths, selection, arguments)
    result = {
        "dry_run": dry_run,
        "forgotten": [file.path for file in gone.files],
        "rows": gone.rows,
        "left_because_partly_outside": [file.path for file in gone.partly],
        "not_found": list(gone.unknown),
    }
    verb = "would be forgotten" if dry_run else f"forgotten ({gone.rows:,} rows)"
    lines = [*(file.path for file in gone.files), f"{len(gone.files)} files {verb}"]
    lines += [f"left, only partly within the days: {file.path}" for file in gone.partly]
    lines += [f"not found among the landed files: {name}" for name in gone.unknown]
    context.answer(result, "\n".join(lines))
    return 1 if gone.unknown else 0


@click.command()
@folders_option
@selecting
@market_option
@click.pass_obj
def check(
    context: Context,
    folders: tuple[Path, ...],
    selection: Selection,
    market: str,
) -> int:
    """Looks before a load: lock, disk, warehouse, files, clock. Changes nothing."""
    request = Request(tuple(folder.absolute() for folder in folders), selection, cast(Market, market))
    checks = list(preflight.checks(context.warehouse, request))
    passed = all(one.passed for one in checks)
    result = {
        "passed": passed,
        "checks": [{"name": one.name, "passed": one.passed, "detail": one.detail} for one in checks],
    }
    context.answer(
        result, "\n".join(f"{'ok' if one.passed else 'FAIL':5} {one.name:10} {one.detail}" for one in checks)
    )
    return 0 if passed else 1
