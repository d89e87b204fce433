"""What the YAML beside the models says of each table: its key, and how an incremental model rebuilds its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loaders.errors import SchemaUnreadable
from loaders.warehouse.schema import Described, described_model, described_tables

_REBUILD_FROM = re.compile(r"\brebuild_from\b")


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table and its key; the key of a raw table has `file_id` in it.

    `time` is the column that tells from when on a symbol's rows are rebuilt, None for a table that is made whole each
    time. `rebuilt_also` are conditions, over the table's columns and `rebuild_from`, on earlier rows that are rebuilt,
    too: they meet one before or after. Tables without a column `exchange` are Binance's.
    """

    schema: str
    name: str
    key: tuple[str, ...]
    time: str | None = None
    rebuilt_also: tuple[str, ...] = ()
    has_exchange: bool = False
    is_view: bool = False

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"

    def changed_rows(self, changed: str, relation: str | None = None, columns: Sequence[str] = ("*",)) -> str:
        """SQL of the rows of `changed` symbols from their `rebuild_from` on, of the table or another `relation`.

        `changed` is a relation with columns exchange, symbol and rebuild_from; one row for each symbol of an exchange.
        The variable `changed_since` of the connection must be the least `rebuild_from` (`set_changed_since`): a join
        alone would not let the engine skip the blocks of years in which nothing changed.
        """
        rows, named = relation or self.full_name, ", ".join(f"asked.{column}" for column in columns)
        # Each row by the first condition that it meets: the engine cannot skip blocks by an `or` of several columns.
        parts = []
        for number, condition in enumerate(self._rebuilt):
            earlier = "".join(f" and ({other}) is not true" for other in self._rebuilt[:number])
            parts.append(
                f"select {named} from {rows} as asked semi join {changed} as changed"
                f" on {self._is_of} and ({condition}){earlier} where ({_recent(condition)})"
            )
        return f"({' union all '.join(parts)})"

    def delete_changed_rows(self, changed: str, table: str) -> str:
        """The statement that deletes the same rows of `table`, where no earlier ones are rebuilt.

        It holds none of them, however many they are.
        """
        (condition,) = self._rebuilt
        return (
            f"delete from {table} as asked using {changed} as changed"
            f" where {self._is_of} and {condition} and {_recent(condition)}"
        )

    @property
    def exchange(self) -> str:
        """SQL of a row's exchange; the row is called `asked`."""
        return "asked.exchange" if self.has_exchange else "'binance'"

    @property
    def _is_of(self) -> str:
        return f"{self.exchange} = changed.exchange and asked.symbol = changed.symbol"

    @property
    def _rebuilt(self) -> tuple[str, ...]:
        return (f"asked.{self.time} >= rebuild_from", *self.rebuilt_also)


def _recent(condition: str) -> str:
    """The same condition of all symbols together, by a constant."""
    return _REBUILD_FROM.sub("getvariable('changed_since')", condition)


def set_changed_since(changed: str) -> str:
    """The statement that `Keyed.changed_rows` needs to have been executed, for the same relation."""
    return (
        "set variable changed_since ="
        f" (select coalesce(min(rebuild_from), timestamp 'infinity') from {changed} as changed)"
    )


def keyed_tables(project: Path) -> Iterator[Keyed]:
    """Every raw table and every mart that the YAML declares. Raises `SchemaUnreadable` for one without a key."""
    return map(_keyed, described_tables(project))


def keyed_model(project: Path, schema: str, name: str) -> Keyed | None:
    """What the YAML says of a model of another layer; None if it names none of that name."""
    described = described_model(project, schema, name)
    return _keyed(described) if described is not None else None


def _keyed(one: Described) -> Keyed:
    key = one.meta.get("key")
    if not key:
        raise SchemaUnreadable(f"{one.path}: {one.name} has no meta.key: name the columns that tell its rows apart")
    rebuilt_also = one.meta.get("rebuild_also", [])
    if not (isinstance(rebuilt_also, list) and all(isinstance(condition, str) for condition in rebuilt_also)):
        raise SchemaUnreadable(f"{one.path}: meta.rebuild_also of {one.name} is no list of conditions")
    if one.schema == "raw":
        return Keyed("raw", one.name, (*key, "file_id"))
    return Keyed(
        one.schema,
        one.name,
        tuple(key),
        one.meta.get("time_column"),
        tuple(rebuilt_also),
        "exchange" in one.columns,
        one.config.get("materialized") == "view",
    )
