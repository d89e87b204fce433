"""What came of a fault: what caught it, and whether what is published is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import duckdb

from benchmarks.planted_faults.archive import Place
from loaders.runs.pipeline import Run, StepResult

_FIGURES = "open, high, low, close, volume, quote_volume, trade_count"
_KLINES = f"symbol, open_time, {_FIGURES}, taker_buy_volume, taker_buy_quote_volume"

# Dataset, market, symbol, interval, kline type, time, and how the published row differs. A candle may come from another
# source than it did; where the open interest is not known its change is not, either.
_DIFFERENCES = f"""
with candles as (
    select
        case coalesce(good.exchange, found.exchange) when 'kraken' then 'ohlcvt' else 'klines' end as dataset,
        coalesce(good.market, found.market) as market,
        coalesce(good.symbol, found.symbol) as symbol,
        coalesce(good."interval", found."interval") as "interval",
        coalesce(good.open_time, found.open_time) as row_time,
        case when found.symbol is null then 'missing' when good.symbol is null then 'extra' else 'changed' end as kind
    from good.candles as good
    full join found.candles as found
        using (exchange, market, kline_type, symbol, "interval", open_time)
    where ({", ".join(f"good.{name}" for name in _FIGURES.split(", "))})
        is distinct from ({", ".join(f"found.{name}" for name in _FIGURES.split(", "))})
),
klines as (
    select
        'klines' as dataset,
        'um' as market,
        coalesce(good.symbol, found.symbol) as symbol,
        '5m' as "interval",
        coalesce(good.open_time, found.open_time) as row_time,
        case when found.symbol is null then 'missing' when good.symbol is null then 'extra' else 'changed' end as kind
    from (select {_KLINES} from good.klines_5m) as good
    full join (select {_KLINES} from found.klines_5m) as found using (symbol, open_time)
    where good is distinct from found
),
snapshots as (
    select
        'metrics' as dataset,
        'um' as market,
        coalesce(good.symbol, found.symbol) as symbol,
        '5m' as "interval",
        coalesce(good.snapshot_at, found.snapshot_at) as row_time,
        case
            when found.open_interest is null then 'missing'
            when good.symbol is null then 'extra'
            else 'changed'
        end as kind
    from good.open_interest_5m as good
    full join found.open_interest_5m as found using (symbol, snapshot_at)
    where
        (good.open_interest, good.open_interest_usd)
        is distinct from (found.open_interest, found.open_interest_usd)
        or found.oi_delta <> good.oi_delta
)
from candles union all from klines union all from snapshots
order by all
"""

_GAPS = 'select dataset, market, symbol, "interval", gap_start, gap_end from found.data_gaps'
_DAYS = """
select dataset, market, symbol, "interval", day
from found.data_completeness
where missing is null or missing > 0
"""
_CHECKS = """
select check_name, dataset, symbol, detail
from found.quality_checks
where status <> 'pass'
"""
_WITHHELD = "select symbol from found.symbol_status where not is_published"
_COUNTS = ("missing", "clock_change_days", "open_interest_blank", "freshness", "rejected_rows", "refused_files")
# What is made of candles and snapshots alone must be the same where these are.
_DERIVED = ("candles_with_side", "liquidation_levels", "liquidation_map", "liquidation_heatmap", "data_gaps")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault. `wrong` are published rows that are neither those of the good archive nor told."""

    caught: tuple[str, ...]
    published: bool
    wrong: tuple[str, ...]
    exit_status: int
    differences: int = 0
    seconds: float = 0


def judge(good: Path, found: Path) -> tuple[int, list[str]]:
    """How many published rows differ from those of the good archive, and those that nothing tells of."""
    with duckdb.connect() as connection:
        for name, path in (("good", good), ("found", found)):
            connection.execute(f"attach '{path}' as {name} (read_only)")
        differences = connection.execute(_DIFFERENCES).fetchall()
        gaps = connection.execute(_GAPS).fetchall()
        days = set(connection.execute(_DAYS).fetchall())
        checks = connection.execute(_CHECKS).fetchall()
        withheld = {symbol for (symbol,) in connection.execute(_WITHHELD).fetchall()}
        leaked = [
            f"{table} has rows of {symbol}, which is withheld"
            for table in ("candles", "klines_5m", "open_interest_5m", *_DERIVED[:-1])
            for symbol in sorted(withheld)
            if connection.execute(f"select count(*) from found.{table} where symbol = $1", [symbol]).fetchone() != (0,)
        ]
        derived = []
        if not differences:
            for table in _DERIVED:
                row = connection.execute(
                    f"""
                    select count(*) from (
                        (from good.{table} except all from found.{table})
                        union all (from found.{table} except all from good.{table})
                    )
                    """
                ).fetchone()
                if row != (0,) and table != "data_gaps":
                    derived.append(f"{table} differs though its candles and snapshots are the same")
    refused = {(dataset, symbol) for name, dataset, symbol, _ in checks if name == "refused_files"}
    holes = [
        (*series, time)
        for *series, time, kind in differences
        if kind == "missing"
        and series[2] not in withheld
        and (*series, time.date()) not in days
        and not any(series == [*of] and start <= time < end for *of, start, end in gaps)
        and (series[0], series[2]) not in refused
    ]
    wrong = [f"a gap that nothing names: {' '.join(map(str, gap))}" for gap in holes[:3]]
    other = [row for row in differences if row[-1] != "missing"]
    of_dataset_and_symbol = itemgetter(0, 2)
    for (dataset, symbol), rows in groupby(sorted(other, key=of_dataset_and_symbol), of_dataset_and_symbol):
        # A check names the first place that it found; one that counts rows says nothing about those that are there.
        of_series = list(rows)
        first = min(row[4] for row in of_series)
        named = [
            detail
            for name, _, about, detail in checks
            if name not in _COUNTS and about == symbol and str(first.date()) in detail
        ]
        if not named:
            wrong.append(f"{len(of_series)} false rows of {dataset} {symbol} that no check names, from {first} on")
    return len(differences), wrong + derived + leaked


def outcome_of(place: Place, done: Run, good: Path) -> Outcome:
    """What a run caught, and whether what is published now is right."""
    steps = {step.name: step for step in done.steps}
    published = steps["publish"].outcome in ("ok", "warning")
    if published:
        differences, wrong = judge(good, place.published)
    else:
        same = place.published.read_bytes() == good.read_bytes()
        differences, wrong = 0, [] if same else ["the published file changed though nothing was published"]
    return Outcome(tuple(caught_by(place, steps)), published, tuple(wrong), done.exit_status, differences)


def caught_by(place: Place, steps: dict[str, StepResult]) -> Iterator[str]:
    load = steps["load"].result
    for failure in load.get("failures", [])[:1]:
        yield f"landing refuses {len(load['failures'])} file: {_short(failure['error'])}"
    if load.get("rows_rejected"):
        reason = place.query("select reason from ops.rejected_rows order by line_number limit 1")[0][0]
        yield f"landing keeps {load['rows_rejected']} rows aside: {_short(reason)}"
    if load.get("shadowed"):
        yield "landing takes one of two files of a name"
    ((doubled,),) = place.query("select coalesce(sum(rows_duplicate), 0) from ops.ingestion_files") or [(0,)]
    if doubled:
        yield f"landing drops {doubled} repeated rows"
    for one in steps["build"].result.get("failures", []):
        name = one["node"].split(".")[0]
        yield f"dbt test {name}" if one["message"].startswith("Got ") else f"dbt error {name}: {_short(one['message'])}"
    for one in steps["validate"].result.get("results", []):
        if one["status"] != "pass":
            yield f"expectation {one['table']}.{one['expectation']} ({one['status']})"
    for name, status, symbol in place.query(
        "select check_name, status, symbol from marts.quality_checks where status <> 'pass' order by 2, 1, 3"
    ):
        yield f"check {name} ({status}, {symbol})"
    for dataset, count, missing in place.query(
        "select dataset, count(*), sum(missing) from marts.data_gaps group by all order by all"
    ):
        yield f"data_gaps: {count} of {dataset}, {missing} rows"


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
