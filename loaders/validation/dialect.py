"""A dialect of SQLAlchemy for DuckDB that only reads, and so needs no transactions.

DuckDB drops a result when its transaction is rolled back, and Great Expectations fetches after it gave the connection
back to the pool, which rolls back.
"""

from __future__ import annotations

from typing import Any

import duckdb_engine

_opened: list[Any] = []

#: Statements that every new connection begins with: temporary tables are of one connection alone.
first_statements: list[str] = []


def close_all() -> None:
    """Closes every connection that was opened: one alone would keep the process from writing to the file."""
    first_statements.clear()
    while _opened:
        _opened.pop().close()


class ReadingDialect(duckdb_engine.Dialect):
    """`duckdb+reading:///FILE`, to be opened with `read_only`."""

    supports_statement_cache = False

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """A connection whose time zone is that of the tables, whatever the session's is."""
        connection = super().connect(*arguments, **options)
        connection.execute("set TimeZone = 'UTC'")
        for statement in first_statements:
            connection.execute(statement)
        _opened.append(connection)
        return connection

    def do_begin(self, dbapi_connection: Any) -> None:
        """Nothing begins."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Nothing is taken back."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """Nothing was written."""
