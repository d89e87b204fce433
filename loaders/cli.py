"""The command line: parses, calls, reports. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import click
import duckdb

from loaders import demo as demonstration
from loaders import forgetting, gaps, ledger, loading, pipeline, planning, preflight, publishing, quality, warehouse
from loaders import status as reporting
from loaders.datasets import DATASETS, INTERVALS, SYMBOL, Market
from loaders.discovery import Selection
from loaders.ending import EndedBySignal, by_signal
from loaders.errors import LoadersError, WrongUsage
from loaders.loading import Request
from loaders.progress import reporter
from loaders.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """What every command is given."""

    settings: Settings
    warehouse: Path
    as_json: bool

    def published(self, target: Path | None) -> Path:
        """The file that clients open, absolute."""
        return target.expanduser().absolute() if target else self.settings.published_path()

    def answer(self, facts: dict[str, Any], text: str) -> None:
        """Prints a result, as text or as one JSON document."""
        click.echo(json.dumps(facts, default=str, indent=2) if self.as_json else text)


class Day(click.ParamType[datetime]):
    """A UTC day, 2026-06-28."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Midnight at the day's start, UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{value!r} is no day: write it as 2026-06-28", param, ctx)


class Symbol(click.ParamType[str]):
    """A symbol as the exchange writes it."""

    name = "symbol"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The symbol itself, checked."""
        if not SYMBOL.fullmatch(value):
            self.fail(f"{value!r} is no symbol: capitals and digits, such as BTCUSDT or BTCUSDT_240329", param, ctx)
        return str(value)


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose among files or rows; the command gets them as one `selection`."""

    @functools.wraps(command)
    def with_selection(
        *given: Any,
        symbols: tuple[str, ...],
        datasets: tuple[str, ...],
        intervals: tuple[str, ...],
        start: datetime | None,
        end: datetime | None,
        **others: Any,
    ) -> Any:
        selection = selection_of(symbols, datasets, intervals, start, end)
        return command(*given, selection=selection, **others)

    chosen: Callable[..., Any] = with_selection
    for option in reversed(
        (
            click.option("--symbol", "symbols", type=Symbol(), multiple=True, help="Only this symbol; repeatable."),
            click.option(
                "--dataset",
                "datasets",
                type=click.Choice(DATASETS),
                multiple=True,
                help="Only this dataset; repeatable.",
            ),
            click.option(
                "--interval",
                "intervals",
                type=click.Choice(list(INTERVALS)),
                multiple=True,
                help="Only candles of this length.",
            ),
            click.option("--start", type=Day(), help="First UTC day, 2026-06-28."),
            click.option("--end", type=Day(), help="Last UTC day, included."),
        )
    ):
        chosen = option(chosen)
    return chosen


def selection_of(
    symbols: tuple[str, ...],
    datasets: tuple[str, ...],
    intervals: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
) -> Selection:
    """The choice that the options describe. Raises `WrongUsage` if it ends before it starts."""
    if start and end and end < start:
        raise WrongUsage(f"--end {end:%Y-%m-%d} is before --start {start:%Y-%m-%d}: swap them")
    return Selection(
        frozenset(symbols),
        frozenset(datasets),
        frozenset(intervals),
        start,
        end + timedelta(days=1) if end else None,
    )


_folders = click.option(
    "--data-dir",
    "folders",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    envvar="LOADERS_DATA_DIR",
    help="Folder with files; repeatable, the first counts first.",
)
_market = click.option(
    "--market",
    type=click.Choice(["um", "cm", "spot"]),
    default="um",
    show_default=True,
    help="Market of files whose folders do not say.",
)
_wait = click.option(
    "--wait", "wait_seconds", type=click.FloatRange(min=0), default=0, help="Seconds to wait for another writer."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LOADERS"})
@click.option(
    "--warehouse",
    "warehouse_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOADERS_WAREHOUSE",
    help="The DuckDB file; default warehouse.duckdb in the project's folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print results as one JSON document.")
@click.pass_context
def cli(context: click.Context, warehouse_path: Path | None, as_json: bool) -> None:
    """Lands exchange history files in a DuckDB warehouse, and keeps book of it."""
    settings = Settings()
    if warehouse_path is not None:
        settings = settings.model_copy(update={"warehouse": warehouse_path})
    context.obj = Context(settings, settings.warehouse_path(), as_json)


@cli.command()
@_folders
@selecting
@_market
@click.option("--dry-run", is_flag=True, help="Print the plan; change nothing.")
@click.option("--verify", is_flag=True, help="Hash files that look unchanged, too.")
@click.option("--resume", metavar="JOB", help="Go on with a job, with its own options.")
@_wait
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
        return _dry_run(context, request, wait_seconds)
    with (
        warehouse.writer(settings, context.warehouse, readable=request.folders, wait_seconds=wait_seconds) as opened,
        reporter() as progress,
    ):
        report = loading.load(opened, settings, request, progress, ready=preflight.require_room)
    facts = loading.facts(report)
    totals = report.totals
    text = (
        f"{totals.files_loaded} files loaded ({totals.rows_loaded:,} rows), {totals.files_skipped} skipped, "
        f"{totals.files_failed} failed, {totals.rows_rejected} rows rejected (job {report.job_id})"
    )
    if report.strangers:
        text += (
            f"\n{len(report.strangers)} files with names of no dataset were left alone, such as {report.strangers[0]}"
        )
    if report.signal is not None:
        text += (
            f"\nended by signal {report.signal} between files: run it again, or `loaders load --resume {report.job_id}`"
        )
    context.answer(facts, text)
    return report.exit_status


def _dry_run(context: Context, request: Request, wait_seconds: float) -> int:
    exists = context.warehouse.exists()
    opened = warehouse.reader(context.warehouse, wait_seconds=wait_seconds) if exists else nullcontext(None)
    with opened as connection:
        found, steps = loading.survey(connection, request)
    steps = list(loading.settle(steps))
    work = planning.to_do(steps)
    facts = {
        "dry_run": True,
        "steps": [
            {
                "path": step.candidate.path,
                "action": step.action.value,
                "reason": step.reason,
                "bytes": step.candidate.size_bytes,
            }
            for step in steps
        ],
        "refused": [{"path": one.path, "reason": one.reason} for one in found.refused],
        "strangers": found.strangers,
        "files": len(work),
        "bytes": sum(step.candidate.size_bytes for step in work),
    }
    lines = [f"{step.action.value:8} {step.candidate.path}  ({step.reason})" for step in steps]
    lines += [f"{'refuse':8} {one.path}  ({one.reason})" for one in found.refused]
    lines += [f"{'ignore':8} {path}  (not named like an archive file)" for path in found.strangers]
    size = sum(step.candidate.size_bytes for step in work)
    lines.append(f"{len(work)} files to land, {size:,} bytes; {len(steps) - len(work)} to skip; nothing was changed")
    context.answer(facts, "\n".join(lines))
    return 1 if found.refused else 0


@cli.command()
@click.option(
    "--file", "paths", type=click.Path(path_type=Path), multiple=True, help="What this file brought; repeatable."
)
@selecting
@click.option("--dry-run", is_flag=True, help="Print what would go; change nothing.")
@_wait
@click.pass_obj
def forget(
    context: Context,
    paths: tuple[Path, ...],
    selection: Selection,
    dry_run: bool,
    wait_seconds: float,
) -> int:
    """Takes out what a file, a symbol or a range of days brought, ledger included.

    A range of days takes the files that lie in it wholly; those that only partly do are named and stay.
    """
    if not paths and selection == Selection():
        raise WrongUsage("say what to forget: --file, --symbol, --dataset, --interval, --start or --end")
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
    facts = {
        "dry_run": dry_run,
        "forgotten": [file.path for file in gone.files],
        "rows": gone.rows,
        "left_because_partly_outside": [file.path for file in gone.partly],
    }
    verb = "would be forgotten" if dry_run else f"forgotten ({gone.rows:,} rows)"
    lines = [*(file.path for file in gone.files), f"{len(gone.files)} files {verb}"]
    lines += [f"left, only partly within the days: {file.path}" for file in gone.partly]
    context.answer(facts, "\n".join(lines))
    return 0


@cli.command()
@_folders
@selecting
@_market
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
    facts = {
        "passed": passed,
        "checks": [{"name": one.name, "passed": one.passed, "detail": one.detail} for one in checks],
    }
    context.answer(facts, "\n".join(f"{'ok' if one.passed else 'FAIL':5} {one.name:10} {one.detail}" for one in checks))
    return 0 if passed else 1


@cli.command()
@click.option("--overlaps", is_flag=True, help="List files of one series whose times overlap, too.")
@_wait
@click.pass_obj
def status(context: Context, overlaps: bool, wait_seconds: float) -> int:
    """Jobs, files, rows, coverage by symbol and dataset, failures with their reasons."""
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
        answer = reporting.facts(connection, overlaps=overlaps)
    context.answer(dict(answer), reporting.text(answer))
    return 0


@cli.command("gaps")
@selecting
@_wait
@click.pass_obj
def show_gaps(
    context: Context,
    selection: Selection,
    wait_seconds: float,
) -> int:
    """The holes in the data, as the last `dbt build` saw them: which file would fill each, and whether REST has it.

    A hole is a fact, not a failure: the exit status is 0.
    """
    with warehouse.reader(context.warehouse, wait_seconds=wait_seconds) as connection:
        found = gaps.find(connection, selection, ledger.now())
    context.answer(gaps.facts(found), gaps.text(found))
    return 0


@cli.command()
@_wait
@click.pass_obj
def validate(context: Context, wait_seconds: float) -> int:
    """Asks the warehouse all expectations: keys, limits, nothing lost between tables.

    Writes pages about it (Data Docs) to LOADERS_DATA_DOCS, default target/data_docs; open index.html there. Results are
    kept in ops.validation_results. Exit status 1 if an expectation did not pass, or could not be asked.
    """
    validation = quality.validate(context.settings, context.warehouse, wait_seconds=wait_seconds)
    context.answer(quality.facts(validation), quality.text(validation))
    return 0 if validation.passed else 1


_published = click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOADERS_PUBLISHED",
    help="File that clients open; default marts.duckdb beside the warehouse.",
)


@cli.command()
@_published
@_wait
@click.pass_obj
def publish(context: Context, target: Path | None, wait_seconds: float) -> int:
    """Replaces the file that clients open by one with the marts as they are now.

    Only if `dbt build` ran whole, its tests passed and `loaders validate` passed, all since the last file was landed;
    else the exit status is 1 and the last file stays. Who has the old file open keeps it. Clients open it read-only,
    from DuckDB 1.0 on; its table `published` says when and from which job it was written.
    """
    publication = publishing.publish(
        context.settings, context.warehouse, context.published(target), wait_seconds=wait_seconds
    )
    context.answer(publishing.facts(publication), publishing.text(publication))
    return 0


@cli.command()
@_folders
@selecting
@_market
@_published
@click.option(
    "--notify",
    metavar="URL|COMMAND",
    envvar="LOADERS_NOTIFY",
    help="Told if the exit status is 1 or a check turned bad: JSON by POST to a URL, or on a command's standard input.",
)
@_wait
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
        context.answer(pipeline.facts(done), "")
    return done.exit_status


@cli.command()
@click.pass_obj
def demo(context: Context) -> int:
    """Generates sample files, lands and builds them, and shows what came out. Uses its own warehouse in demo/."""
    summary = demonstration.run(context.settings, reporter())
    context.answer(demonstration.facts(summary), demonstration.text(summary))
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors with a name become one line and their exit status."""
    try:
        with by_signal():
            status = cli.main(arguments, standalone_mode=False)
    except EndedBySignal as ended:
        click.echo("interrupted", err=True)
        status = 128 + ended.number
    except click.exceptions.Exit as ended:
        status = ended.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        status = 130
    except LoadersError as error:
        click.echo(f"loaders: {error}", err=True)
        status = error.exit_status
    except duckdb.Error as error:
        click.echo(f"loaders: the engine gave up, what was committed is whole: {error}", err=True)
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
