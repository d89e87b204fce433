"""The published file, as its readers open it: read-only, and able to reach nothing else on the disk.

It is attached to a database in memory, because DuckDB gives everybody in a process who connects to a path the database
that is already open there: a file that was replaced by rename would go on showing its old content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import duckdb

from loaders.errors import PublishedMissing, PublishedUnreadable
from loaders.warehouse.schema import literal

_NAME = "published_file"

_COLUMNS = f"""
    select
        case schema_name when 'main' then table_name else schema_name || '.' || table_name end as table_name,
        column_name,
        data_type
    from duckdb_columns()
    where
        database_name = '{_NAME}'
        -- in a file of another name than marts.duckdb, views on the tables of main
        and schema_name != 'marts'
    order by table_name, column_index
"""


@dataclass(slots=True)
class Published:
    """One publication. `columns` has every table's columns and their types; what it lacks is not in the file."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    cursors: list[duckdb.DuckDBPyConnection] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, *, memory_limit: str = "1GB", threads: int | None = None, cursors: int = 0) -> Self:
        """`cursors` are further connections, one for each thread that asks. Raises `PublishedMissing`,
        `PublishedUnreadable`.
        """
        if not path.is_file():
            raise PublishedMissing(path)
        config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": memory_limit}
        if threads is not None:
            config["threads"] = threads
        connection = duckdb.connect(config=config)
        try:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"attach {literal(path)} as {_NAME} (read_only)")
            connection.execute(f"use {_NAME}.main")
            more = [connection.cursor() for _ in range(cursors)]
            for one in more:
                one.execute(f"use {_NAME}.main")
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            found: dict[str, dict[str, str]] = {}
            for table, column, kind in connection.execute(_COLUMNS).fetchall():
                found.setdefault(table, {})[column] = kind
        except duckdb.Error as error:
            connection.close()
            raise PublishedUnreadable(path, str(error).strip().splitlines()[0]) from error
        return cls(path, connection, found, more)

    def has(self, table: str, *columns: str) -> bool:
        """Whether the file has that table, and these columns in it."""
        return table in self.columns and self.columns[table].keys() >= set(columns)

    def rows(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a query, by name."""
        result = self.connection.execute(sql, parameters)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def arrays(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None) -> dict[str, Any]:
        """Columns of a query as NumPy arrays."""
        return dict(self.connection.execute(sql, parameters).fetchnumpy())

    def close(self) -> None:
        """Lets the file go."""
        for one in (*self.cursors, self.connection):
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file is replaced; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
