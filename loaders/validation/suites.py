"""What must be true of the finished tables, as questions whose answer must be no row.

dbt's tests ask each model, while it is built, whether its own rows are as they should be. Expectations ask the whole
warehouse afterwards, from outside: is every key there once, is what was landed still what the ledger says, does each
mart hold all of what the one before it holds, and do two ways to the same figure agree? Keys are those of `meta.key` in
the YAML beside the models, limits of raw rows are those of `loaders.datasets`: neither is written down again here.

A gap in the data is no failure; a gap that `marts.data_gaps` does not name is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import yaml

from loaders.datasets import INTERVALS, LAYOUTS, FileLayout
from loaders.errors import SchemaUnreadable
from loaders.warehouse.schema import quote

Status = Literal["pass", "fail", "error"]

_DAY = INTERVALS["1d"]

#: Key's column → the candle's length in microseconds.
_STEP = 'case "interval" ' + " ".join(f"when '{name}' then {length}" for name, length in INTERVALS.items()) + " end"
_STEPS = {"interval": _STEP, "interval_minutes": "cast(interval_minutes as bigint) * 60000000"}


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table and its key: `schema` is `raw` or `marts`. The key of a raw table has `file_id` in it."""

    schema: str
    name: str
    key: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A question about a table. `sql` gives the rows that must not be; `{batch}` in it is the table."""

    name: str
    description: str
    sql: str


@dataclass(frozen=True, slots=True)
class Result:
    """What an expectation found. `unexpected_rows` is None for an error, `detail` None for a pass."""

    table: str
    expectation: str
    description: str
    status: Status
    unexpected_rows: int | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Suite:
    """All expectations of a table."""

    table: Keyed
    expectations: tuple[Expectation, ...]


def suites(project: Path) -> list[Suite]:
    """A suite for each raw table and mart that the YAML declares. Raises `SchemaUnreadable` for one without a key."""
    tables = list(_keyed(project))
    names = {table.full_name for table in tables}
    return [Suite(table, tuple(_expectations(table, names))) for table in tables]


def _keyed(project: Path) -> Iterator[Keyed]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted((project / "models").rglob("_*.yml")):
        document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), loader) or {}
        for source in document.get("sources", []):
            if source.get("schema", source["name"]) == "raw":
                for table in source["tables"]:
                    yield Keyed("raw", table["name"], (*_key(path, table), "file_id"))
        if path.relative_to(project / "models").parts[0] == "marts":
            for model in document.get("models", []):
                yield Keyed("marts", model["name"], _key(path, model))


def _key(path: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
    key = table.get("config", {}).get("meta", {}).get("key")
    if not key:
        raise SchemaUnreadable(f"{path}: {table['name']} has no meta.key: name the columns that tell its rows apart")
    return tuple(key)


def _expectations(table: Keyed, names: set[str]) -> Iterator[Expectation]:
    yield from _of_the_key(table)
    if table.schema == "raw":
        yield from _of_landed_rows(table)
    else:
        yield _rows_are_those_that_were_built(table)
    for about, others, expectation in _RELATIONS:
        if about == table.full_name and names.issuperset(others):
            yield expectation


def _of_the_key(table: Keyed) -> Iterator[Expectation]:
    key = ", ".join(map(quote, table.key))
    counted = f"select {key}, count(*) as row_count from {{batch}} group by {key} having count(*) > 1"
    sequence = next((layout.sequence_column for layout in LAYOUTS.values() if layout.table == table.name), None)
    yield Expectation(
        "key_is_unique",
        f"No two rows have the same {', '.join(table.key)}.",
        counted if sequence is None else _one_row_for_each_number(table, sequence),
    )
    yield Expectation(
        "key_is_complete",
        f"No row lacks a part of its key ({', '.join(table.key)}).",
        f"select * from {{batch}} where {' or '.join(f'{quote(column)} is null' for column in table.key)}",
    )


def _rows_are_those_that_were_built(table: Keyed) -> Expectation:
    """Whatever a mart is made of: rows that went away, or came, since it was built are seen by their number."""
    return Expectation(
        "rows_are_those_that_were_built",
        "The mart, if it is a table, has as many rows as its last build left in it.",
        f"""
select
    present.row_count,
    built.row_count as row_count_when_built
from (select count(*) as row_count from {{batch}}) as present
left join state.mart_rows as built
    on built.model = '{table.name}'
where
    present.row_count is distinct from built.row_count
    and '{table.name}' in (select table_name from duckdb_tables() where schema_name = 'marts')""",
    )


def _one_row_for_each_number(table: Keyed, sequence: str) -> str:
    """Blocks of 4,096 numbers of a file that hold more rows than different numbers.

    A bit for each number: no billions of keys are sorted or hashed. A file is of one market and symbol, which
    `files_are_what_the_ledger_says` asks; a doubled number is told by its block.
    """
    number = quote(sequence)
    others = [quote(column) for column in table.key if column != sequence]
    block = f"{number} // 4096"
    return f"""
select
    {", ".join(others)},
    min({number}) as first_of_block,
    count(*) as row_count
from {{batch}}
where {number} is not null
group by {", ".join(others)}, {block}
having count(*) > bit_count(bitstring_agg({number} % 4096, 0, 4095))"""


def _of_landed_rows(table: Keyed) -> Iterator[Expectation]:
    layouts = [layout for layout in LAYOUTS.values() if layout.table == table.name]
    if not layouts:
        raise SchemaUnreadable(f"raw.{table.name} is described in the sources YAML, but no dataset lands in it")
    time, symbol = quote(layouts[0].time), quote("pair" if "pair" in table.key else "symbol")
    faults = "\n        ".join(
        f"when ({condition}) is not true then '{reason}'" for reason, condition in _limits(table, layouts)
    )
    yield Expectation(
        "rows_are_within_limits",
        "Every row is one that landing would take today.",
        f"""
with judged as (
    select
        *,
        case
        {faults}
        end as fault
    from {{batch}}
)
select * from judged where fault is not null""",
    )
    yield Expectation(
        "files_are_what_the_ledger_says",
        "Each landed file has as many rows as the ledger says, from its first to its last time and of its symbol, "
        "and no row is without a landed file.",
        f"""
with present as (
    select
        file_id,
        count(*) as row_count,
        min({time}) as first_time,
        max({time}) as last_time,
        min({symbol}) as first_symbol,
        max({symbol}) as last_symbol
    from {{batch}}
    group by file_id
),
ledger as (
    select * from ops.ingestion_files
    where status = 'loaded' and exchange = '{layouts[0].exchange}' and dataset = '{layouts[0].dataset}'
)
select
    coalesce(present.file_id, ledger.file_id) as file_id,
    ledger.path,
    ledger.rows_loaded,
    present.row_count,
    present.first_time,
    present.last_time
from present
full join ledger on present.file_id = ledger.file_id
where
    coalesce(present.row_count, 0) is distinct from ledger.rows_loaded
    or present.first_time < ledger.first_time
    or present.last_time > ledger.last_time
    or (ledger.symbol is not null and present.first_symbol <> ledger.symbol)
    or (ledger.symbol is not null and present.last_symbol <> ledger.symbol)""",
    )


def _limits(table: Keyed, layouts: list[FileLayout]) -> list[tuple[str, str]]:
    """The landing's own checks, for rows of every interval at once."""
    step = next((_STEPS[column] for column in table.key if column in _STEPS), "0")
    # Weeks and months begin at a day, not at a multiple of their length.
    aligned = f"epoch_us({quote(layouts[0].time)}) % least({step}, {_DAY}) = 0"
    # A stricter layout of the same table asks for more, and says so in checks that the others do not have.
    common = set.intersection(*(set(layout.checks) for layout in layouts))
    ordered = [check for check in layouts[0].checks if check in common]
    return [(reason, sql.replace("{step}", f"({step})").replace("{aligned}", aligned)) for reason, sql in ordered]


def _same_rows(name: str, says: str, left: str, right: str) -> Expectation:
    """Both queries give the same rows; what only one of them has is unexpected."""
    return Expectation(
        name,
        says,
        f"""
with first_way as ({left}),
second_way as ({right})
(
    select *, 'only in {{batch}}' as found from first_way
    except all
    select *, 'only in {{batch}}' as found from second_way
)
union all
(
    select *, 'missing in {{batch}}' as found from second_way
    except all
    select *, 'missing in {{batch}}' as found from first_way
)""",
    )


_FIGURES = "open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume"
_CANDLE = f"symbol, open_time, {_FIGURES}, source"


def _of(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{column}" for column in columns.split(", "))


_KLINES_5M = (
    Expectation(
        "times_are_on_the_grid",
        "Candles open at whole multiples of five minutes, UTC.",
        "select * from {batch} where epoch_us(open_time) % 300000000 <> 0",
    ),
    Expectation(
        "no_landed_candle_is_lost",
        "Every five-minute candle of a perpetual that marts.candles has is here.",
        """
select
    candles.symbol,
    candles.open_time
from marts.candles as candles
left join {batch} as found
    on candles.symbol = found.symbol and candles.open_time = found.open_time
where
    candles.exchange = 'binance'
    and candles.market = 'um'
    and candles.kline_type = 'last'
    and candles."interval" = '5m'
    and strpos(candles.symbol, '_') = 0
    and found.symbol is null""",
    ),
    Expectation(
        "candles_are_what_their_source_says",
        "Every candle has the figures of its five-minute file, of its five minutes or of its trades, as `source` says: "
        "none is of nothing, of the spot market or of mark prices.",
        f"""
with parts as (
    select
        'klines_5m' as source,
        symbol,
        open_time,
        {_FIGURES}
    from staging.stg_binance__klines
    where market = 'um' and kline_type = 'last' and "interval" = '5m'
    union all
    select
        'klines_1m' as source,
        symbol,
        time_bucket(interval '5 minutes', open_time) as open_time,
        arg_min(open, open_time) as open,
        max(high) as high,
        min(low) as low,
        arg_max(close, open_time) as close,
        sum(volume) as volume,
        sum(quote_volume) as quote_volume,
        sum(trade_count) as trade_count,
        sum(taker_buy_volume) as taker_buy_volume,
        sum(taker_buy_quote_volume) as taker_buy_quote_volume
    from staging.stg_binance__klines
    where market = 'um' and kline_type = 'last' and "interval" = '1m'
    group by all
    union all
    select
        'agg_trades' as source,
        symbol,
        open_time,
        {_FIGURES}
    from intermediate.int_agg_trade_candles_5m
    where market = 'um'
)
select
    found.*,
    parts.symbol is not null as source_has_it
from {{batch}} as found
left join parts
    on found.symbol = parts.symbol and found.open_time = parts.open_time and found.source = parts.source
where
    found.source <> 'rest'
    and ({_of("found", _FIGURES)}) is distinct from ({_of("parts", _FIGURES)})""",
    ),
)

# The length of a month varies, so its candles have no step. The gap's own bounds and number are asked for.
_NAMED_HOLES_OF_CANDLES = Expectation(
    "holes_are_named",
    "Every gap in a series of Binance's candles is a row of marts.data_gaps, with its bounds and the number missing.",
    f"""
with series as (
    select
        market,
        symbol,
        "interval",
        open_time,
        to_microseconds({_STEP}) as step,
        lead(open_time) over (partition by market, symbol, "interval" order by open_time) as next_time
    from {{batch}}
    where exchange = 'binance' and kline_type = 'last' and "interval" <> '1mo'
),
holes as (
    select
        market,
        symbol,
        "interval",
        open_time + step as gap_start,
        next_time as gap_end,
        epoch_us(next_time - open_time) // epoch_us(step) - 1 as missing
    from series
    where next_time > open_time + step
)
select holes.*
from holes
left join marts.data_gaps as gaps
    on
        gaps.dataset = 'klines'
        and holes.market = gaps.market
        and holes.symbol = gaps.symbol
        and holes."interval" = gaps."interval"
        and holes.gap_start = gaps.gap_start
        and holes.gap_end = gaps.gap_end
        and holes.missing = gaps.missing
where gaps.symbol is null""",
)

_NAMED_HOLES_OF_SNAPSHOTS = Expectation(
    "holes_are_named",
    "Every gap between two snapshots of a perpetual is named in marts.data_gaps.",
    """
with neighbours as (
    select
        symbol,
        snapshot_at,
        lead(snapshot_at) over (partition by symbol order by snapshot_at) as next_snapshot_at
    from {batch}
)
select neighbours.*
from neighbours
where
    next_snapshot_at > snapshot_at + interval '5 minutes'
    and not exists (
        select 1
        from marts.data_gaps as gaps
        where
            gaps.dataset = 'metrics'
            and gaps.market = 'um'
            and gaps.symbol = neighbours.symbol
            and gaps.gap_start < neighbours.next_snapshot_at
            and gaps.gap_end > neighbours.snapshot_at
    )""",
)

_OPEN_INTEREST = (
    Expectation(
        "open_interest_is_known_or_null",
        "Open interest is above zero, or NULL where it is not known.",
        "select * from {batch} where open_interest <= 0",
    ),
    Expectation(
        "changes_are_of_one_step",
        "oi_delta is the difference from the snapshot five minutes before, NULL where that one is missing or unknown.",
        """
select
    later.symbol,
    later.snapshot_at,
    later.oi_delta,
    later.open_interest - earlier.open_interest as difference
from {batch} as later
left join {batch} as earlier
    on later.symbol = earlier.symbol and later.snapshot_at = earlier.snapshot_at + interval '5 minutes'
where later.oi_delta is distinct from later.open_interest - earlier.open_interest""",
    ),
    _same_rows(
        "snapshots_are_those_that_were_landed",
        "Open interest is what was landed for that instant, zero taken for unknown, and no snapshot is lost.",
        "select symbol, snapshot_at, open_interest, open_interest_usd from {batch}",
        """
    select symbol, snapshot_at, open_interest, open_interest_usd
    from staging.stg_binance__metrics
    where market = 'um' and strpos(symbol, '_') = 0
""",
    ),
    Expectation(
        "no_symbol_is_lost",
        "Every perpetual whose snapshots were landed is here.",
        """
select distinct symbol
from ops.ingestion_files
where status = 'loaded' and dataset = 'metrics' and market = 'um' and rows_loaded > 0 and strpos(symbol, '_') = 0
except
select symbol from {batch}""",
    ),
)

_CANDLES_WITH_SIDE = (
    _same_rows(
        "candles_are_those_of_klines_5m",
        "Every candle of marts.klines_5m is here with the same figures, and no other.",
        f"select {_CANDLE} from {{batch}}",
        f"select {_CANDLE} from marts.klines_5m",
    ),
    Expectation(
        "events_follow_price_and_open_interest",
        "Event and side are what the candle's direction and its change of open interest say, and NULL where that is "
        "unknown.",
        """
with judged as (
    select
        *,
        case
            when oi_delta is null then null
            when oi_delta = 0 or close = open then 'none'
            when oi_delta > 0 and close > open then 'long_open'
            when oi_delta > 0 then 'short_open'
            when close > open then 'short_close'
            else 'long_close'
        end as expected_event
    from {batch}
)
select *
from judged
where
    position_event is distinct from expected_event
    or inferred_side
    is distinct from case expected_event when 'long_open' then 'long' when 'short_open' then 'short' end""",
    ),
    Expectation(
        "changes_are_those_at_the_end",
        "A candle's change of open interest is that of the snapshot at its end, in USD at its close.",
        """
select
    found.*,
    snapshots.oi_delta as change_of_the_snapshot
from {batch} as found
left join marts.open_interest_5m as snapshots
    on found.symbol = snapshots.symbol and found.open_time + interval '5 minutes' = snapshots.snapshot_at
where
    found.oi_delta is distinct from snapshots.oi_delta
    or found.oi_delta_usd is distinct from cast(found.oi_delta * found.close as decimal(38, 8))""",
    ),
)

_CANDLES = (
    Expectation(
        "no_series_is_lost",
        "Every series of candles that was landed is here.",
        """
select distinct
    market,
    kline_type,
    symbol,
    "interval"
from ops.ingestion_files
where status = 'loaded' and dataset = 'klines' and rows_loaded > 0
except
select
    market,
    kline_type,
    symbol,
    "interval"
from {batch}""",
    ),
)

_LEVELS = (
    Expectation(
        "levels_are_opened_by_a_candle",
        "Each level was opened on its side by the candle that ends then, within that candle's prices.",
        """
select levels.*
from {batch} as levels
left join marts.candles_with_side as candles
    on levels.symbol = candles.symbol and levels.opened_at = candles.open_time + interval '5 minutes'
where
    candles.symbol is null
    or candles.inferred_side is distinct from levels.side
    or levels.entry_price not between candles.low and candles.high""",
    ),
    Expectation(
        "prices_follow_their_bracket",
        "A level's liquidation price is its entry price times the factor that side, leverage and bracket give.",
        """
with priced as (
    select
        levels.*,
        factors.price_factor * cast(levels.entry_price as double) as expected_price
    from {batch} as levels
    left join intermediate.int_liquidation_price_factors as factors
        on
            factors.symbol
            = case
                when levels.symbol in (select brackets.symbol from seeds.margin_brackets as brackets)
                    then levels.symbol
                else 'DEFAULT'
            end
            and levels.side = factors.side
            and levels.leverage = factors.leverage
            and levels.opened_at >= factors.valid_from
            and levels.opened_at < factors.valid_until
)
select *
from priced
where
    expected_price is null
    or abs(cast(liquidation_price as double) - expected_price) > greatest(0.00000001, expected_price / 1000000)""",
    ),
    Expectation(
        "levels_hold_what_was_opened",
        "Each level holds its leverage's share of the contracts by which open interest rose, to a millionth.",
        """
with shares as (
    select
        levels.*,
        candles.oi_delta * cast(factors.quantity_share as double) as expected_quantity
    from {batch} as levels
    left join marts.candles_with_side as candles
        on levels.symbol = candles.symbol and levels.opened_at = candles.open_time + interval '5 minutes'
    left join intermediate.int_liquidation_price_factors as factors
        on
            factors.symbol
            = case
                when levels.symbol in (select brackets.symbol from seeds.margin_brackets as brackets)
                    then levels.symbol
                else 'DEFAULT'
            end
            and factors.side = levels.side
            and factors.leverage = levels.leverage
            and levels.opened_at >= factors.valid_from
            and levels.opened_at < factors.valid_until
)
select *
from shares
where
    expected_quantity is not null
    and abs(cast(quantity as double) - expected_quantity) > greatest(expected_quantity / 1000000, 0.00000001)""",
    ),
)

_MAP = (
    Expectation(
        "what_stands_is_within_open_interest",
        "On each side no more contracts stand than the last known open interest, but for rounding.",
        """
with standing as (
    select
        symbol,
        side,
        sum(quantity) as quantity
    from {batch}
    group by symbol, side
),
last_known as (
    select
        symbol,
        arg_max(open_interest, snapshot_at) as open_interest
    from marts.open_interest_5m
    where open_interest is not null
    group by symbol
)
select
    standing.*,
    last_known.open_interest
from standing
left join last_known on standing.symbol = last_known.symbol
where last_known.symbol is null or standing.quantity > last_known.open_interest * 1.000001""",
    ),
    Expectation(
        "prices_are_the_last_ones",
        "as_of and last_price are those of the symbol's last candle.",
        """
with last_candles as (
    select
        symbol,
        max(open_time) + interval '5 minutes' as as_of,
        arg_max(close, open_time) as last_price
    from marts.klines_5m
    group by symbol
)
select distinct
    found.symbol,
    found.as_of,
    found.last_price
from {batch} as found
left join last_candles on found.symbol = last_candles.symbol
where
    found.as_of is distinct from last_candles.as_of
    or found.last_price is distinct from last_candles.last_price""",
    ),
)

_HEATMAP_ENDS_IN_THE_MAP = _same_rows(
    "newest_step_is_the_map",
    "The newest step of a symbol holds what marts.liquidation_map holds, bin by bin.",
    """
    select symbol, side, price_bin, volume_usd
    from {batch}
    qualify bucket_at = max(bucket_at) over (partition by symbol)
""",
    """
    select symbol, side, price_bin, sum(volume_usd) as volume_usd
    from marts.liquidation_map
    group by symbol, side, price_bin
""",
)

_CANDLES_ARE_THOSE_LANDED = _same_rows(
    "candles_are_those_that_were_landed",
    "Every series has as many candles on each day as were landed for it, of every source.",
    """
    select exchange, market, kline_type, symbol, "interval", cast(open_time as date) as day, count(*) as candles
    from {batch}
    group by all
""",
    """
    select exchange, market, kline_type, symbol, "interval", cast(open_time as date) as day, count(*) as candles
    from intermediate.int_candles
    group by all
""",
)

_KLINES_OF_OTHER_SOURCES = Expectation(
    "no_whole_candle_is_lost",
    "Every five minutes of a perpetual whose five candles of a minute are there have a candle here.",
    """
with whole as (
    select
        symbol,
        time_bucket(interval '5 minutes', open_time) as open_time
    from marts.candles
    where
        exchange = 'binance'
        and market = 'um'
        and kline_type = 'last'
        and "interval" = '1m'
        and strpos(symbol, '_') = 0
    group by all
    having count(*) = 5
)
select whole.*
from whole
left join {batch} as found
    on whole.symbol = found.symbol and whole.open_time = found.open_time
where found.symbol is null""",
)

_OPENINGS_HAVE_LEVELS = Expectation(
    "no_opening_lacks_its_levels",
    "Every candle that opened positions has a level for each leverage that its bracket allows, unless its price is too "
    "low to tell a liquidation price from the entry.",
    """
with openings as (
    select
        symbol,
        inferred_side as side,
        open_time + interval '5 minutes' as opened_at,
        low,
        case
            when symbol in (select brackets.symbol from seeds.margin_brackets as brackets) then symbol
            else 'DEFAULT'
        end as bracket_symbol
    from marts.candles_with_side
    where position_event in ('long_open', 'short_open')
),
expected as (
    select
        openings.symbol,
        openings.side,
        factors.leverage,
        openings.opened_at
    from openings
    inner join intermediate.int_liquidation_price_factors as factors
        on
            openings.bracket_symbol = factors.symbol
            and openings.side = factors.side
            and openings.opened_at >= factors.valid_from
            and openings.opened_at < factors.valid_until
    where cast(openings.low as double) * abs(factors.price_factor - 1) > 0.00000001
)
select expected.*
from expected
left join {batch} as levels
    on
        expected.symbol = levels.symbol
        and expected.side = levels.side
        and expected.leverage = levels.leverage
        and expected.opened_at = levels.opened_at
where levels.symbol is null""",
)

_MAP_HOLDS_THE_LEVELS = _same_rows(
    "map_holds_what_stands",
    "The map has as many levels in each bin as stand in marts.liquidation_levels at the symbol's last candle.",
    "select symbol, side, leverage, price_bin, level_count from {batch}",
    """
    select
        levels.symbol,
        levels.side,
        levels.leverage,
        levels.price_bin,
        count(*) as level_count
    from marts.liquidation_levels as levels
    inner join (
        select
            symbol,
            max(open_time) + interval '5 minutes' as as_of
        from marts.candles_with_side
        group by symbol
    ) as last_candles on levels.symbol = last_candles.symbol
    where
        levels.opened_at <= last_candles.as_of
        and coalesce(levels.liquidated_at, levels.closed_at, timestamp '9999-12-31') > last_candles.as_of
        and levels.price_bin is not null
    group by all
""",
)

_BACKTEST_IS_THE_SCORES = _same_rows(
    "scores_are_those_that_were_worked_out",
    "Every score of the project's own levels is here.",
    "select symbol, side, horizon, tolerance, events from {batch}",
    """
    select symbol, side, horizon, tolerance, events
    from intermediate.int_backtest_scores
    where provider = 'marts.liquidation_levels'
""",
)

_BACKTEST = Expectation(
    "rates_are_shares",
    "Hit rates and coverage lie between 0 and 1, and lift is hit_rate / null_hit_rate.",
    """
select *
from {batch}
where
    hit_rate not between 0 and 1
    or null_hit_rate not between 0 and 1
    or coverage_share not between 0 and 1
    or abs(lift * null_hit_rate - hit_rate) > 0.000001""",
)

_GAPS = Expectation(
    "gaps_have_a_length",
    "A gap ends after it begins, and something is missing in it.",
    "select * from {batch} where gap_end < gap_start or missing <= 0",
)

_COMPLETENESS = Expectation(
    "days_add_up",
    "What is present and what is missing of a day is what was expected.",
    "select * from {batch} where present + missing <> expected or least(present, missing, expected) < 0",
)

_CHECKS = Expectation(
    "no_check_fails",
    "No check of marts.quality_checks says fail; a warning may be published.",
    "select * from {batch} where status not in ('pass', 'warn')",
)

#: Table, the other tables that the question needs, the question. It is asked only where all of them are declared.
_RELATIONS: tuple[tuple[str, tuple[str, ...], Expectation], ...] = tuple(
    chain(
        (("marts.candles", (), one) for one in (*_CANDLES, _CANDLES_ARE_THOSE_LANDED)),
        (("marts.klines_5m", ("marts.candles",), one) for one in (*_KLINES_5M, _KLINES_OF_OTHER_SOURCES)),
        (("marts.open_interest_5m", (), one) for one in _OPEN_INTEREST),
        (("marts.candles_with_side", ("marts.klines_5m", "marts.open_interest_5m"), one) for one in _CANDLES_WITH_SIDE),
        (("marts.liquidation_levels", ("marts.candles_with_side",), one) for one in (*_LEVELS, _OPENINGS_HAVE_LEVELS)),
        (
            ("marts.liquidation_map", ("marts.liquidation_levels", "marts.candles_with_side"), one)
            for one in (_MAP_HOLDS_THE_LEVELS,)
        ),
        (("marts.liquidation_map", ("marts.klines_5m", "marts.open_interest_5m"), one) for one in _MAP),
        (("marts.liquidation_heatmap", ("marts.liquidation_map",), one) for one in (_HEATMAP_ENDS_IN_THE_MAP,)),
        (("marts.liquidation_backtest", (), one) for one in (_BACKTEST, _BACKTEST_IS_THE_SCORES)),
        (("marts.liquidation_backtest_elsewhere", (), one) for one in (_BACKTEST,)),
        (("marts.data_gaps", (), one) for one in (_GAPS,)),
        (("marts.data_completeness", (), one) for one in (_COMPLETENESS,)),
        (("marts.quality_checks", (), one) for one in (_CHECKS,)),
        (("marts.candles", ("marts.data_gaps",), one) for one in (_NAMED_HOLES_OF_CANDLES,)),
        (("marts.open_interest_5m", ("marts.data_gaps",), one) for one in (_NAMED_HOLES_OF_SNAPSHOTS,)),
    )
)
