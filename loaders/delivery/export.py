"""Raw rows and marts as Parquet for any engine: one file for each table, symbol and month, or day of trades.

    raw/binance_klines/exchange=binance/symbol=BTCUSDT/month=2026-06/rows.parquet
    raw/binance_agg_trades/exchange=binance/symbol=BTCUSDT/date=2026-06-28/rows.parquet
    marts/klines_5m/exchange=binance/symbol=BTCUSDT/month=2026-06/rows.parquet
    marts/liquidation_map/exchange=binance/symbol=BTCUSDT/rows.parquet
    ops/ingestion_files/exchange=binance/symbol=BTCUSDT/rows.parquet
    manifest/exchange=binance/symbol=BTCUSDT.json
    manifest.json

Raw has one row for each key, as staging chooses among files (`meta.chosen` of the sources YAML). A file's number is
made of what the file is and holds, so that it means the same whichever warehouse landed it; `ops/ingestion_files` has
the ledger's rows of these files. Rows are sorted by time, so that engines skip row groups.

Only what changed is written. The ledger says which ranges of raw rows were touched since the last export; of tables
that can change elsewhere too (marts, and snapshots, whose labels depend on candles), the touched symbols are compared
by a digest of each partition. A symbol's manifest is written after its files, so a killed export is done again.

A symbol of the zone belongs to one warehouse, so machines that load different symbols export at the same time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from loaders import warehouse
from loaders.datasets import LAYOUTS
from loaders.delivery.publish import ABOUT_THE_DATA, Withheld, withheld_dicts, withheld_lines, withheld_symbols
from loaders.delivery.zone import Zone, open_zone
from loaders.errors import NotExportable, ZoneConflict
from loaders.rendering import size
from loaders.settings import Settings
from loaders.warehouse import readiness, require_usable
from loaders.warehouse.schema import described_tables, literal, quote

Area = Literal["raw", "marts"]

#: Datasets of a table that any change can change.
ALL_DATASETS = frozenset((layout.exchange, layout.dataset) for layout in LAYOUTS.values())

#: Of a manifest's own layout.
FORMAT = 1

_FILE = "rows.parquet"
_SERIES = tuple[str, str]

# A file's number, from what tells it from others and what it holds; any warehouse that landed it comes to the same.
_FILE_ID = """
    cast(
        md5_number_lower(
            concat_ws(
                '|', exchange, dataset, market, kline_type, symbol, "interval", period_start, period_end, origin,
                provider, sha256
            )
        ) >> 1 as bigint
    )
"""

# A recording has the orders of many symbols: it stands in the ledger of each of them.
_LEDGER = """
    select files.* replace (zone_files.zone_file_id as file_id, coalesce(files.symbol, recorded.symbol) as symbol)
    from ops.ingestion_files as files
    inner join zone_files on files.file_id = zone_files.file_id
    left join (select distinct file_id, symbol from raw.binance_liquidations) as recorded
        on files.symbol is null and files.file_id = recorded.file_id
    where files.status = 'loaded'
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is exported. `exchange` and `symbol` are SQL over `rows`, a select; `order` sorts a file.

    `time` is the column that the last level is made of, None where there is none. `datasets` are those whose changes
    can change the rows. A table that `follows` the ledger has changed rows in the ranges that its changes touched, and
    nowhere else; any other is compared. One that is `rebuilt` can change without a change of the ledger.
    """

    area: str
    name: str
    rows: str
    exchange: str
    symbol: str
    time: str | None
    by_day: bool
    order: tuple[str, ...]
    datasets: frozenset[tuple[str, str]]
    follows: bool
    rebuilt: bool
    fingerprint: str

    @property
    def path(self) -> str:
        """Its folder in the zone."""
        return f"{self.area}/{self.name}"

    def place(self, series: _SERIES, period: str | None) -> str:
        """The name of a partition's file."""
        exchange, symbol = series
        level = "" if period is None else f"/{'date' if self.by_day else 'month'}={period}"
        return f"{self.path}/exchange={exchange}/symbol={symbol}{level}/{_FILE}"

    def of_symbol(self, series: _SERIES) -> str:
        """The condition on rows of one symbol."""
        exchange, symbol = series
        return f"{self.exchange} = {literal(exchange)} and {self.symbol} = {literal(symbol)}"

    @property
    def period(self) -> str:
        """SQL of the last level."""
        if self.time is None:
            return "cast(null as varchar)"
        return f"strftime({quote(self.time)}, '{'%Y-%m-%d' if self.by_day else '%Y-%m'}')"


@dataclass(frozen=True, slots=True)
class Export:
    """What an export did. `rows` and `size_bytes` are of the files written."""

    address: str
    change_id: int
    symbols: int
    written: int
    removed: int
    kept: int
    rows: int
    size_bytes: int
    withheld: Withheld = ()

    @property
    def exit_status(self) -> int:
        """1 if somebody must look at a symbol that was left out."""
        return 1 if self.withheld else 0


@dataclass(slots=True)
class _Symbol:
    """What the zone has of a symbol, as its manifest says, and what is to be done about it."""

    series: _SERIES
    manifest: dict[str, Any]
    todo: dict[str, set[str | None]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        exchange, symbol = self.series
        return f"manifest/exchange={exchange}/symbol={symbol}.json"

    def change_id(self, table: Table, fingerprint: str) -> int:
        """The last change that the table's files have in them; 0 if they must be looked at as a whole."""
        known = self.manifest["tables"].get(table.path)
        return int(known["change_id"]) if known and known["fingerprint"] == fingerprint else 0

    def periods(self, table: Table) -> set[str | None]:
        """Periods that the zone has of a table."""
        of_table = f"{table.path}/"
        return {_period_of(name) for name in self.manifest["partitions"] if name.startswith(of_table)}


def export(
    settings: Settings,
    path: Path,
    address: str,
    *,
    areas: Iterable[Area] = ("raw", "marts"),
    symbols: Iterable[str] = (),
    take_over: bool = False,
    wait_seconds: float = 0,
) -> Export:
    """Writes what changed since the last export to `address`, a folder or an address of an object store.

    Only `symbols`, if some are given. With `take_over`, symbols of another warehouse are replaced by this one's. Raises
    `NotExportable` if dbt's last build did not pass or saw another state (for marts: or the last validation),
    `ZoneConflict`, `ZoneBusy`, `PathRefused`, `WarehouseMissing`, `WarehouseBusy`.
    """
    areas = tuple(areas)
    zone = open_zone(address)
    require_usable(path)
    # Opens once for its errors: they name who has the warehouse and what to do.
    with warehouse.reader(path, wait_seconds=wait_seconds) as connection:
        row = connection.execute(
            "select current_database(), (select strftime(min(applied_at), '%Y%m%dT%H%M%S%f') from ops.schema_version)"
        ).fetchone()
        assert row is not None
        name, owner = map(str, row)
        readiness.require_own_name(path, lambda sql: connection.execute(sql).fetchall())
    config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": settings.memory_limit}
    if settings.threads is not None:
        config["threads"] = settings.threads
    with zone.parts(owner) as parts, duckdb.connect(config=config) as connection:
        connection.execute(f"set temp_directory = {literal(parts / 'spill')}")
        # Views name their database, so it must have its own name here. No writer can come in while it is attached.
        connection.execute(f"attach {literal(path)} as {quote(name)} (read_only)")
        connection.execute(f"use {quote(name)}")
        connection.execute("set TimeZone = 'UTC'")
        return _Exporter(settings, zone, parts, connection, owner, areas).run(frozenset(symbols), take_over)


class _Exporter:
    def __init__(
        self,
        settings: Settings,
        zone: Zone,
        parts: Path,
        connection: duckdb.DuckDBPyConnection,
        owner: str,
        areas: tuple[Area, ...],
    ) -> None:
        self.zone, self.parts, self.connection, self.owner = zone, parts, connection, owner
        self.change_id = self._require_ready(areas)
        self.withheld = withheld_symbols(connection) if "marts" in areas else ()
        self.hidden = {(exchange, symbol) for exchange, symbol, _ in self.withheld}
        self.tables = [table for table in _tables(connection, settings.project()) if table.area in (*areas, "ops")]
        self.managed = {*areas, "ops"}
        self.written = self.removed = self.rows = self.size = self.number = 0

    def _require_ready(self, areas: tuple[Area, ...]) -> int:
        def read(sql: str) -> list[tuple[Any, ...]]:
            return self.connection.execute(sql).fetchall()

        state = readiness.state_of(read)
        if "marts" in areas:
            trouble = state.build_trouble or readiness.validation_trouble(read, state)
        else:
            # A machine that only loads builds no marts; its views of raw rows must know all files all the same.
            trouble = readiness.staging_trouble(state)
        if trouble:
            raise NotExportable(trouble)
        self.connection.execute(
            f"create temp table zone_files as select file_id, {_FILE_ID} as zone_file_id from ops.ingestion_files"
        )
        return state.change_id

    def run(self, chosen: frozenset[str], take_over: bool) -> Export:
        found = self.connection.execute(
            "select distinct exchange, symbol from ops.ingestion_changes where symbol is not null order by all"
        ).fetchall()
        series = [(exchange, symbol) for exchange, symbol in found if not chosen or symbol in chosen]
        plans = [self._known(one) for one in series]
        others = [one for one in plans if one.manifest.get("warehouse", self.owner) != self.owner]
        if others and not take_over:
            names = [one.series[1] for one in others]
            raise ZoneConflict(self.zone.address, names, others[0].manifest["warehouse"])
        for one in others:
            one.manifest["tables"] = {}
        self._plan(plans)
        with ThreadPoolExecutor(1) as mover:
            for one in plans:
                self._export_symbol(one, mover)
        write_manifest(self.zone, self.parts)
        kept = sum(len(one.manifest["partitions"]) for one in plans) - self.written
        return Export(
            self.zone.address,
            self.change_id,
            len(plans),
            self.written,
            self.removed,
            kept,
            self.rows,
            self.size,
            tuple(one for one in self.withheld if not chosen or one[1] in chosen),
        )

    def _known(self, series: _SERIES) -> _Symbol:
        one = _Symbol(series, {})
        content = self.zone.read(one.place)
        one.manifest = json.loads(content) if content else {"partitions": {}, "tables": {}}
        return one

    # What changed.

    def _plan(self, plans: list[_Symbol]) -> None:
        changes: dict[_SERIES, list[tuple[int, str, datetime, datetime]]] = {}
        for exchange, symbol, *change in self.connection.execute(
            "select exchange, symbol, change_id, dataset, range_start, range_end from ops.ingestion_changes"
        ).fetchall():
            changes.setdefault((exchange, symbol), []).append(tuple(change))
        for table in self.tables:
            compared = []
            for one in plans:
                since = one.change_id(table, self._fingerprint(table, one.series))
                touched = [
                    change
                    for change in changes[one.series]
                    if change[0] > since and (one.series[0], change[1]) in table.datasets
                ]
                if table.follows:
                    periods = {period for change in touched for period in _periods(table, change[2], change[3])}
                    one.todo[table.path] = periods | (set() if since else one.periods(table))
                elif touched or not since or table.rebuilt:
                    compared.append(one)
            self._compare(table, compared)

    def _compare(self, table: Table, plans: list[_Symbol]) -> None:
        """Partitions whose digest is not the one of the manifest."""
        asked = {one.series: one for one in plans if not self._is_hidden(table, one.series)}
        found: dict[_SERIES, dict[str | None, str]] = {}
        if asked:
            names = ", ".join(literal(symbol) for symbol in sorted({symbol for _, symbol in asked}))
            for exchange, symbol, period, count, digest in self.connection.execute(
                f"""
                select {table.exchange}, {table.symbol}, {table.period}, count(*), bit_xor(hash(each))
                from ({table.rows}) as each
                where {table.symbol} in ({names})
                group by all
                """
            ).fetchall():
                found.setdefault((exchange, symbol), {})[period] = f"{count}:{digest}"
        for one in plans:
            now = found.get(one.series, {}) if one.series in asked else {}
            before = {_period_of(name): part.get("digest") for name, part in self._parts_of(one, table)}
            one.todo[table.path] = {period for period in now.keys() | before if now.get(period) != before.get(period)}
            one.digests.update({table.place(one.series, period): digest for period, digest in now.items()})

    def _is_hidden(self, table: Table, series: _SERIES) -> bool:
        """Whether a check withholds the symbol's rows of this table."""
        return table.area == "marts" and table.name not in ABOUT_THE_DATA and series in self.hidden

    def _fingerprint(self, table: Table, series: _SERIES) -> str:
        return "withheld" if self._is_hidden(table, series) else table.fingerprint

    @staticmethod
    def _parts_of(one: _Symbol, table: Table) -> list[tuple[str, dict[str, Any]]]:
        known: dict[str, dict[str, Any]] = one.manifest["partitions"]
        return [(name, part) for name, part in known.items() if name.startswith(f"{table.path}/")]

    # Writing.

    def _export_symbol(self, one: _Symbol, mover: ThreadPoolExecutor) -> None:
        moves: dict[str, Future[dict[str, Any]]] = {}
        gone: list[str] = []
        for table in self.tables:
            periods = one.todo.get(table.path, set())
            hidden = self._is_hidden(table, one.series)
            sources = iter(()) if hidden or not periods else self._sources(table, one.series, periods)
            left = set(periods)
            for period, source in sources:
                name = table.place(one.series, period)
                self.number += 1
                part = self.parts / f"{self.number}.parquet"
                if count := self._write(source, part):
                    moves[name] = mover.submit(self._move, part, name, count, one.digests.get(name))
                    left.discard(period)
                    # No more files wait than one can count on the disk to hold.
                    if len(moves) % 8 == 0:
                        moves[name].result()
            known = one.manifest["partitions"]
            gone += [name for period in left if (name := table.place(one.series, period)) in known]
        # Tables that this project no longer has.
        paths = {table.path for table in self.tables}
        gone += [
            name
            for name in one.manifest["partitions"]
            if name.partition("/")[0] in self.managed and _table_of(name) not in paths
        ]
        done = {name: move.result() for name, move in moves.items()}
        for name in gone:
            self.zone.remove(name)
        self.written += len(done)
        self.removed += len(gone)
        self.rows += sum(part["rows"] for part in done.values())
        self.size += sum(part["bytes"] for part in done.values())
        self._remember(one, done, gone)

    def _sources(self, table: Table, series: _SERIES, periods: set[str | None]) -> Iterator[tuple[str | None, str]]:
        """A sorted select for each partition. Of many months, rows are looked up once and kept aside."""
        order = ", ".join(map(quote, table.order))
        rows = f"select * from ({table.rows}) as each where {table.of_symbol(series)}"
        named = sorted(period for period in periods if period is not None)
        if table.time is None:
            yield None, f"{rows} order by {order}"
        elif table.by_day or len(named) < 3:
            for period in named:
                yield period, f"{rows} and {_within(table, period, period)} order by {order}"
        else:
            self.connection.execute(
                f"""
                create or replace temp table zone_rows as
                select *, {table.period} as zone_period from ({rows} and {_within(table, named[0], named[-1])}) as each
                order by {order}
                """
            )
            for (period,) in self.connection.execute(
                "select distinct zone_period from zone_rows order by 1"
            ).fetchall():
                if period in periods:
                    yield period, f"select * exclude (zone_period) from zone_rows where zone_period = {literal(period)}"
            self.connection.execute("drop table zone_rows")

    def _write(self, source: str, part: Path) -> int:
        """Writes rows as they are sorted; returns how many."""
        row = self.connection.execute(
            f"""
            copy ({source}) to {literal(part)} (
                format parquet, compression zstd, row_group_size 122880,
                kv_metadata {{change_id: {literal(str(self.change_id))}, warehouse: {literal(self.owner)}}}
            )
            """
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _move(self, part: Path, name: str, rows: int, digest: str | None) -> dict[str, Any]:
        """Puts a file in its place; returns what the manifest says of it."""
        with part.open("rb") as content:
            checksum = hashlib.file_digest(content, "sha256").hexdigest()
        found = {"rows": rows, "bytes": part.stat().st_size, "sha256": checksum, "change_id": self.change_id}
        self.zone.replace(part, name)
        return found | ({"digest": digest} if digest else {})

    def _remember(self, one: _Symbol, done: dict[str, dict[str, Any]], gone: Iterable[str]) -> None:
        before = json.dumps(one.manifest, sort_keys=True)
        partitions = {name: part for name, part in one.manifest["partitions"].items() if name not in set(gone)} | done
        tables = {
            path: known for path, known in one.manifest["tables"].items() if path.split("/")[0] not in self.managed
        }
        for table in self.tables:
            tables[table.path] = {"change_id": self.change_id, "fingerprint": self._fingerprint(table, one.series)}
        exchange, symbol = one.series
        one.manifest = {
            "format": FORMAT,
            "exchange": exchange,
            "symbol": symbol,
            "warehouse": self.owner,
            "tables": dict(sorted(tables.items())),
            "partitions": dict(sorted(partitions.items())),
        }
        if not partitions:
            self.zone.remove(one.place)
        elif json.dumps(one.manifest, sort_keys=True) != before:
            _write_json(self.zone, self.parts / "manifest.json", one.place, one.manifest)


def write_manifest(zone: Zone, parts: Path) -> None:
    """Writes the zone's manifest from those of its symbols, until none has changed meanwhile."""
    with zone.turn():
        seen: dict[str, bytes] | None = None
        while True:
            now = {name: content for name in zone.names("manifest") if (content := zone.read(name)) is not None}
            if seen == now:
                return
            seen = now
            document = _manifest([json.loads(content) for content in now.values()])
            _write_json(zone, parts / "manifest.json", "manifest.json", document)


def _manifest(symbols: list[dict[str, Any]]) -> dict[str, Any]:
    partitions = {name: part for one in symbols for name, part in one["partitions"].items()}
    tables: dict[str, dict[str, int]] = {}
    for name, part in partitions.items():
        totals = tables.setdefault(_table_of(name), {"partitions": 0, "rows": 0, "bytes": 0})
        totals["partitions"] += 1
        totals["rows"] += part["rows"]
        totals["bytes"] += part["bytes"]
    return {
        "format": FORMAT,
        "tables": dict(sorted(tables.items())),
        "symbols": [
            {
                "exchange": one["exchange"],
                "symbol": one["symbol"],
                "warehouse": one["warehouse"],
                "change_id": min(known["change_id"] for known in one["tables"].values()),
            }
            for one in symbols
        ],
        "partitions": [
            {"path": name} | {key: value for key, value in part.items() if key != "digest"}
            for name, part in sorted(partitions.items())
        ],
    }


def _write_json(zone: Zone, part: Path, name: str, document: Mapping[str, Any]) -> None:
    part.write_text(json.dumps(document, indent=1), encoding="utf-8")
    zone.replace(part, name)


# Tables, and names of their files.


def _tables(connection: duckdb.DuckDBPyConnection, project: Path) -> Iterator[Table]:
    """Raw tables that staging chooses rows of, marts by symbol, and the ledger of files."""
    relations = {
        (schema, name): (sql, is_table)
        for schema, name, sql, is_table in connection.execute(
            """
            select schema_name, table_name, null, true from duckdb_tables() where database_name = current_database()
            union all
            select schema_name, view_name, sql, false from duckdb_views() where database_name = current_database()
            """
        ).fetchall()
    }
    landed = {
        name
        for schema, name in relations
        if schema == "raw" and connection.execute(f"select 1 from raw.{quote(name)} limit 1").fetchone()
    }
    built = dict(connection.execute("select model, fingerprint from state.incremental_models").fetchall())
    for described in described_tables(project):
        meta = described.meta
        if described.schema == "raw" and "chosen" in meta and described.name in landed:
            columns = ", ".join(f"chosen.{quote(column)}" for column in described.columns if column != "file_id")
            rows = f"""
                select {columns}, zone_files.zone_file_id as file_id
                from (select * from {meta["chosen"]}) as chosen
                inner join zone_files on chosen.file_id = zone_files.file_id
            """
            others = meta.get("chosen_with", [])
            yield Table(
                "raw",
                described.name,
                rows,
                literal(meta["exchange"]),
                f"each.{quote(meta.get('series', {}).get('symbol', 'symbol'))}",
                meta["time"],
                "sequence" in meta,
                _ordered(meta["time"], (*meta["key"], "file_id")),
                frozenset((meta["exchange"], dataset) for dataset in (meta["dataset"], *others)),
                not others,
                False,
                _hashed(meta["chosen"], *described.columns),
            )
        elif described.schema == "marts" and ("marts", described.name) in relations:
            kinds = dict(
                connection.execute(
                    f"select column_name, column_type from (describe marts.{quote(described.name)})"
                ).fetchall()
            )
            if "symbol" not in kinds:
                continue
            view, is_table = relations["marts", described.name]
            time = next((column for column in meta["key"] if kinds[column] in ("TIMESTAMP", "DATE")), None)
            yield Table(
                "marts",
                described.name,
                f"select * from marts.{quote(described.name)} where symbol != ''",
                "each.exchange" if "exchange" in kinds else "'binance'",
                "each.symbol",
                time,
                False,
                _ordered(time, meta["key"]),
                ALL_DATASETS,
                False,
                is_table and described.name not in built,
                _hashed(view or built.get(described.name, ""), *kinds, *kinds.values()),
            )
    yield Table(
        "ops",
        "ingestion_files",
        f"select * from ({_LEDGER}) as files where symbol is not null",
        "each.exchange",
        "each.symbol",
        None,
        False,
        ("dataset", "period_start", "file_id"),
        ALL_DATASETS,
        False,
        False,
        _hashed(_LEDGER),
    )


def _ordered(time: str | None, key: Iterable[str]) -> tuple[str, ...]:
    """By time first, then by the key: an engine that looks for a time skips the row groups of others."""
    return (*((time,) if time else ()), *(column for column in key if column != time))


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _table_of(name: str) -> str:
    return "/".join(name.split("/", 2)[:2])


def _period_of(name: str) -> str | None:
    """`2026-06` of `.../month=2026-06/rows.parquet`."""
    level, _, period = name.split("/")[-2].partition("=")
    return period if level in ("month", "date") else None


def _periods(table: Table, first: datetime, last: datetime) -> Iterator[str | None]:
    """Periods of a range of time, both ends included."""
    if table.time is None:
        yield None
        return
    day = first.date() if table.by_day else first.date().replace(day=1)
    while day <= last.date():
        yield f"{day:%Y-%m-%d}" if table.by_day else f"{day:%Y-%m}"
        day = _next(day, table.by_day)


def _within(table: Table, first: str, last: str) -> str:
    """The condition on rows from one period to another."""
    assert table.time is not None
    start = date.fromisoformat(first if table.by_day else f"{first}-01")
    end = _next(date.fromisoformat(last if table.by_day else f"{last}-01"), table.by_day)
    return f"each.{quote(table.time)} >= timestamp '{start}' and each.{quote(table.time)} < timestamp '{end}'"


def _next(day: date, by_day: bool) -> date:
    return day + timedelta(days=1) if by_day else (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def to_dict(done: Export) -> dict[str, Any]:
    """The export as plain data."""
    return {
        "zone": done.address,
        "change_id": done.change_id,
        "symbols": done.symbols,
        "partitions": {"written": done.written, "removed": done.removed, "kept": done.kept},
        "rows": done.rows,
        "bytes": done.size_bytes,
        "withheld": withheld_dicts(done.withheld),
    }


def text(done: Export) -> str:
    """One line, and one for each symbol whose marts were left out."""
    line = (
        f"{done.address}: {done.written:,} partitions written ({done.rows:,} rows, {size(done.size_bytes)}), "
        f"{done.removed:,} removed, {done.kept:,} unchanged, {done.symbols:,} symbols, change {done.change_id}"
    )
    return "\n".join([line, *withheld_lines(done.withheld)])
