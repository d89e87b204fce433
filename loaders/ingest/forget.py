"""Takes out what files brought, rows and ledger, and logs the ranges so that the marts follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from loaders.datasets import LAYOUTS, FileLayout, Identity
from loaders.errors import NothingToForget
from loaders.ingest.column_sql import raw_table
from loaders.ingest.raw_rows import count, remove
from loaders.selection import Selection
from loaders.settings import Settings
from loaders.warehouse import Warehouse, ledger, schema, transaction
from loaders.warehouse.ledger import LandedFile, Totals


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Files that went, and those that only partly lie in the range of days and were left."""

    files: tuple[LandedFile, ...]
    partly: tuple[LandedFile, ...]
    rows: int = 0


def choose(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], selection: Selection) -> Forgotten:
    """Landed files that match. A range of days takes files that lie in it wholly: half a file cannot go.

    Raises `NothingToForget`.
    """
    wanted = {str(path.absolute()) for path in paths}
    matching = [
        file
        for file in ledger.landed_files(connection).values()
        if (not wanted or file.path in wanted) and _asked_for(file.identity, selection)
    ]
    wholly = tuple(file for file in matching if _within(file.identity, selection.start, selection.end))
    partly = tuple(file for file in matching if file not in wholly)
    if not wholly and not partly:
        raise NothingToForget
    return Forgotten(wholly, partly)


def forget(
    warehouse: Warehouse,
    settings: Settings,
    paths: Sequence[Path],
    selection: Selection,
    arguments: Mapping[str, Any],
) -> Forgotten:
    """Takes the matching files out, all in one transaction. Raises `NothingToForget`."""
    connection = warehouse.connection
    chosen = choose(connection, paths, selection)
    tables = schema.read_tables(settings.project())
    job_id = ledger.start_job(connection, "forget", arguments)
    rows = 0
    status = "failed"
    try:
        with transaction(connection):
            changes = []
            for file in chosen.files:
                layout = _layout_of(file.identity)
                table = raw_table(tables, layout)
                rows += count(connection, f"select count(*) from {table.quoted} where file_id = $1", [file.file_id])
                changes.append((file.file_id, file.identity, remove(connection, table, layout, file.file_id)))
            ledger.write_changes(connection, job_id, changes)
            ledger.forget_files(connection, [file.file_id for file in chosen.files])
        status = "finished"
    finally:
        ledger.finish_job(connection, job_id, status, Totals(files_total=len(chosen.files)))
    return Forgotten(chosen.files, chosen.partly, rows)


def _asked_for(identity: Identity, selection: Selection) -> bool:
    """Unlike for loading, a file that names no symbol is not taken for one that is asked for."""
    if selection.symbols and identity.symbol is None:
        return False
    if selection.intervals and identity.interval is None:
        return False
    return selection.takes(identity)


def _within(identity: Identity, start: datetime | None, end: datetime | None) -> bool:
    if start is None and end is None:
        return True
    if identity.period_start is None or identity.period_end is None:
        return False
    return (start is None or identity.period_start >= start) and (end is None or identity.period_end <= end)


def _layout_of(identity: Identity) -> FileLayout:
    return next(
        layout
        for layout in LAYOUTS.values()
        if (layout.exchange, layout.dataset) == (identity.exchange, identity.dataset)
        and layout.many_symbols == (identity.symbol is None)
    )
