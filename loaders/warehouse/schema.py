"""The `raw` and `ops` tables, as the sources YAML describes them. Nothing is written down twice.

The macro `create_landing_tables` makes the same tables from the same YAML at the start of a dbt run.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from loaders.errors import SchemaTooNew, SchemaUnreadable
from loaders.warehouse.transactions import transaction

#: Version of the tables. Raise it when the YAML changes: missing columns are added to older warehouses and filled by
#: their `meta.backfill`, and a step of `_MIGRATIONS` does what neither can.
VERSION = 6

#: Version → statements that bring an older warehouse there, after missing tables and columns were added.
_MIGRATIONS: dict[int, tuple[str, ...]] = {
    # The origin is part of what a file is: without one, every file would look new.
    1: ("update ops.ingestion_files set origin = 'archive' where origin is null",),
    # Staging takes overlapping files of trades apart by these.
    3: (
        """
        update ops.ingestion_files as files
        set first_id = found.first_id, last_id = found.last_id
        from (
            select file_id, min(agg_trade_id) as first_id, max(agg_trade_id) as last_id
            from raw.binance_agg_trades
            group by file_id
        ) as found
        where files.file_id = found.file_id
        """,
    ),
}

_SCHEMAS = ("raw", "ops")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the landing area: columns are (name, type) in order; `backfill` fills one that is added, by SQL."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    backfill: Mapping[str, str] = field(default_factory=dict)

    @property
    def quoted(self) -> str:
        """Schema and name for a statement; columns such as `interval` and `time` need quotes as well."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    def create(self) -> str:
        """The CREATE TABLE statement."""
        columns = ", ".join(f"{quote(name)} {data_type}" for name, data_type in self.columns)
        return f"create table if not exists {self.quoted} ({columns})"

    def add(self, missing: Container[str]) -> list[str]:
        """The statements that add columns which an older table lacks."""
        return [
            f"alter table {self.quoted} add column {quote(name)} {data_type}"
            for name, data_type in self.columns
            if name in missing
        ]

    def fill(self, missing: Container[str]) -> list[str]:
        """The statements that fill added columns for the rows that an older table has."""
        return [
            f"update {self.quoted} set {quote(name)} = {sql}" for name, sql in self.backfill.items() if name in missing
        ]


def quote(identifier: str) -> str:
    """An identifier for SQL, in quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: Path | str) -> str:
    """A path or a text in a statement that takes no parameters."""
    return "'" + str(value).replace("'", "''") + "'"


def read_tables(project: Path) -> dict[str, Table]:
    """Tables of `raw` and `ops` by `schema.name`. Raises `SchemaUnreadable` if the YAML lacks a column's type."""
    tables = {}
    for path in sorted((project / "models" / "staging").rglob("_*__sources.yml")):
        for table in _tables_of(path):
            tables[f"{table.schema}.{table.name}"] = table
    if not tables:
        raise SchemaUnreadable(f"{project}/models/staging has no _*__sources.yml: the checkout is incomplete")
    return tables


@dataclass(frozen=True, slots=True)
class Described:
    """A raw table or a model as the YAML describes it."""

    schema: str
    name: str
    config: Mapping[str, Any]
    columns: tuple[str, ...]
    path: Path

    @property
    def meta(self) -> Mapping[str, Any]:
        """Its `config.meta`."""
        meta: Mapping[str, Any] = self.config.get("meta", {})
        return meta


def described_tables(project: Path) -> Iterator[Described]:
    """Raw tables and marts, with what the YAML says of them."""
    for path in sorted((project / "models").rglob("_*.yml")):
        is_mart = path.relative_to(project / "models").parts[0] == "marts"
        # Other layers' models are asked for one by one.
        if not is_mart and not path.name.endswith("__sources.yml"):
            continue
        document = _read_yaml(path)
        for source in document.get("sources", []):
            if source.get("schema", source["name"]) == "raw":
                yield from (_described("raw", table, path) for table in source["tables"])
        if is_mart:
            yield from (_described("marts", model, path) for model in document.get("models", []))


def described_model(project: Path, layer: str, name: str) -> Described | None:
    """What the YAML says of a model of a layer; None if it names none of that name."""
    for path in sorted((project / "models" / layer).rglob("_*__models.yml")):
        for model in _read_yaml(path).get("models", []):
            if model["name"] == name:
                return _described(layer, model, path)
    return None


def _described(schema: str, table: Mapping[str, Any], path: Path) -> Described:
    columns = tuple(column["name"] for column in table.get("columns", []))
    return Described(schema, table["name"], table.get("config", {}), columns, path)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    found = path.stat()
    return _parsed(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=256)
def _parsed(path: Path, modified_ns: int, size: int) -> Mapping[str, Any]:
    """A file of YAML, read once for as long as it stays as it is: a command asks the same ones several times."""
    document = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document or {}


def _tables_of(path: Path) -> Iterator[Table]:
    for source in _read_yaml(path).get("sources", []):
        schema = source.get("schema", source["name"])
        if schema not in _SCHEMAS:
            continue
        for table in source.get("tables", []):
            try:
                columns = tuple((column["name"], column["data_type"]) for column in table["columns"])
            except KeyError as missing:
                raise SchemaUnreadable(f"{path}: table {table['name']} has a column without {missing}") from None
            metas = {column["name"]: column.get("config", {}).get("meta", {}) for column in table["columns"]}
            backfill = {name: meta["backfill"] for name, meta in metas.items() if "backfill" in meta}
            yield Table(schema, table["name"], columns, backfill)


def ensure(connection: duckdb.DuckDBPyConnection, project: Path, warehouse: Path) -> None:
    """Creates what is missing and brings older tables up to `VERSION`. Raises `SchemaTooNew` before any change."""
    found = version_of(connection)
    if found is not None and found > VERSION:
        raise SchemaTooNew(warehouse, found, VERSION)
    tables = read_tables(project)
    # A table that was updated cannot be altered in the same transaction, so all columns come first.
    fills: list[str] = []
    statements = [f"create schema if not exists {quote(schema)}" for schema in _SCHEMAS]
    for table in tables.values():
        columns = _columns_of(connection, table)
        if columns is None:
            statements.append(table.create())
            continue
        missing = {name for name, _ in table.columns} - columns
        statements += table.add(missing)
        fills += table.fill(missing)
    statements += fills
    for version in range((found or 0) + 1, VERSION + 1):
        statements += _MIGRATIONS.get(version, ()) if found is not None else ()
    if found != VERSION:
        statements.append(f"insert into ops.schema_version (version, applied_at) values ({VERSION}, now()::timestamp)")
    if len(statements) == len(_SCHEMAS):
        return
    with transaction(connection):
        for statement in statements:
            connection.execute(statement)
    # DDL that waits in the WAL is what most replay bugs are made of.
    connection.execute("checkpoint")


def version_of(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Version of the warehouse's tables; None where the loaders have not been yet."""
    try:
        row = connection.execute("select max(version) from ops.schema_version").fetchone()
    except duckdb.CatalogException:
        return None
    return row[0] if row else None


def _columns_of(connection: duckdb.DuckDBPyConnection, table: Table) -> set[str] | None:
    """The columns that a table has; None if there is no such table."""
    # The engine's own list of all columns takes longer than all of these together: it makes its catalog's views first.
    try:
        described = connection.execute(f"select * from {table.quoted} limit 0").description
    except duckdb.CatalogException:
        return None
    return {name for name, *_ in described or ()}
