"""Commands that judge what was built and hand it to readers: `validate`, `publish`."""

from __future__ import annotations

from pathlib import Path

import click

from loaders.cli.context import Context
from loaders.cli.options import published_option, wait_option
from loaders.delivery import publish as publishing
from loaders.validation import runner


@click.command()
@wait_option
@click.pass_obj
def validate(context: Context, wait_seconds: float) -> int:
    """Asks the warehouse all expectations: keys, limits, nothing lost between tables.

    Writes pages about it (Data Docs) to LOADERS_DATA_DOCS, default target/data_docs; open index.html there. Results are
    kept in ops.validation_results. Exit status 1 if an expectation did not pass, or could not be asked.
    """
    validation = runner.validate(context.settings, context.warehouse, wait_seconds=wait_seconds)
    context.answer(runner.to_dict(validation), runner.text(validation))
    return 0 if validation.passed else 1


@click.command()
@published_option
@wait_option
@click.pass_obj
def publish(context: Context, target: Path | None, wait_seconds: float) -> int:
    """Replaces the file that clients open by one with the marts as they are now.

    Only if `dbt build` ran whole, its tests passed and `loaders validate` passed, all since the last file was landed;
    else the exit status is 1 and the last file stays. A symbol that a check finds false is left out, and told: the exit
    status is 1, too. Who has the old file open keeps it. Clients open it read-only,
    from DuckDB 1.0 on; its table `published` says when and from which job it was written.
    """
    publication = publishing.publish(
        context.settings, context.warehouse, context.published(target), wait_seconds=wait_seconds
    )
    context.answer(publishing.to_dict(publication), publishing.text(publication))
    return publication.exit_status
