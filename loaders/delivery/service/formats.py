"""How rows are written: JSON for everybody, Arrow and Parquet for data frames, by the request's `Accept`."""

from __future__ import annotations

import io
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import to_json

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"

FORMATS = (JSON, ARROW, PARQUET)


def accepted(header: str | None) -> str | None:
    """The format that the client likes best, of equal ones the first of `FORMATS`. None if it takes none."""
    if not header:
        return JSON
    wishes: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (one.strip() for one in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        wishes[name.lower()] = weight

    def wish(media: str) -> float:
        return next((wishes[one] for one in (media, "application/*", "*/*") if one in wishes), 0.0)

    best = max(FORMATS, key=wish)
    return best if wish(best) > 0 else None


def projection(types: dict[str, str], media: str) -> str:
    """The columns of a select. JSON has no decimals and no times: doubles, and text with a Z, as all times are UTC."""
    if media != JSON:
        return ", ".join(f'"{name}"' for name in types)
    shown = []
    for name, kind in types.items():
        if kind.startswith("DECIMAL"):
            # By way of text, which gives the nearest double; the engine's own way may give its neighbour.
            shown.append(f'cast(cast("{name}" as varchar) as double) as "{name}"')
        elif kind.startswith("TIMESTAMP"):
            shown.append(f"""replace(cast("{name}" as varchar), ' ', 'T') || 'Z' as "{name}" """)
        elif kind == "DATE":
            shown.append(f'cast("{name}" as varchar) as "{name}"')
        else:
            shown.append(f'"{name}"')
    return ", ".join(shown)


def as_json(result: duckdb.DuckDBPyConnection, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Up to `limit` rows by name, and whether there are more."""
    names = [column[0] for column in result.description]
    found = result.fetchmany(limit + 1)
    return [dict(zip(names, row, strict=True)) for row in found[:limit]], len(found) > limit


def as_table(result: duckdb.DuckDBPyConnection, limit: int) -> tuple[pa.Table, bool]:
    """The same as a table of Arrow."""
    table: pa.Table = result.to_arrow_table()
    return table.slice(0, limit), table.num_rows > limit


def write_table(table: pa.Table, media: str) -> bytes:
    """The table in one of the two formats."""
    buffer = io.BytesIO()
    if media == PARQUET:
        pq.write_table(table, buffer, compression="zstd")
    else:
        with pa.ipc.new_stream(buffer, table.schema) as stream:
            stream.write_table(table)
    return buffer.getvalue()


def write_json(value: Any) -> bytes:
    """JSON; what is not a number is null."""
    return to_json(value, inf_nan_mode="null")
