"""Whether two checkouts of this project make the same marts of the same files, row for row.

    python benchmarks/compare_checkouts.py BEFORE AFTER [--data-dir DIR]...
        [--rename marts.old=marts.new] [--rename marts.table.old=new] [--new marts.table.column]

BEFORE and AFTER are folders, or revisions that git can give. A folder's own .venv is used where it has one, else the
Python that runs this. Without --data-dir it is the demo's sample archive that is compared. Each checkout lands the
files in a warehouse of its own and builds seeds and models; tests are left out. Prints one line a mart; the exit status
is 1 if a row, a table or a column differs in a way that was not announced.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import duckdb

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Announced:
    """What is meant to differ: names before → after, and columns, as (table, column), that only the one after has."""

    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    new: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Difference:
    """One mart: rows on each side, rows that only one side has, and columns that differ unannounced."""

    table: str
    rows_before: int
    rows_after: int
    only_before: int
    only_after: int
    columns: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Nothing differs but what was announced."""
        return not (self.only_before or self.only_after or self.columns)


def main() -> int:
    """Lands, builds and compares what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--data-dir", type=Path, action="append", default=[])
    parser.add_argument("--rename", action="append", default=[], metavar="OLD=NEW")
    parser.add_argument("--new", action="append", default=[], metavar="TABLE.COLUMN")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:
        folder = Path(scratch)
        folders = [one.absolute() for one in given.data_dir] or [_sample(folder / "sample")]
        # The engine writes the warehouse's name into views, so the two need different ones.
        warehouses = {}
        for name, checkout in (("before", given.before), ("after", given.after)):
            warehouses[name] = folder / f"{name}.duckdb"
            _build(_checkout(checkout, folder / f"{name}-checkout"), warehouses[name], folders)
        with duckdb.connect() as connection:
            for name, path in warehouses.items():
                connection.execute(f"attach '{path}' as {name} (read_only)")
            found = compare(connection, _announced(given.rename, given.new))
    print(f"{'mart':36} {'before':>10} {'after':>10} {'only before':>12} {'only after':>11}  columns")
    for one in found:
        columns = ", ".join(one.columns) or "as announced"
        counts = f"{one.rows_before:>10,} {one.rows_after:>10,} {one.only_before:>12,} {one.only_after:>11,}"
        print(f"{one.table:36} {counts}  {columns}")
    different = [one.table for one in found if not one.same]
    print(f"{len(found)} marts, {sum(one.rows_before for one in found):,} rows, {len(different)} marts differ")
    return 1 if different or not found else 0


def compare(connection: duckdb.DuckDBPyConnection, announced: Announced) -> list[Difference]:
    """All marts of the attached databases `before` and `after`, in the order of their names."""
    before, after = _marts(connection, "before"), _marts(connection, "after")
    differences = []
    for table, columns in before.items():
        renamed = announced.tables.get(table, table)
        if renamed not in after:
            rows = _count(connection, f"before.{table}")
            differences.append(Difference(table, rows, 0, rows, 0, ("the table has gone",)))
            continue
        pairs = {column: announced.columns.get((table, column), column) for column in columns}
        new = [one for one in after[renamed] if one not in pairs.values() and (renamed, one) not in announced.new]
        gone = [one for one, name in pairs.items() if name not in after[renamed]]
        common = {one: name for one, name in pairs.items() if one not in gone}
        left = f"select {', '.join(map(_quote, common))} from before.{table}"
        right = f"select {', '.join(map(_quote, common.values()))} from after.{renamed}"
        differences.append(
            Difference(
                renamed,
                _count(connection, f"before.{table}"),
                _count(connection, f"after.{renamed}"),
                _count(connection, f"({left} except all {right})"),
                _count(connection, f"({right} except all {left})"),
                (*(f"-{one}" for one in gone), *(f"+{one}" for one in new)),
            )
        )
    known = {announced.tables.get(table, table) for table in before}
    for table in after:
        if table not in known and (table, "*") not in announced.new:
            rows = _count(connection, f"after.{table}")
            differences.append(Difference(table, 0, rows, 0, rows, ("the table is new",)))
    return differences


def _marts(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, list[str]]:
    rows = connection.execute(
        """
        select 'marts.' || table_name, list(column_name order by column_index)
        from duckdb_columns()
        where database_name = $1 and schema_name = 'marts'
        group by table_name
        order by table_name
        """,
        [database],
    ).fetchall()
    return dict(rows)


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    ((rows,),) = connection.execute(f"select count(*) from {relation}").fetchall()
    return int(rows)


def _quote(name: str) -> str:
    return f'"{name}"'


def _announced(renames: list[str], new: list[str]) -> Announced:
    tables, columns = {}, {}
    for rename in renames:
        old, _, name = rename.partition("=")
        table, _, column = old.rpartition(".")
        if "." in table:
            columns[table, column] = name
        else:
            tables[old] = name
    return Announced(tables, columns, frozenset((one.rpartition(".")[0], one.rpartition(".")[2]) for one in new))


def _sample(folder: Path) -> Path:
    """The same files for both, whatever sample each of them would write."""
    sys.path.insert(0, str(PROJECT))
    from loaders.runs.sample import write_archive

    write_archive(folder)
    return folder / "data"


def _checkout(name: str, folder: Path) -> Path:
    if Path(name).is_dir():
        return Path(name).absolute()
    packed = subprocess.run(["git", "archive", name], cwd=PROJECT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _build(checkout: Path, warehouse: Path, folders: list[Path]) -> None:
    own = checkout / ".venv/bin/python"
    python = str(own) if own.exists() else sys.executable
    scratch = warehouse.with_suffix("")
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "LOADERS_WAREHOUSE": str(warehouse),
        "DBT_TARGET_PATH": str(scratch / "target"),
        "DBT_LOG_PATH": str(scratch / "logs"),
    }
    named = [option for folder in folders for option in ("--data-dir", str(folder))]
    landed = subprocess.run([python, "-m", "loaders", "load", *named], cwd=checkout, env=environment, check=False)
    # 1: a file or a row was refused, which both checkouts are asked about alike.
    if landed.returncode not in (0, 1):
        raise SystemExit(f"{checkout}: load ended with status {landed.returncode}")
    build = [python, "-m", "dbt.cli.main", "--quiet", "build", "--exclude-resource-type", "test", "unit_test"]
    if subprocess.run(build, cwd=checkout, env=environment, check=False).returncode:
        raise SystemExit(f"{checkout}: dbt build failed")


if __name__ == "__main__":
    raise SystemExit(main())
