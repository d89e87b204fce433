"""Figures of the candle, open-interest and liquidation marts, as ratios within one run.

    python benchmarks/liquidation_marts.py [--folder FOLDER] [--days N] [--year N] [--years N]

Of a build up to three times are given: the whole process (`dbt run`); its models, by dbt's own account
(`execution_time` in `run_results.json`); and their SQL alone, run once more without dbt. What lies between the first
and the second is Python's start, parsing the project and dbt's hooks; between the second and the third, what dbt does
around each model. Neither grows with the data. Where nothing else is said, ratios are of the models' times.

The plain reference (`tests/marts/liquidation_reference.py`) is the algorithm as one would tell it: at every candle it
looks at every level that stands (has the price reached it?), at every fall of open interest it shrinks every one of
them, then it opens the candle's levels, and at the end of every hour, as in the heatmap, it adds up all that stand. No
index, no sorting, no shortcut. It makes levels, map and heatmap only, from candles and snapshots that are in memory
already, and writes nothing: candles and open interest are the marts' work alone.

The map computed on the fly is the same map to the last digit (it is compared), from the candles and the open interest
of the same 30 days, in one query without any of the liquidation marts.

`--days` (30, of the month), `--year` (365, days of a year) and `--years` (4) make it smaller to try it out; FOLDER
(default: a temporary one) takes about 1 GB at four years.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import history
from tests.marts import liquidation_reference as reference

MARTS = ("+path:models/marts/market", "+path:models/marts/liquidations")

# The same widths as the macro price_bin, for the liquidation prices of a benchmark.
WIDTHS = "\n        ".join(
    f"when liquidation_price >= {digit * 10 ** (exponent + 3)} then {digit * 10**exponent}"
    for exponent in range(3, -2, -1)
    for digit in (5, 2, 1)
)

# What stands now: not reached by any candle after the one that opened it, and more than a thousandth of it is left.
ON_THE_FLY = f"""
with shares as (
    select
        snapshot_at,
        cast(
            ln(least(1::double, open_interest::double / lag(open_interest::double) over (order by snapshot_at)))
            as decimal(38, 18)
        ) as log_share
    from marts.open_interest_5m where open_interest > 0
),
totals as (
    select snapshot_at, cast(sum(coalesce(log_share, 0)) over (order by snapshot_at) as decimal(38, 18)) as log_total
    from shares
),
candles as (
    select
        *,
        min(low) over later as lowest_later,
        max(high) over later as highest_later
    from marts.klines_5m
    window later as (order by open_time desc rows between unbounded preceding and 1 preceding)
),
openings as (
    select
        candles.open_time + interval '5 minutes' as opened_at,
        case when candles.close > candles.open then 'long' else 'short' end as side,
        candles.close as entry_price,
        snapshots.oi_delta,
        candles.lowest_later,
        candles.highest_later
    from candles
    inner join marts.open_interest_5m as snapshots on snapshots.snapshot_at = candles.open_time + interval '5 minutes'
    where snapshots.oi_delta > 0 and candles.close <> candles.open
),
levels as (
    select
        openings.side,
        openings.lowest_later,
        openings.highest_later,
        cast(openings.entry_price::double * factors.price_factor::double as decimal(18, 8)) as liquidation_price,
        cast(
            cast(openings.oi_delta::double * factors.quantity_share::double as decimal(28, 10))::double
            * openings.entry_price::double as decimal(28, 8)
        ) as volume_usd,
        totals.log_total
    from openings
    inner join (
        select side, price_factor, quantity_share from intermediate.int_liquidation_price_factors
        where symbol = 'BTCUSDT'
    ) as factors on factors.side = openings.side
    inner join totals on totals.snapshot_at = openings.opened_at
),
now as (select min(log_total) as log_total from totals),
standing as (
    select
        levels.side,
        levels.liquidation_price,
        cast(
            levels.volume_usd::double * exp(now.log_total::double - levels.log_total::double) as decimal(28, 8)
        ) as volume_usd
    from levels
    cross join now
    where
        now.log_total >= levels.log_total + cast(-6.907755278982137052 as decimal(38, 18))
        and levels.liquidation_price > 0
        and case levels.side
            when 'long' then coalesce(levels.lowest_later > levels.liquidation_price, true)
            else coalesce(levels.highest_later < levels.liquidation_price, true)
        end
)
select
    side,
    cast(liquidation_price - liquidation_price % case
        {WIDTHS}
    end as decimal(18, 8)) as price_bin,
    cast(sum(volume_usd) as decimal(38, 8)) as volume_usd
from standing
group by all
order by all
"""

FROM_THE_MARTS = """
select side, price_bin, sum(volume_usd) as volume_usd from marts.liquidation_map
where symbol = 'BTCUSDT'
group by all
order by all
"""

# The map of each hour of the last 30 days, as the report draws it.
HEATMAP = "select bucket_at, side, price_bin, volume_usd from marts.liquidation_heatmap where symbol = 'BTCUSDT'"


# Recorded liquidations all over the history, within 3 % of the price, as a load would leave them in raw.
EVENTS = """
insert into raw.binance_liquidations
    (market, symbol, time, side, price, average_price, accumulated_fill_quantity, file_id)
select
    'um', symbol, open_time + interval '7 seconds', order_side,
    cast(close * away as decimal(18, 8)), cast(close * away as decimal(18, 8)), 1, 0
from (
    select
        *,
        case when hash(open_time) % 2 = 0 then 'SELL' else 'BUY' end as order_side,
        1 + case when hash(open_time) % 2 = 0 then -1 else 1 end * (hash(open_time, 'away') % 300) / 10000.0 as away
    from marts.klines_5m
    qualify row_number() over (order by hash(open_time, 'chosen')) <= $1
) as chosen
"""


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long a build took: the whole process, and the models in it."""

    process: float
    models: float

    def __lt__(self, other: "Seconds") -> bool:
        return self.models < other.models


def build(warehouse: Path, *options: str, models: Sequence[str] = MARTS) -> Seconds:
    """Builds the models."""
    started = time.perf_counter()
    history.dbt(warehouse, "run", "--quiet", *options, "--select", *models)
    process = time.perf_counter() - started
    results = json.loads((warehouse.parent / "dbt" / "target" / "run_results.json").read_text())["results"]
    took = sum(result["execution_time"] for result in results if result["unique_id"].startswith("model."))
    return Seconds(process, float(took))


def sql_alone(warehouse: Path) -> float:
    """Seconds of the SQL of all tables that the last full build made, each run once more into a temporary table."""
    target = warehouse.parent / "dbt" / "target"
    nodes = json.loads((target / "manifest.json").read_text())["nodes"]
    results = json.loads((target / "run_results.json").read_text())["results"]
    tables = [
        result["compiled_code"]
        for result in results
        if nodes.get(result["unique_id"], {}).get("config", {}).get("materialized") in ("table", "incremental")
    ]
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        started = time.perf_counter()
        for sql in tables:
            connection.execute(f"create or replace temp table built as {sql}")
        return time.perf_counter() - started


def one_more_day(warehouse: Path, days: int) -> tuple[Seconds, Seconds]:
    """Times of a build with nothing to do, and of one with one more day, the best of three each."""
    nothing = min(build(warehouse) for _ in range(3))
    day = []
    for number in range(3):
        history.land(warehouse, "BTCUSDT", days + number, days + number + 1)
        day.append(build(warehouse))
    return nothing, min(day)


def backtest(warehouse: Path, events: int) -> float:
    """Seconds of the models of the backtest, for that many recorded liquidations."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(EVENTS, [events])
    return build(warehouse, models=["int_backtest_cases+"]).models


def query(warehouse: Path, sql: str) -> float:
    """Seconds of a query with its rows fetched, the best of seven."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        times = []
        for _ in range(7):
            started = time.perf_counter()
            connection.execute(sql).fetchnumpy()
            times.append(time.perf_counter() - started)
    return min(times)


def assert_same_map(warehouse: Path) -> int:
    """Compares the two ways to the map, row by row, and returns the number of its bins."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        on_the_fly = connection.execute(ON_THE_FLY).fetchall()
        from_the_marts = connection.execute(FROM_THE_MARTS).fetchall()
    if on_the_fly != from_the_marts or not from_the_marts:
        raise SystemExit("the map computed on the fly is not the one in the marts: the comparison would mean nothing")
    return len(from_the_marts)


def reference_seconds(warehouse: Path) -> float:
    """Seconds of the plain Python reference for what the warehouse holds."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        candles = {
            row[0].replace(tzinfo=UTC): reference.Candle(row[0].replace(tzinfo=UTC), *row[1:])
            for row in connection.execute("select open_time, open, high, low, close from marts.klines_5m").fetchall()
        }
        snapshots: dict[datetime, object] = {
            row[0].replace(tzinfo=UTC): row[1]
            for row in connection.execute("select snapshot_at, open_interest from marts.open_interest_5m").fetchall()
        }
        ((levels,),) = connection.execute("select count(*) from marts.liquidation_levels").fetchall()
    brackets = reference.read_brackets(history.ROOT / "seeds" / "margin_brackets.csv", "BTCUSDT")
    weights = reference.read_weights(history.ROOT / "seeds" / "leverage_weights.csv")
    started = time.perf_counter()
    told = reference.simulate(candles, snapshots, brackets, weights)  # type: ignore[arg-type]
    took = time.perf_counter() - started
    if len(told.levels) != levels:
        raise SystemExit(f"the reference has {len(told.levels)} levels, the marts {levels}")
    return took


def main(folder: Path, days: int, year_days: int, years: int) -> None:
    """Builds the warehouses and prints the figures, each beside what it should reach."""

    def full(name: str, symbols: list[str], days: int) -> tuple[Path, Seconds]:
        warehouse = history.new_warehouse(folder / name / "warehouse.duckdb", symbols, days)
        return warehouse, build(warehouse)

    def show(what: str, value: float, wanted: str = "") -> None:
        print(f"{what:<86} {value:>9.3f}   {wanted}".rstrip(), flush=True)

    long, long_days = f"{years} years", years * year_days + years // 4
    month, first = full("month", ["BTCUSDT"], days)
    built = min(first, build(month, "--full-refresh"))
    alone = sql_alone(month)
    plain = reference_seconds(month)
    show(f"{days} days, full build, seconds: whole process", built.process)
    show(f"{days} days, full build, seconds: models", built.models)
    show(f"{days} days, full build, seconds: the models' SQL alone", alone)
    show(f"{days} days, plain Python reference, seconds", plain)
    show(f"{days} days: reference ÷ whole process", plain / built.process)
    show(f"{days} days: reference ÷ models", plain / built.models, ">= 50")
    show(f"{days} days: reference ÷ the models' SQL alone", plain / alone)

    bins = assert_same_map(month)
    on_the_fly, from_marts = query(month, ON_THE_FLY), query(month, FROM_THE_MARTS)
    show(f"map of {days} days ({bins} bins), on the fly, milliseconds", on_the_fly * 1000)
    show(f"map of {days} days, from the marts, milliseconds", from_marts * 1000, "< 50")
    show(f"map of {days} days: on the fly ÷ from the marts", on_the_fly / from_marts, ">= 10")

    year, year_built = full("year", ["BTCUSDT"], year_days)
    four, four_built = full("four", ["BTCUSDT"], long_days)
    show("one year, full build, seconds: whole process", year_built.process)
    show("one year, full build, seconds: models", year_built.models)
    show(f"{long}, full build, seconds: whole process", four_built.process)
    show(f"{long}, full build, seconds: models", four_built.models)
    show(f"{long} ÷ one year: whole process", four_built.process / year_built.process)
    show(f"{long} ÷ one year: models", four_built.models / year_built.models, "<= 4.6")
    show(f"map from the marts at {long}, milliseconds", query(four, FROM_THE_MARTS) * 1000, "< 50")
    show(f"heatmap of 30 days from the marts at {long}, all of its rows, milliseconds", query(four, HEATMAP) * 1000)

    nothing_one, day_one = one_more_day(year, year_days)
    nothing_four, day_four = one_more_day(four, long_days)
    show(f"one more day at one year, seconds (nothing to do: {nothing_one.models:.3f})", day_one.models)
    show(f"one more day at {long}, seconds (nothing to do: {nothing_four.models:.3f})", day_four.models)
    more = day_four.models - nothing_four.models
    show(f"(one more day - nothing) ÷ full build, at {long}", more / four_built.models, "<= 0.05")
    show(f"that day with {long} behind it ÷ with one", day_four.models / day_one.models, "<= 1.3")
    show(f"backtest of 1,000 events over {long}, seconds", backtest(four, 1000))
    _, two_built = full("two", ["BTCUSDT", "ETHUSDT"], year_days)
    show("two symbols ÷ one", two_built.models / year_built.models, "<= 2.2")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Figures of the liquidation marts.")
    parser.add_argument("--folder", type=Path, help="where the warehouses are left; default: a temporary folder")
    parser.add_argument("--days", type=int, default=30, help="days of the month")
    parser.add_argument("--year", type=int, default=365, help="days of a year")
    parser.add_argument("--years", type=int, default=4, help="years of the long history")
    given = parser.parse_args()
    if given.folder:
        main(given.folder, given.days, given.year, given.years)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary), given.days, given.year, given.years)
