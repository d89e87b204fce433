"""Takes out what files brought, rows and ledger, and logs the ranges so that the marts follow."""

from __future__ import annotations

import os
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
from loaders.paths import printable
from loaders.selection import Selection
from loaders.settings import Settings
from loaders.warehouse import Warehouse, ledger, schema, transaction
from loaders.warehouse.ledger import LandedFile, Totals


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Files that went, those that only partly lie in the range of days and were left, and what was not found."""

    files: tuple[LandedFile, ...]
    partly: tuple[LandedFile, ...]
    unknown: tuple[str, ...] = ()
    rows: int = 0


def choose(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], selection: Selection) -> Forgotten:
    """Landed files that match. A range of days takes files that lie in it wholly: half a file cannot go.

    Raises `NothingToForget`.
    """
    landed = list(ledger.landed_files(connection).values())
    wanted = _landed_paths(paths, landed)
    named = set(wanted.values())
    matching = [file for file in landed if (not paths or file.path in named) and _asked_for(file.identity, selection)]
    symbols = {file.identity.symbol for file in matching}
    unknown = [printable(path) for path in paths if path not in wanted]
    unknown += sorted(symbol for symbol in selection.symbols if symbol not in symbols)
    wholly = tuple(file for file in matching if _within(file.identity, selection.start, selection.end))
    partly = tuple(file for file in matching if file not in wholly)
    if not wholly and not partly:
        raise NothingToForget(unknown)
    return Forgotten(wholly, partly, tuple(unknown))


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
    return Forgotten(chosen.files, chosen.partly, chosen.unknown, rows)


def _landed_paths(paths: Sequence[Path], landed: Sequence[LandedFile]) -> dict[Path, str]:
    """Path as it was given → path under which the file was landed, however either is spelled or linked."""
    known = {file.path for file in landed}
    found = {path: str(path.absolute()) for path in paths if str(path.absolute()) in known}
    left = {path: os.path.realpath(path) for path in paths if path not in found}
    found |= {path: real for path, real in left.items() if real in known}
    if left.keys() <= found.keys():
        return found
    # Files may have been landed through a link inside the data folder.
    real_paths = {os.path.realpath(path): path for path in known}
    return found | {path: real_paths[real] for path, real in left.items() if real in real_paths}


def _asked_for(identity: Identity, selection: Selection) -> bool:
    """Unlike for loading, a file that names no symbol is not taken for one that is asked for."""
    if (selection.symbols or selection.assets) and identity.symbol is None:
        return False
    if selection.intervals and identity.interval is None:
        return False
    return selection.takes(identity)


def _within(identity: Identity, start: datetime | None, end: datetime | None) -> bool:
    if start is None and end is None:
        return True
    if identity.period_start is None:
        return False
    if identity.period_end is None and end is not None:
        return False
    return (start is None or identity.period_start >= start) and (
        end is None or identity.period_end is None or identity.period_end <= end
    )


def _layout_of(identity: Identity) -> FileLayout:
    return next(
        layout
        for layout in LAYOUTS.values()
        if (layout.exchange, layout.dataset) == (identity.exchange, identity.dataset)
        and layout.many_symbols == (identity.symbol is None)
    )
