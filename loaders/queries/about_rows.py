"""What rows that should not be there are about: the symbols and the days that they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

# Rows of all tables call it by one of these; a ledger's row may have a path instead.
_SYMBOLS = ("symbol", "pair", "first_symbol")
_TIME = re.compile(r"(20\d\d-\d\d-\d\d)(?:[ T]|$)")
_NAMED = 5
_LOOKED_AT = 200


def about_query(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The same of the first 200 rows of a query."""
    found = connection.execute(f"select * from (\n{sql}\n) limit {_LOOKED_AT}")
    names = [column[0] for column in found.description]
    return about(dict(zip(names, row, strict=True)) for row in found.fetchall())


def about(rows: Iterable[Mapping[str, Any]]) -> str:
    """`BTCUSDT, ETHUSDT, 2026-06-26 to 2026-06-28`; empty where the rows name neither a symbol nor a day."""
    symbols: set[str] = set()
    days: set[str] = set()
    for row in rows:
        symbols |= {str(row[name]) for name in _SYMBOLS if row.get(name)}
        days |= {found[1] for value in row.values() if (found := _TIME.match(str(value)))}
    named = sorted(symbols)
    parts = [", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")]
    if days:
        parts.append(min(days) if len(days) == 1 else f"{min(days)} to {max(days)}")
    return ", ".join(part for part in parts if part)
