"""Figures of the candle, open-interest and liquidation marts, as ratios within one run.

    python benchmarks/liquidation_marts.py [FOLDER]

Times are those of dbt's models (`run_results.json`), so that starting Python and parsing the project are not in them.
FOLDER (default: a temporary one) takes about 1 GB.
"""

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import history
from tests.marts import liquidation_reference as reference

YEARS_4, YEAR, MONTH = 1461, 365, 30
SELECTION = ["run", "--quiet", "--select", "+path:models/marts/market", "+path:models/marts/liquidations"]

ON_THE_FLY = """
with shares as (
    select
        symbol, snapshot_at,
        cast(ln(least(1, open_interest::double / lag(open_interest::double) over (order by snapshot_at)))
            as decimal(38, 18)) as log_share
    from marts.open_interest_5m where open_interest > 0
),
totals as (
    select symbol, snapshot_at, sum(coalesce(log_share, 0)) over (order by snapshot_at) as log_share_total from shares
),
openings as (
    select
        candles.symbol, candles.inferred_side as side, candles.open_time + interval '5 minutes' as opened_at,
        candles.close * factors.price_factor as liquidation_price,
        candles.oi_delta::double * factors.quantity_share::double * candles.close::double as volume_usd,
        totals.log_share_total
    from marts.candles_with_side as candles
    inner join intermediate.int_liquidation_price_factors as factors
        on factors.symbol = candles.symbol and factors.side = candles.inferred_side
    inner join totals on totals.snapshot_at = candles.open_time + interval '5 minutes'
    where candles.open_time >= (select max(open_time) from marts.candles_with_side) - interval '30 days'
),
extremes as (
    select
        open_time,
        min(low) over (order by open_time rows between current row and unbounded following) as lowest_after,
        max(high) over (order by open_time rows between current row and unbounded following) as highest_after
    from marts.klines_5m
    where open_time >= (select max(open_time) from marts.candles_with_side) - interval '30 days'
)
select
    side, liquidation_price - liquidation_price % 50 as price_bin,
    sum(volume_usd * exp((select min(log_share_total) from totals)::double - log_share_total::double)) as volume_usd
from openings
left join extremes on extremes.open_time = openings.opened_at
where case side
    when 'long' then coalesce(lowest_after > liquidation_price, true)
    else coalesce(highest_after < liquidation_price, true)
end
group by all
"""

FROM_THE_MARTS = "select side, price_bin, sum(volume_usd) from marts.liquidation_map group by all"


def build(warehouse: Path, *options: str) -> float:
    """Seconds that the models took."""
    history.dbt(warehouse, *SELECTION, *options)
    results = json.loads((warehouse.parent / "dbt" / "target" / "run_results.json").read_text())["results"]
    return float(sum(result["execution_time"] for result in results if result["unique_id"].startswith("model.")))


def one_more_day(warehouse: Path, days: int) -> tuple[float, float]:
    """Seconds of a build with nothing to do, and of one with one more day, the best of three each."""
    nothing = min(build(warehouse) for _ in range(3))
    day = []
    for number in range(3):
        history.land(warehouse, "BTCUSDT", days + number, days + number + 1)
        day.append(build(warehouse))
    return nothing, min(day)


def query(warehouse: Path, sql: str) -> float:
    """Seconds of a query, the best of seven."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        times = []
        for _ in range(7):
            started = time.perf_counter()
            connection.execute(sql).fetchall()
            times.append(time.perf_counter() - started)
    return min(times)


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
    brackets = reference.read_brackets(history.ROOT / "seeds" / "margin_brackets.csv", "BTCUSDT")
    weights = reference.read_weights(history.ROOT / "seeds" / "leverage_weights.csv")
    started = time.perf_counter()
    reference.simulate(candles, snapshots, brackets, weights)  # type: ignore[arg-type]
    return time.perf_counter() - started


def main(folder: Path) -> None:
    def full(name: str, symbols: list[str], days: int) -> tuple[Path, float]:
        warehouse = history.new_warehouse(folder / name / "warehouse.duckdb", symbols, days)
        return warehouse, build(warehouse)

    def show(what: str, value: float, wanted: str) -> None:
        print(f"{what:<78} {value:>9.3f}   {wanted}", flush=True)

    month, month_seconds = full("month", ["BTCUSDT"], MONTH)
    month_seconds = min(month_seconds, build(month, "--full-refresh"))
    plain = reference_seconds(month)
    show("one month, seconds", month_seconds, "")
    show("one month, plain Python reference, seconds", plain, "")
    show("one month: reference ÷ marts", plain / month_seconds, ">= 50")
    year, year_seconds = full("year", ["BTCUSDT"], YEAR)
    four, four_seconds = full("four", ["BTCUSDT"], YEARS_4)
    show("one year, full build, seconds", year_seconds, "")
    show("four years, full build, seconds", four_seconds, "")
    show("four years ÷ one year", four_seconds / year_seconds, "<= 4.6")
    on_the_fly, from_marts = query(four, ON_THE_FLY), query(four, FROM_THE_MARTS)
    show("map from the marts, milliseconds", from_marts * 1000, "< 50")
    show("map of 30 days: on the fly ÷ from the marts", on_the_fly / from_marts, ">= 10")
    nothing_one, day_one = one_more_day(year, YEAR)
    nothing_four, day_four = one_more_day(four, YEARS_4)
    show(f"one more day at one year, seconds (nothing to do: {nothing_one:.3f})", day_one, "")
    show(f"one more day at four years, seconds (nothing to do: {nothing_four:.3f})", day_four, "")
    show("(one more day - nothing) ÷ full build, at four years", (day_four - nothing_four) / four_seconds, "<= 0.05")
    show("that day with four years behind it ÷ with one", day_four / day_one, "<= 1.3")
    _, two_seconds = full("two", ["BTCUSDT", "ETHUSDT"], YEAR)
    show("two symbols ÷ one", two_seconds / year_seconds, "<= 2.2")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
