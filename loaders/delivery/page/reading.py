"""What the page shows, read from the published file: numbers of the marts as they are, by symbol, ready to be packed.

The heatmap is not stored cell by cell. What stands in a cell is the sum of its levels, each times the share of it that
is left; the share is the same for all levels of a symbol, side and step, so it follows from the mart's cells and the
levels. The page adds the levels up itself, for the leverages and sides that are chosen, and with all of them chosen
gets the mart's numbers.

A table or column that the file lacks is left out of the page, and `missing` says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from loaders.delivery.page.packing import Array
from loaders.delivery.published import Published
from loaders.errors import PublishedUnreadable, SymbolNotPublished

#: Days before a symbol's last candle that are shown at five minutes; the heatmap reaches as far.
DAYS = 30
#: More symbols than this make a file that no browser likes; the largest by open interest are taken.
SYMBOLS = 40
#: Crossed levels of a symbol that are kept as marks, the largest.
SWEPT = 1500
#: Recorded liquidations of a symbol that are kept as marks, the largest.
RECORDED = 3000
#: Rows of a table on the data page.
TABLE_ROWS = 500
#: Days of the calendar.
CALENDAR_DAYS = 371
#: Candles of the whole history, in a step that gives at most so many.
HISTORY = 1500

# Symbols that share their questions. One by one, dozens would walk through the tables again and again; the answers to
# questions about all of them would take half a gigabyte.
_AT_ONCE = 10

SIDES = ("long", "short")

_NEEDED = {
    "published": ("published_at",),
    "klines_5m": ("symbol", "open_time", "open", "high", "low", "close", "quote_volume"),
}

_SYMBOLS = """
    select symbol, min(open_time) as first_candle, max(open_time) as last_candle
    from klines_5m
    group by symbol
    order by symbol
"""

_FIRST_STEPS = """
    select symbol, min(bucket_at) as bucket_at
    from liquidation_heatmap
    group by symbol
"""

#: Before each question about several symbols: a row for each of them.
_SHOWN_SYMBOLS = """
    with shown_symbols as (
        select
            unnest($numbers) as number,
            unnest($symbols) as symbol,
            unnest($shown_from) as shown_from,
            unnest($levels_from) as levels_from,
            unnest($history_steps) as history_step
    )
"""

_BY_OPEN_INTEREST = """
    select symbol
    from open_interest_5m
    group by symbol
    order by max_by(open_interest_usd, snapshot_at) filter (open_interest_usd is not null) desc nulls last, symbol
"""

# Prices come as whole numbers of 10^-8, exact below 22 million: the cast to double and the product round once each. As
# decimals of 38 digits they would be divided in 128 bits, which takes 50 times as long; so would other wide decimals,
# which become doubles as the average of a list of one.
_CANDLES = """
    select
        shown_symbols.number,
        epoch_ms(open_time) // 60000 as minute,
        cast(cast(open as double) * 1e8 as bigint) as open,
        cast(cast(high as double) * 1e8 as bigint) as high,
        cast(cast(low as double) * 1e8 as bigint) as low,
        cast(cast(close as double) * 1e8 as bigint) as close,
        cast(quote_volume as double) as quote_volume
    from klines_5m
    inner join shown_symbols using (symbol)
    where open_time >= shown_symbols.shown_from and open_time >= $first_shown
    order by shown_symbols.number, open_time
"""

_HISTORY = """
    select
        shown_symbols.number,
        epoch_ms(time_bucket(to_minutes(shown_symbols.history_step), open_time)) // 60000 as minute,
        cast(cast(min_by(open, open_time) as double) * 1e8 as bigint) as open,
        cast(cast(max(high) as double) * 1e8 as bigint) as high,
        cast(cast(min(low) as double) * 1e8 as bigint) as low,
        cast(cast(max_by(close, open_time) as double) * 1e8 as bigint) as close,
        cast(sum(quote_volume) as double) as quote_volume
    from klines_5m
    inner join shown_symbols using (symbol)
    where shown_symbols.history_step is not null
    group by 1, 2
    order by 1, 2
"""

_HISTORY_INTEREST = """
    select
        shown_symbols.number,
        epoch_ms(time_bucket(to_minutes(shown_symbols.history_step), snapshot_at)) // 60000 as minute,
        list_avg([max_by(open_interest, snapshot_at)]) as open_interest
    from open_interest_5m
    inner join shown_symbols using (symbol)
    where shown_symbols.history_step is not null and open_interest is not null
    group by 1, 2
    order by 1, 2
"""

_INTEREST = """
    select
        shown_symbols.number,
        epoch_ms(snapshot_at) // 60000 as minute,
        list_avg([open_interest]) as open_interest
    from open_interest_5m
    inner join shown_symbols using (symbol)
    where snapshot_at >= shown_symbols.shown_from and snapshot_at >= $first_shown
    order by shown_symbols.number, snapshot_at
"""

_CHANGES = """
    select
        shown_symbols.number,
        epoch_ms(open_time) // 60000 as minute,
        cast(oi_delta_usd as double) as oi_delta_usd,
        list_position(['none', 'long_open', 'short_open', 'long_close', 'short_close'], position_event) as event
    from candles_with_side
    inner join shown_symbols using (symbol)
    where open_time >= shown_symbols.shown_from and open_time >= $first_shown
    order by shown_symbols.number, open_time
"""

_CELLS = """
    select
        shown_symbols.number,
        bucket_at,
        sum(volume_usd) filter (side = 'long') :: double as long,
        sum(volume_usd) filter (side = 'short') :: double as short
    from liquidation_heatmap
    inner join shown_symbols using (symbol)
    group by shown_symbols.number, bucket_at
    order by shown_symbols.number, bucket_at
"""

_LEVELS = """
    select
        shown_symbols.number,
        cast(side = 'short' as utinyint) as side,
        leverage,
        cast(cast(price_bin as double) * 1e8 as bigint) as price_bin,
        epoch_us(opened_at) as opened,
        epoch_us(coalesce(liquidated_at, {closed_at} timestamp '9999-12-31')) as ended,
        list_avg([volume_usd]) as volume_usd,
        list_avg([log_share_at_open]) as log_share
    from liquidation_levels
    inner join shown_symbols using (symbol)
    where
        price_bin is not null
        and coalesce(liquidated_at, {closed_at} timestamp '9999-12-31') > shown_symbols.levels_from
    order by shown_symbols.number, price_bin, side, leverage, opened_at
"""

_MAP = """
    select
        shown_symbols.number,
        cast(side = 'short' as utinyint) as side,
        leverage,
        cast(cast(price_bin as double) * 1e8 as bigint) as price_bin,
        cast(volume_usd as double) as volume_usd
    from liquidation_map
    inner join shown_symbols using (symbol)
    order by shown_symbols.number, price_bin, side, leverage
"""

_SWEPT = """
    select
        number,
        epoch_ms(liquidated_at) // 60000 as minute,
        cast(side = 'short' as utinyint) as side,
        leverage,
        cast(price_bin as double) as price,
        cast(volume_usd as double) as volume_usd,
        epoch_ms(since) // 60000 as since
    from (
        select
            shown_symbols.number,
            liquidated_at,
            side,
            leverage,
            price_bin,
            sum(liquidated_volume_usd) as volume_usd,
            min(opened_at) as since
        from liquidation_levels
        inner join shown_symbols using (symbol)
        where liquidated_at >= shown_symbols.shown_from and price_bin is not null
        group by shown_symbols.number, liquidated_at, side, leverage, price_bin
        qualify
            row_number() over (
                partition by shown_symbols.number
                order by sum(liquidated_volume_usd) desc, liquidated_at, side, leverage, price_bin
            ) <= {limit}
    ) as swept
    order by number, liquidated_at, price, side, leverage
"""

_EXPLAINED = """
    select
        shown_symbols.number,
        list_avg([last_known.open_interest]) as open_interest,
        list_avg([standing.long_quantity]) / list_avg([last_known.open_interest]) as long_share,
        list_avg([standing.short_quantity]) / list_avg([last_known.open_interest]) as short_share
    from shown_symbols
    left join (
        select symbol, max_by(open_interest, snapshot_at) as open_interest
        from open_interest_5m
        inner join shown_symbols using (symbol)
        where open_interest is not null
        group by symbol
    ) as last_known using (symbol)
    left join (
        select
            symbol,
            sum(quantity) filter (side = 'long') as long_quantity,
            sum(quantity) filter (side = 'short') as short_quantity
        from liquidation_map
        group by symbol
    ) as standing using (symbol)
    order by shown_symbols.number
"""


@dataclass(frozen=True, slots=True)
class SymbolData:
    """One symbol: single facts, and columns of numbers. Times are minutes since 1970, prices integers of `unit`."""

    symbol: str
    facts: dict[str, Any]
    columns: dict[str, Array]


@dataclass(frozen=True, slots=True)
class PageData:
    """All that the page shows. `missing` are sentences about what could not be read."""

    published: dict[str, Any]
    symbols: list[SymbolData]
    left_out: list[str]
    state: dict[str, Any]
    calendar: dict[str, Array]
    missing: list[str] = field(default_factory=list)


def read(published: Published, symbols: Iterable[str] = ()) -> PageData:
    """Everything of the chosen symbols, or of all of them. Raises `SymbolNotPublished`, `PublishedUnreadable`."""
    for table, columns in _NEEDED.items():
        if not published.has(table, *columns):
            raise PublishedUnreadable(published.path, f"it has no table {table} as this version writes it")
    known = {row["symbol"]: row for row in published.rows(_SYMBOLS)}
    chosen = list(dict.fromkeys(symbols))
    for symbol in chosen:
        if symbol not in known:
            raise SymbolNotPublished(symbol, list(known))
    left_out: list[str] = []
    if not chosen:
        chosen = list(known)
        if len(chosen) > SYMBOLS:
            chosen = sorted(_largest(published, chosen)[:SYMBOLS])
            left_out = sorted(set(known) - set(chosen))
    missing: list[str] = []
    calendar, series = _calendar(published, missing)
    state = {"series": series, **_tables(published, missing)}
    steps: dict[str, datetime] = {}
    if published.has("liquidation_heatmap", "symbol", "bucket_at"):
        steps = {row["symbol"]: row["bucket_at"] for row in published.rows(_FIRST_STEPS)}
    spans = [_span(known[symbol], steps.get(symbol)) for symbol in chosen]
    data: list[SymbolData] = []
    for first in range(0, len(spans), _AT_ONCE):
        queries = _SymbolQueries(published, spans[first : first + _AT_ONCE])
        data += [_symbol(published, queries, span, missing) for span in queries.spans]
    (row,) = published.rows("select * from published")
    return PageData(row, data, left_out, state, calendar, list(dict.fromkeys(missing)))


def _largest(published: Published, known: list[str]) -> list[str]:
    if not published.has("open_interest_5m", "symbol", "snapshot_at", "open_interest_usd"):
        return known
    ranked = [row["symbol"] for row in published.rows(_BY_OPEN_INTEREST)]
    return [*(symbol for symbol in ranked if symbol in known), *(symbol for symbol in known if symbol not in ranked)]


@dataclass(frozen=True, slots=True)
class _Span:
    """What of a symbol is shown: candles from `shown_from` on, levels that stood at `levels_from` or later.

    `as_of` is the end of the last candle. `history_step` is how many minutes one candle of the whole history takes;
    None if all of it is shown at five minutes.
    """

    symbol: str
    as_of: datetime
    shown_from: datetime
    levels_from: datetime
    history_step: int | None


def _span(row: dict[str, Any], first_step: datetime | None) -> _Span:
    as_of = row["last_candle"] + timedelta(minutes=5)
    shown_from = as_of.replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    step = None
    if row["first_candle"] < shown_from:
        minutes = (row["last_candle"] - row["first_candle"]).total_seconds() / 60
        step = next((one for one in (60, 120, 240, 480, 720) if minutes / one <= HISTORY), 1440)
    return _Span(row["symbol"], as_of, shown_from, min(shown_from, first_step or shown_from), step)


class _SymbolQueries:
    """Questions about several symbols, each asked once for all of them."""

    def __init__(self, published: Published, spans: list[_Span]) -> None:
        self.published = published
        self.spans = spans
        self._answers: dict[str, dict[str, dict[str, Array]]] = {}

    def arrays(self, sql: str, symbol: str) -> dict[str, Array]:
        """Columns of the symbol's rows; `sql` joins `shown_symbols` and gives its `number`, by which it is ordered."""
        if sql not in self._answers:
            self._answers[sql] = self._ask(sql)
        return self._answers[sql][symbol]

    def _ask(self, sql: str) -> dict[str, dict[str, Array]]:
        spans = self.spans
        wanted = {
            "numbers": list(range(len(spans))),
            "symbols": [one.symbol for one in spans],
            "shown_from": [one.shown_from for one in spans],
            "levels_from": [one.levels_from for one in spans],
            "history_steps": [one.history_step for one in spans],
        }
        # A constant lets the engine skip the blocks of years that nobody sees.
        if "$first_shown" in sql:
            wanted["first_shown"] = min(one.shown_from for one in spans)
        found = self.published.arrays(_SHOWN_SYMBOLS + sql, wanted)
        bounds = np.searchsorted(found.pop("number"), np.arange(len(spans) + 1))
        return {
            one.symbol: {name: values[first:end] for name, values in found.items()}
            for one, first, end in zip(spans, bounds[:-1], bounds[1:], strict=True)
        }


def _symbol(published: Published, queries: _SymbolQueries, span: _Span, missing: list[str]) -> SymbolData:
    symbol = span.symbol
    candles = queries.arrays(_CANDLES, symbol)
    prices = ("open", "high", "low", "close")
    power = _decimals(*(candles[name] for name in prices))
    unit = 10 ** (8 - power)
    columns: dict[str, Array] = {"candle_minute": candles["minute"].astype("i4")}
    columns |= {f"candle_{name}": _integers(candles[name] // unit) for name in prices}
    columns["candle_quote_volume"] = _plain(candles["quote_volume"], "f4")
    facts: dict[str, Any] = {
        "symbol": symbol,
        "as_of": _minute(span.as_of),
        "decimals": power,
        "last_price": int(candles["close"][-1]) / 10**8,
    }
    columns |= _history(published, queries, span, unit, facts)
    columns |= _interest(published, queries, symbol, missing)
    columns |= _levels(published, queries, span, facts, missing)
    if published.has("liquidation_map", "quantity") and published.has("open_interest_5m", "open_interest"):
        facts["explained"] = {name: values.tolist()[0] for name, values in queries.arrays(_EXPLAINED, symbol).items()}
    columns |= _recorded(published, {"symbol": symbol, "shown_from": span.shown_from}, facts, missing)
    facts |= _verdict(published, symbol, missing)
    return SymbolData(symbol, facts, columns)


def _history(
    published: Published, queries: _SymbolQueries, span: _Span, unit: int, facts: dict[str, Any]
) -> dict[str, Array]:
    if span.history_step is None:
        return {}
    found = queries.arrays(_HISTORY, span.symbol)
    facts["history_step"] = span.history_step
    columns: dict[str, Array] = {}
    if published.has("open_interest_5m", "symbol", "snapshot_at", "open_interest"):
        interest = queries.arrays(_HISTORY_INTEREST, span.symbol)
        known = dict(zip(interest["minute"].tolist(), _plain(interest["open_interest"], "f8").tolist(), strict=True))
        columns["history_interest"] = np.array([known.get(minute, np.nan) for minute in found["minute"].tolist()], "f8")
    return columns | {
        "history_minute": found["minute"].astype("i4"),
        **{f"history_{name}": _integers(found[name] // unit) for name in ("open", "high", "low", "close")},
        "history_quote_volume": _plain(found["quote_volume"], "f4"),
    }


def _interest(published: Published, queries: _SymbolQueries, symbol: str, missing: list[str]) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    if published.has("open_interest_5m", "symbol", "snapshot_at", "open_interest"):
        found = queries.arrays(_INTEREST, symbol)
        columns["interest_minute"] = found["minute"].astype("i4")
        columns["interest"] = _plain(found["open_interest"], "f8")
    else:
        missing.append("Open interest is not in the published file.")
    if published.has("candles_with_side", "symbol", "open_time", "oi_delta_usd", "position_event"):
        found = queries.arrays(_CHANGES, symbol)
        columns["change_minute"] = found["minute"].astype("i4")
        columns["change_usd"] = _plain(found["oi_delta_usd"], "f8")
        columns["change_event"] = np.ma.filled(found["event"], 0).astype("u1")
    else:
        missing.append("The change of open interest by candle is not in the published file.")
    return columns


def _levels(
    published: Published, queries: _SymbolQueries, span: _Span, facts: dict[str, Any], missing: list[str]
) -> dict[str, Array]:
    needed = ("opened_at", "liquidated_at", "liquidated_volume_usd", "price_bin", "leverage")
    if not (
        published.has("liquidation_levels", "log_share_at_open", *needed)
        and published.has("liquidation_heatmap", "bucket_at", "side", "volume_usd")
        and published.has("liquidation_map", "leverage", "price_bin", "volume_usd")
    ):
        missing.append("The levels are not in the published file: no heatmap, no map.")
        return {}
    cells = queries.arrays(_CELLS, span.symbol)
    times = cells["bucket_at"].astype("datetime64[us]").astype("i8")
    closed = "closed_at," if published.has("liquidation_levels", "closed_at") else ""
    levels = queries.arrays(_LEVELS.format(closed_at=closed), span.symbol)
    step = int(np.diff(times).min()) if len(times) > 1 else 3_600_000_000
    # What a step shows stood at its end, or at the last candle's.
    shown_at = np.minimum(times + step, _minute(span.as_of) * 60_000_000)
    begins = np.searchsorted(shown_at, levels["opened"], side="left")
    ends = np.searchsorted(shown_at, levels["ended"], side="left")
    keep = ends > begins
    side = levels["side"].astype("i8")[keep]
    leverage = levels["leverage"].astype("i8")[keep]
    price_bin = levels["price_bin"].astype("i8")[keep]
    begins, ends, opened = begins[keep], ends[keep], levels["opened"][keep]
    newest = float(levels["log_share"].min()) if len(keep) else 0.0
    # As if they had been opened at the newest share, so that one factor for each step and side makes all of them.
    amount = levels["volume_usd"][keep] * np.exp(newest - levels["log_share"][keep])
    # Levels that no step and no filter can tell apart are one. They are told by one number each, which sorts faster
    # than rows of five.
    bins, bin_of = np.unique(price_bin, return_inverse=True)
    sizes = (max(len(bins), 1), len(SIDES), int(leverage.max(initial=0)) + 1, len(times) + 1, len(times) + 1)
    numbers = np.ravel_multi_index((bin_of.reshape(-1), side, leverage, begins, ends), sizes)
    same, index = np.unique(numbers, return_inverse=True)
    index = index.reshape(-1)
    bin_of, side, leverage, begins, ends = np.unravel_index(same, sizes)
    rows = len(same)
    amounts = np.bincount(index, weights=amount, minlength=rows)
    since = np.full(rows, np.iinfo("i8").max)
    np.minimum.at(since, index, opened)
    facts["step_minutes"] = step // 60_000_000
    facts["leverages"] = sorted({int(one) for one in levels["leverage"]})
    columns: dict[str, Array] = {
        "step_minute": (times // 60_000_000).astype("i4"),
        "bin_price": bins / 1e8,
        "bin_width": _widths(published, span.symbol, bins) / 1e8,
        "level_bin": bin_of.astype("i4"),
        "level_side": side.astype("u1"),
        "level_leverage": leverage.astype("u2"),
        "level_begin": begins.astype("i4"),
        "level_end": ends.astype("i4"),
        "level_amount": amounts.astype("f4"),
        "level_since": (since // 60_000_000).astype("i4"),
    }
    for number, name in enumerate(SIDES):
        stood = np.zeros(len(times) + 1)
        mine = side == number
        np.add.at(stood, begins[mine], amounts[mine])
        np.subtract.at(stood, ends[mine], amounts[mine])
        total = np.cumsum(stood)[:-1]
        found = np.ma.filled(cells[name].astype("f8"), 0.0)
        columns[f"step_share_{name}"] = np.where(found > 0, found / np.where(found > 0, total, 1), 0.0)
    standing = queries.arrays(_MAP, span.symbol)
    columns |= {
        "map_side": standing["side"].astype("u1"),
        "map_leverage": standing["leverage"].astype("u2"),
        "map_price": standing["price_bin"] / 1e8,
        "map_usd": _plain(standing["volume_usd"], "f8"),
    }
    facts["leverages"] = sorted({*facts["leverages"], *(int(one) for one in standing["leverage"])})
    swept = queries.arrays(_SWEPT.format(limit=SWEPT), span.symbol)
    columns |= {
        "swept_minute": swept["minute"].astype("i4"),
        "swept_side": swept["side"].astype("u1"),
        "swept_leverage": swept["leverage"].astype("u2"),
        "swept_price": swept["price"],
        "swept_usd": _plain(swept["volume_usd"], "f4"),
        "swept_since": swept["since"].astype("i4"),
    }
    return columns


#: Where recorded liquidations may lie in the published file, with the name of the price to show, best first.
_RECORDINGS = ("recorded_liquidations", "staging.stg_binance__liquidations")


def _recorded(
    published: Published, wanted: dict[str, Any], facts: dict[str, Any], missing: list[str]
) -> dict[str, Array]:
    table = next((one for one in _RECORDINGS if one in published.columns), None)
    if table is None:
        missing.append("Recorded liquidations are not in the published file.")
        return {}
    names = set(published.columns[table])
    time = "liquidated_at" if "liquidated_at" in names else None
    price = next((one for one in ("liquidation_price", "price") if one in names), None)
    usd = "volume_usd" if "volume_usd" in names else None
    amount = usd or (f"accumulated_fill_quantity * {price}" if "accumulated_fill_quantity" in names else None)
    if time is None or price is None or amount is None or not {"symbol", "side"} <= names:
        missing.append(f"Recorded liquidations ({table}) have other columns than this version reads.")
        return {}
    market = "and market = 'um'" if "market" in names else ""
    # Orders far from the market are recorded now and then: as marks they would squeeze the prices queries.
    near = "and is_stray is not true" if "is_stray" in names else ""
    found = published.arrays(
        f"""
        with

        largest as (

            select
                {time} as happened_at,
                lower(side) in ('short', 'buy') as is_short,
                cast({price} as double) as price,
                cast({amount} as double) as volume_usd
            from {table}
            where symbol = $symbol and {time} >= $shown_from {market} {near}
            order by volume_usd desc, happened_at, price
            limit {RECORDED}

        )

        select
            epoch_ms(happened_at) // 1000 as second,
            cast(is_short as utinyint) as side,
            price,
            volume_usd
        from largest
        order by happened_at, price
        """,
        wanted,
    )
    facts["recorded_price"] = price
    return {
        "recorded_second": found["second"].astype("i4"),
        "recorded_side": found["side"].astype("u1"),
        "recorded_price": _plain(found["price"], "f8"),
        "recorded_usd": _plain(found["volume_usd"], "f4"),
    }


def _verdict(published: Published, symbol: str, missing: list[str]) -> dict[str, Any]:
    """Rows of the backtest and of the crossings, as they are."""
    found: dict[str, Any] = {}
    for table, order in (
        ("liquidation_backtest", "side, horizon, tolerance"),
        ("liquidation_crossings", "provider, side, stratum"),
    ):
        if published.has(table, "symbol", *order.replace(" ", "").split(",")):
            found[table] = published.rows(f"select * from {table} where symbol = $1 order by {order}", [symbol])
        elif table == "liquidation_backtest":
            missing.append("The backtest is not in the published file.")
    return found


def _calendar(published: Published, missing: list[str]) -> tuple[dict[str, Array], list[list[str]]]:
    keys = ["exchange", "dataset", "market", "symbol", "interval"]
    if not published.has("data_completeness", *keys[1:], "day", "expected", "present", "missing"):
        missing.append("Completeness by day is not in the published file.")
        return {}, []
    shown = [key if key in published.columns["data_completeness"] else "'' as exchange" for key in keys]
    named = [f"coalesce({key}, '') as {key}" if " as " not in key else key for key in shown]
    rows = published.arrays(
        f"""
        with

        shown as (

            select {", ".join(named)}, day, expected, present
            from data_completeness
            where day > (select max(day) from data_completeness) - {CALENDAR_DAYS}

        ),

        numbered as (

            select *, dense_rank() over (order by {", ".join(keys)}) - 1 as series
            from shown

        )

        select
            {", ".join(keys)},
            series,
            epoch_ms(day :: timestamp) // 86400000 as day,
            coalesce(expected, -1) as expected,
            present
        from numbered
        order by series, day
        """
    )
    series: list[list[str]] = []
    for number, *names in zip(rows["series"], *(rows[key] for key in keys), strict=True):
        if number == len(series):
            series.append([str(name) for name in names])
    columns = {
        "series": rows["series"].astype("i4"),
        "day": rows["day"].astype("i4"),
        "expected": rows["expected"].astype("i4"),
        "present": rows["present"].astype("i4"),
    }
    return columns, series


#: Tables of the data page: where their rows lie in the published file, which of them, and in which order.
_TABLES = {
    "gaps": ("data_gaps", "true", "gap_start desc"),
    "checks": (
        "quality_checks",
        "true",
        "case status when 'fail' then 0 when 'warn' then 1 else 2 end, check_name, dataset, symbol",
    ),
    "history": ("quality_checks_history", "true", "published_at desc, check_name"),
    "jobs": ("ops.ingestion_jobs", "true", "started_at desc, job_id desc"),
    "failures": ("ops.ingestion_files", "status = 'failed'", "finished_at desc nulls last, path"),
}
_ABSENT = {
    "gaps": "Gaps are not in the published file.",
    "checks": "Checks are not in the published file.",
    "history": "How the checks stood before is not in the published file.",
    "jobs": "Jobs are not in the published file: `loaders status` lists them.",
    "failures": "Refused files are not in the published file: `loaders status` lists them.",
}


def _tables(published: Published, missing: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (table, condition, order) in _TABLES.items():
        if table not in published.columns:
            missing.append(_ABSENT[name])
            continue
        ((total,),) = published.connection.execute(f"select count(*) from {table} where {condition}").fetchall()
        rows = published.rows(f"select * from {table} where {condition} order by {order} limit {TABLE_ROWS}")
        found[name] = {"total": total, "rows": rows}
    return found


def _minute(time: datetime) -> int:
    return int(np.datetime64(time, "m").astype("i8"))


def _plain(values: Array, kind: str) -> Array:
    """NULL as NaN."""
    filled: Array = np.ma.filled(values.astype("f8"), np.nan)
    return filled.astype(kind)


def _integers(values: Array) -> Array:
    """As 32-bit integers where they fit, else as floats, which hold integers up to 2^53."""
    fits = len(values) == 0 or int(np.abs(values).max()) < 2**31
    return values.astype("i4" if fits else "f8")


def _decimals(*columns: Array) -> int:
    """How many decimals the prices have; they come as integers of 10^-8."""
    for decimals in range(8):
        if all(not np.any(values % 10 ** (8 - decimals)) for values in columns):
            return decimals
    return 8


def _widths(published: Published, symbol: str, bins: Array) -> Array:
    """How wide each bin is, in 10^-8: as the seed `symbols` says, else by the rule of `price_bin`."""
    if published.has("seeds.symbols", "symbol", "price_bin_width"):
        rows = published.connection.execute(
            """
            select cast(cast(price_bin_width as double) * 1e8 as bigint)
            from seeds.symbols
            where symbol = $1 and price_bin_width is not null
            """,
            [symbol],
        ).fetchall()
        if rows:
            return np.full(len(bins), rows[0][0], dtype="i8")
    return _ruled(bins)


def _ruled(bins: Array) -> Array:
    """The largest of 1, 2, 5 × 10^k that is at most a thousandth, for prices in 10^-8."""
    widths = np.array(sorted(digit * 10**power for power in range(15) for digit in (1, 2, 5)))
    # The rule is applied to the liquidation price; its bin's lower edge is on the same side of every change of width.
    index = np.searchsorted(widths, bins // 1000, side="right") - 1
    return widths[np.maximum(index, 0)]
