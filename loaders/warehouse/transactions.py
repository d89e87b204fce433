"""One way to change the warehouse: all or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commits at the end; takes everything back if anything was raised, a signal included."""
    connection.execute("begin")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        # A commit that failed has ended the transaction already.
        with contextlib.suppress(duckdb.TransactionException):
            connection.execute("rollback")
        raise
