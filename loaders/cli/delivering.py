"""Commands that judge what was built and hand it to readers: `validate`, `publish`, `export`, `report`, `serve`."""

from __future__ import annotations

from pathlib import Path

import click

from loaders.cli.context import Context
from loaders.cli.options import Symbol, published_option, wait_option
from loaders.delivery import export as exporting
from loaders.delivery import publish as publishing
from loaders.errors import ExtraMissing
from loaders.validation import runner


@click.command()
@click.option(
    "--full",
    is_flag=True,
    help="Ask everything of everything: once a week, and after restoring a backup. Only this finds rows that were "
    "altered behind the loaders in files that did not change.",
)
@wait_option
@click.pass_obj
def validate(context: Context, full: bool, wait_seconds: float) -> int:
    """Asks the warehouse all expectations: keys, limits, nothing lost between tables.

    Asks of what was landed or rebuilt since they last passed; of everything with --full, and after a `dbt build` by
    hand. Writes pages about it (Data Docs) to LOADERS_DATA_DOCS, default target/data_docs; open index.html there.
    Results are kept in ops.validation_results. Exit status 1 if an expectation did not pass, or could not be asked.
    """
    validation = runner.validate(context.settings, context.warehouse, wait_seconds=wait_seconds, full=full)
    context.answer(runner.to_dict(validation), runner.text(validation))
    return 0 if validation.passed else 1


@click.command()
@published_option
@click.option("--full", is_flag=True, help="Write every table anew, not only what changed, and even if nothing did.")
@wait_option
@click.pass_obj
def publish(context: Context, target: Path | None, full: bool, wait_seconds: float) -> int:
    """Replaces the file that clients open by one with the marts as they are now.

    Copies what changed since the file was written, and leaves it as it is if nothing did. Only if `dbt build` ran
    whole, its tests passed and `loaders validate` passed, all since the last file was landed; else the exit status is 1
    and the last file stays. A symbol that a check finds false is left out, and told: the exit status is 1, too. Who has
    the old file open keeps it. Clients open it read-only, from DuckDB 1.0 on; its table `published` says when and from
    which job it was written.
    """
    publication = publishing.publish(
        context.settings, context.warehouse, context.published(target), wait_seconds=wait_seconds, full=full
    )
    context.answer(publishing.to_dict(publication), publishing.text(publication))
    return publication.exit_status


@click.command()
@click.option(
    "--to",
    "address",
    required=True,
    envvar="LOADERS_ZONE",
    help="The zone: a folder, or an address such as s3://bucket/zone.",
)
@click.option("--symbol", "symbols", type=Symbol(), multiple=True, help="Only this symbol; repeatable.")
@click.option(
    "--only",
    "areas",
    type=click.Choice(["raw", "marts"]),
    multiple=True,
    default=["raw", "marts"],
    show_default=True,
    help="Raw rows or marts alone.",
)
@click.option("--take-over", is_flag=True, help="Replace symbols that another warehouse exported there.")
@wait_option
@click.pass_obj
def export(
    context: Context,
    address: str,
    symbols: tuple[str, ...],
    areas: tuple[exporting.Area, ...],
    take_over: bool,
    wait_seconds: float,
) -> int:
    """Writes raw rows and marts as Parquet for other engines, only what changed since the last time.

    One file for each table, symbol and month (trades: day), replaced as a whole; manifest.json tells rows, checksum and
    change of each. Raw has one row for each key. Marts go out if `loaders publish` would publish them; a symbol that a
    check finds false is left out of them, and told: the exit status is 1, too. Several warehouses can export to one
    zone, each its own symbols.
    """
    done = exporting.export(
        context.settings,
        context.warehouse,
        address,
        areas=areas,
        symbols=symbols,
        take_over=take_over,
        wait_seconds=wait_seconds,
    )
    context.answer(exporting.to_dict(done), exporting.text(done))
    return done.exit_status


@click.command()
@click.option("--symbol", "symbols", type=Symbol(), multiple=True, help="Only this symbol; repeatable.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOADERS_REPORT",
    help="The page; default report.html beside the warehouse.",
)
@click.option(
    "--png",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A picture of the page, too, of the first symbol; needs chromium or Chrome (LOADERS_BROWSER).",
)
@click.pass_obj
def report(context: Context, symbols: tuple[str, ...], target: Path | None, picture: Path | None) -> int:
    """Writes one HTML page about the published file: candles with the heatmap, the map, the state of the data.

    The page opens anywhere, needs nothing and asks nobody. It is made from LOADERS_PUBLISHED, default marts.duckdb
    beside the warehouse.
    """
    from loaders.delivery.page import report as page

    path = target.expanduser().absolute() if target else context.settings.report_path()
    written = page.write(context.settings, context.settings.published_path(), path, symbols)
    if picture is not None:
        written = page.with_picture(context.settings, written, picture.expanduser().absolute(), symbols)
    context.answer(page.to_dict(written), page.text(written))
    return 0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for everybody.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--allow-origin",
    "origins",
    metavar="ORIGIN",
    multiple=True,
    help="Web pages of this origin may ask, too (CORS); repeatable, none by default.",
)
@click.pass_obj
def serve(context: Context, host: str, port: int, origins: tuple[str, ...]) -> int:
    """Serves the page and the numbers behind it over HTTP, read-only, from the published file.

    Follows new publications by itself. /openapi.json describes the addresses, /health is for monitors. Needs the extra
    `serve` of the package. Ends on SIGTERM and Ctrl-C when the requests at work are answered.
    """
    try:
        from loaders.delivery.service import server
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in ("fastapi", "starlette", "uvicorn", "pyarrow"):
            raise ExtraMissing("serve") from missing
        raise
    server.serve(context.settings, context.settings.published_path(), host=host, port=port, origins=origins)
    return 0
