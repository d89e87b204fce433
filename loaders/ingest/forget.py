"""Takes out what files brought, rows and ledger, and logs the ranges so that the marts follow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
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
from loaders.warehouse.ledger import FailedFile, LandedFile, Totals


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Files that went, those that only partly lie in the range of days and were left, and what was not found.

    `failed` are records of files that were refused; no rows go with them. `similar` has, for symbols that were not
    found, those that may have been meant.
    """

    files: tuple[LandedFile, ...]
    partly: tuple[LandedFile, ...]
    unknown: tuple[str, ...] = ()
    failed: tuple[FailedFile, ...] = ()
    rows: int = 0
    similar: Mapping[str, list[str]] = field(default_factory=dict)


def choose(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], selection: Selection, *, only_failed: bool = False
) -> Forgotten:
    """Files of the ledger that match. A range of days takes files that lie in it wholly: half a file cannot go.

    `only_failed` leaves what landed.

    Raises `NothingToForget`.
    """
    landed = [] if only_failed else list(ledger.landed_files(connection).values())
    refused = ledger.failed_files(connection)
    known_paths = {file.path for file in landed} | {file.path for file in refused}
    known = _known_paths(paths, known_paths)
    named = set(known.values())
    matching = [file for file in landed if (not paths or file.path in named) and _asked_for(file.identity, selection)]
    failed = tuple(file for file in refused if (not paths or file.path in named) and _failed_asked_for(file, selection))
    unknown = [printable(path) for path in paths if path not in known]
    symbols = {file.identity.symbol for file in matching} | {file.identity.symbol for file in failed if file.identity}
    others = {file.identity.symbol for file in landed} | {file.identity.symbol for file in refused if file.identity}
    missing = [symbol for symbol in sorted(selection.symbols) if symbol not in symbols]
    similar = selection.not_found({symbol for symbol in others if symbol})
    unknown += missing
    wholly = tuple(file for file in matching if _within(file.identity, selection.start, selection.end))
    partly = tuple(file for file in matching if file not in wholly)
    if not wholly and not partly and not failed:
        raise NothingToForget([meant(name, similar) for name in unknown])
    return Forgotten(wholly, partly, tuple(unknown), failed, similar=similar)


def meant(name: str, similar: Mapping[str, list[str]]) -> str:
    """What was not found, with what may have been meant."""
    return f"{name} (did you mean {' or '.join(found)}?)" if (found := similar.get(name)) else name


def forget(
    warehouse: Warehouse,
    settings: Settings,
    paths: Sequence[Path],
    selection: Selection,
    arguments: Mapping[str, Any],
    *,
    only_failed: bool = False,
) -> Forgotten:
    """Takes the matching files out, all in one transaction. Raises `NothingToForget`."""
    connection = warehouse.connection
    chosen = choose(connection, paths, selection, only_failed=only_failed)
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
            ledger.forget_files(connection, [file.file_id for files in (chosen.files, chosen.failed) for file in files])
        status = "finished"
    finally:
        ledger.finish_job(connection, job_id, status, Totals(files_total=len(chosen.files)))
    return replace(chosen, rows=rows)


def _known_paths(paths: Sequence[Path], known: AbstractSet[str]) -> dict[Path, str]:
    """Path as it was given → path as the ledger has it, however either is spelled or linked."""
    found = {path: str(path.absolute()) for path in paths if str(path.absolute()) in known}
    left = {path: os.path.realpath(path) for path in paths if path not in found}
    found |= {path: real for path, real in left.items() if real in known}
    if left.keys() <= found.keys():
        return found
    # Files may have been landed through a link inside the data folder.
    real_paths = {os.path.realpath(path): path for path in known}
    return found | {path: real_paths[real] for path, real in left.items() if real in real_paths}


def _failed_asked_for(file: FailedFile, selection: Selection) -> bool:
    """A file whose name was refused is asked for by its path, or where nothing is chosen."""
    if file.identity is None:
        return selection == Selection()
    return _asked_for(file.identity, selection) and _within(file.identity, selection.start, selection.end)


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
