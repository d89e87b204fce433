"""What each address reads. Values are bound, names are these alone, so that no request reaches SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb

from loaders.delivery.service import formats, parameters
from loaders.delivery.service.parameters import Parameters
from loaders.delivery.service.publications import Publication


class NotAnswerable(Exception):
    """A request that cannot be answered: the status and the sentence that say why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(slots=True)
class Query:
    """A select: where it reads, the types of its columns, in which order rows come, what it binds."""

    source: str
    types: dict[str, str]
    order: str
    where: list[str] = field(default_factory=list)
    bound: dict[str, Any] = field(default_factory=dict)

    def only(self, condition: str, **bound: Any) -> None:
        """Adds a condition unless its value is not given."""
        if all(value is not None for value in bound.values()):
            self.where.append(condition)
            self.bound |= bound

    def between(self, column: str, times: tuple[datetime | None, datetime | None]) -> None:
        """Rows in [start, end)."""
        self.only(f"{column} >= $start", start=times[0])
        self.only(f"{column} < $end", end=times[1])


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the answer."""

    body: bytes
    more: bool
    count: int


Builder = Callable[[Publication, duckdb.DuckDBPyConnection, Any], Query]


def read(
    publication: Publication,
    build: Builder,
    wanted: Parameters,
    media: str,
    envelope: Callable[[int, bool], dict[str, Any]],
) -> Page:
    """Answers one request; JSON comes in an envelope. Raises `NotAnswerable`."""
    with publication.cursor() as cursor:
        query = build(publication, cursor, wanted)
        where = f"where {' and '.join(query.where)}" if query.where else ""
        result = cursor.execute(
            f"""
            select {formats.projection(query.types, media)}
            from (
                select * from {query.source} {where}
                order by {query.order}
                limit {wanted.limit + 1} offset {wanted.offset}
            )
            """,
            query.bound,
        )
        if media != formats.JSON:
            table, more = formats.as_table(result, wanted.limit)
            return Page(formats.write_table(table, media), more, table.num_rows)
        rows, more = formats.as_json(result, wanted.limit)
        return Page(formats.write_json({**envelope(len(rows), more), "rows": rows}), more, len(rows))


def symbols(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: Parameters) -> Query:
    """Symbols with five-minute candles."""
    _needs(publication, "klines_5m")
    return Query(
        """(
            select
                symbol,
                min(open_time) as first_open_time,
                max(open_time) + interval '5 minutes' as as_of,
                max_by(close, open_time) as last_price,
                count(*) as candles
            from klines_5m
            group by symbol
        )""",
        {
            "symbol": "VARCHAR",
            "first_open_time": "TIMESTAMP",
            "as_of": "TIMESTAMP",
            "last_price": "DECIMAL(18,8)",
            "candles": "BIGINT",
        },
        "symbol",
    )


def klines(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.OfSymbol) -> Query:
    """Five-minute candles."""
    query = _of_symbol(publication, cursor, "klines_5m", wanted.symbol, "open_time")
    query.between("open_time", wanted.times)
    return query


def open_interest(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.OfSymbol) -> Query:
    """Snapshots of open interest."""
    query = _of_symbol(publication, cursor, "open_interest_5m", wanted.symbol, "snapshot_at")
    query.between("snapshot_at", wanted.times)
    return query


def levels(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.Levels) -> Query:
    """Levels, by when they were opened."""
    query = _of_symbol(publication, cursor, "liquidation_levels", wanted.symbol, "opened_at, side, leverage")
    query.between("opened_at", wanted.times)
    query.only("side = $side", side=wanted.side)
    query.only("leverage = $leverage", leverage=wanted.leverage)
    if wanted.standing is not None:
        closed = "closed_at" if publication.published.has("liquidation_levels", "closed_at") else "null"
        ended = f"coalesce(liquidated_at, {closed})"
        query.where.append(f"{ended} is null" if wanted.standing else f"{ended} is not null")
    return query


def liquidation_map(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.Map) -> Query:
    """What stands at the last candle."""
    query = _of_symbol(publication, cursor, "liquidation_map", wanted.symbol, "side, price_bin, leverage")
    query.only("side = $side", side=wanted.side)
    query.only("leverage = $leverage", leverage=wanted.leverage)
    return query


def heatmap(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.Heatmap) -> Query:
    """What stood at the end of each step, coarser if that is wanted."""
    query = _of_symbol(publication, cursor, "liquidation_heatmap", wanted.symbol, "bucket_at, side, price_bin")
    if wanted.step is None and wanted.bins is None:
        query.between("bucket_at", wanted.times)
        query.only("side = $side", side=wanted.side)
        return query
    start, end = wanted.times
    conditions = ["symbol = $symbol"]
    query.where.clear()
    for text, name, value in (
        ("bucket_at >= $start", "start", start),
        ("bucket_at < $end", "end", end),
        ("side = $side", "side", wanted.side),
    ):
        if value is not None:
            conditions.append(text)
            query.bound[name] = value
    inner = f"select * from liquidation_heatmap where {' and '.join(conditions)}"
    time = "bucket_at"
    if wanted.step is not None:
        own = _own_step(cursor, wanted.symbol)
        if wanted.step % own:
            raise NotAnswerable(400, f"step must be a multiple of the heatmap's own, which is {own} minutes")
        # A longer step shows what stood at its end, which is what its last one shows.
        time = f"time_bucket(interval '{wanted.step} minutes', bucket_at)"
        inner += f" qualify bucket_at = max(bucket_at) over (partition by {time})"
    width = _width(cursor, inner, query.bound, wanted.bins) if wanted.bins is not None else None
    price = f"price_bin - price_bin % {width}" if width is not None else "price_bin"
    query.types = {name: query.types[name] for name in ("symbol", "bucket_at", "side", "price_bin", "volume_usd")}
    query.source = f"""(
        select
            symbol,
            {time} as bucket_at,
            side,
            cast({price} as decimal(18, 8)) as price_bin,
            cast(sum(volume_usd) as decimal(38, 8)) as volume_usd
        from ({inner})
        group by all
    )"""
    return query


def backtest(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.Backtest) -> Query:
    """How well the map foretold recorded liquidations."""
    query = _table(publication, cursor, "liquidation_backtest", "symbol, side, horizon, tolerance", wanted.symbol)
    query.only("side = $side", side=wanted.side)
    return query


def gaps(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.Gaps) -> Query:
    """Gaps between landed rows."""
    query = _table(publication, cursor, "data_gaps", 'dataset, market, symbol, "interval", gap_start', wanted.symbol)
    query.between("gap_start", wanted.times)
    query.only("dataset = $dataset", dataset=wanted.dataset)
    return query


def quality(publication: Publication, cursor: duckdb.DuckDBPyConnection, wanted: parameters.Quality) -> Query:
    """Checks, as they stand."""
    query = _table(publication, cursor, "quality_checks", "check_name, dataset, symbol", wanted.symbol)
    query.only("dataset = $dataset", dataset=wanted.dataset)
    query.only("status = $status", status=wanted.status)
    return query


def status(publication: Publication, cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every table and its rows."""
    return [
        {
            "table": name,
            "rows": int(cursor.execute(f"select count(*) from {name}").fetchall()[0][0]),
            "columns": list(publication.published.columns[name]),
        }
        for name in sorted(publication.published.columns)
    ]


def _needs(publication: Publication, table: str) -> None:
    if not publication.published.has(table):
        raise NotAnswerable(404, f"the published file has no table {table}")


def _of_symbol(
    publication: Publication, cursor: duckdb.DuckDBPyConnection, table: str, symbol: str, order: str
) -> Query:
    _needs(publication, table)
    _knows(publication, cursor, symbol)
    types = publication.published.columns[table]
    return Query(table, types, order, ["symbol = $symbol"], {"symbol": symbol})


def _table(
    publication: Publication, cursor: duckdb.DuckDBPyConnection, table: str, order: str, symbol: str | None
) -> Query:
    _needs(publication, table)
    if publication.published.has(table, "exchange"):
        order = f"exchange, {order}"
    query = Query(table, publication.published.columns[table], order)
    query.only("symbol = $symbol", symbol=symbol)
    return query


def _knows(publication: Publication, cursor: duckdb.DuckDBPyConnection, symbol: str) -> None:
    if symbol not in publication.symbols(cursor):
        raise NotAnswerable(404, f"{symbol} has no five-minute candles here: /api/symbols lists those that have")


def _own_step(cursor: duckdb.DuckDBPyConnection, symbol: str) -> int:
    ((minutes,),) = cursor.execute(
        """
        select min(date_diff('minute', before, bucket_at))
        from (
            select bucket_at, lag(bucket_at) over (order by bucket_at) as before
            from (select distinct bucket_at from liquidation_heatmap where symbol = $1)
        )
        """,
        [symbol],
    ).fetchall()
    return int(minutes or 60)


def _width(cursor: duckdb.DuckDBPyConnection, inner: str, bound: dict[str, Any], bins: int) -> Decimal | None:
    """The least of 1, 2, 5 × 10^k with which the bins are as few as wanted; None where there are no cells."""
    ((low, high),) = cursor.execute(f"select min(price_bin), max(price_bin) from ({inner})", bound).fetchall()
    if low is None:
        return None
    for power in range(-8, 10):
        for digit in (1, 2, 5):
            width = Decimal(digit).scaleb(power)
            if int(high / width) - int(low / width) < bins:
                return width
    return None
