"""The long rehearsal: billions of trades, landed in pieces, built, validated, published, and then one more day.

    python benchmarks/rehearsal.py FOLDER [--trades 2_100_000_000] [--days 1461] [--symbols 10] [--days-at-once 30]
                                          [--in-full]

Trades of one symbol over four years, candles and metrics of ten more. Files of `--days-at-once` days are written,
landed by `loaders load` and deleted again, all but those of the newest day: an empty data folder would look like a disk
that is not mounted. After a tenth of the days, and after all of them, `loaders run` builds, validates and publishes.
One more day follows each time, and then a run without news, so that the first night and the last one are of the same
rehearsal. `--in-full` ends it with `loaders run --full`.

Each step is a process of its own. Its seconds, its CPU seconds and its memory are those of all its processes; what was
spilled is the most that lay beside the warehouse. The defaults run for hours and take about 14 bytes of disk for each
trade, beside 75 bytes for each trade of the days at once. A minute or two shows that all works:

    python benchmarks/rehearsal.py FOLDER --trades 200_000 --days 20 --symbols 2 --days-at-once 5

FOLDER is left with the warehouse, and with what the commands said in `run.log`.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
from nights import Cost, History, table_of
from rich.console import Console

# Bytes of disk: of a trade in the warehouse, with what a rebuild leaves free in it, and of one in its file.
STORED = 14
WRITTEN = 75
# What the candles of a symbol and all that is derived from them take for each day, published twice.
OF_A_SYMBOL_AND_DAY = 400_000


def together(costs: Iterable[Cost]) -> Cost:
    """What several commands took one after the other: times are summed up, memory and spill are the greatest."""
    total = Cost()
    for cost in costs:
        total.seconds += cost.seconds
        total.cpu_seconds += cost.cpu_seconds
        total.peak_mb = max(total.peak_mb, cost.peak_mb)
        total.spill_mb = max(total.spill_mb, cost.spill_mb)
        total.warehouse_mb, total.published_mb = cost.warehouse_mb, cost.published_mb
    return total


@dataclass(frozen=True)
class Piece:
    """Days that landed together."""

    days: int
    cost: Cost


def land(history: History, first_day: int, end_day: int, at_once: int) -> list[Piece]:
    """Writes and lands these days, so many at once; what has landed is deleted but for the newest day."""
    pieces = []
    for first in range(first_day, end_day, at_once):
        end = min(first + at_once, end_day)
        before = time.perf_counter()
        history.write(first, end)
        written = time.perf_counter() - before
        cost = history.load()
        history.keep_newest_day()
        pieces.append(Piece(end - first, cost))
        print(f"days {first} to {end - 1}: written in {written:.1f} s; landed {cost.said[0]}: {cost.text}", flush=True)
    return pieces


def told(name: str, cost: Cost) -> Cost:
    """Prints a step as soon as it has ended: the next one may take hours."""
    print(f"{name}: {cost.text}", *cost.said, sep="\n  ", flush=True)
    return cost


def night(history: History, day: int) -> Cost:
    """One more day comes, and the files of the days before it go."""
    history.write(day, day + 1)
    history.keep_newest_day()
    return history.run()


def require_all_trades(history: History, days: int) -> None:
    """Ends the rehearsal if the ledger, or raw, has another number of trades than were written."""
    wanted = history.trades_a_day * days
    with duckdb.connect(str(history.warehouse), read_only=True) as connection:
        found = connection.execute(
            """
            select
                (select sum(rows_loaded) from ops.ingestion_files where status = 'loaded' and dataset = 'aggTrades'),
                (select count(*) from raw.binance_agg_trades)
            """
        ).fetchone()
    if found != (wanted, wanted):
        raise SystemExit(f"{wanted:,} trades were written, ledger and raw have {found}")
    print(f"{wanted:,} trades were written, and ledger and raw have as many")


def rehearse(history: History, at_once: int, *, in_full: bool) -> dict[str, Cost]:
    """All steps, in their order; the days of `history` and one more."""
    shutil.rmtree(history.folder, ignore_errors=True)
    history.work.mkdir(parents=True)
    tenth = max(history.days // 10, 1)
    early = land(history, 0, tenth, at_once)
    costs = {f"landing {tenth} days": together(piece.cost for piece in early)}
    costs["first run"] = told("first run", history.run())
    costs["first night"] = told("first night", night(history, tenth))
    costs["nothing new"] = told("nothing new", history.run())
    late = land(history, tenth + 1, history.days, at_once)
    costs[f"landing {history.days - tenth - 1} more"] = together(piece.cost for piece in late)
    costs["all of it"] = told("all of it", history.run())
    costs["last night"] = told("last night", night(history, history.days))
    costs["nothing new again"] = told("nothing new again", history.run())
    if in_full:
        costs["in full"] = told("in full", history.run("--full"))
    # The last piece may be a short one, of which the start of the process is the most.
    longest = max(piece.days for piece in late)
    end = [piece for piece in late if piece.days == longest][-1]
    seconds, cpu = (
        getattr(end.cost, what) / end.days / (getattr(early[0].cost, what) / early[0].days)
        for what in ("seconds", "cpu_seconds")
    )
    print(f"landing a day at the end ÷ at the beginning  {seconds:.2f} (CPU {cpu:.2f})   (to reach: 1.1)")
    require_all_trades(history, history.days + 1)
    return costs


def main() -> None:
    """Runs the rehearsal that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trades", type=int, default=2_100_000_000)
    parser.add_argument("--days", type=int, default=1461)
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--days-at-once", type=int, default=30)
    parser.add_argument("--in-full", action="store_true")
    asked = parser.parse_args()
    if asked.days < 3:
        parser.error("--days: three at least, one of them for the first night")
    folder = asked.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    symbols = tuple(f"COIN{number}USDT" for number in range(asked.symbols))
    history = History(folder / "rehearsal", symbols, asked.days, max(asked.trades // asked.days, 1), True)
    needed = history.trades_a_day * (STORED * asked.days + WRITTEN * asked.days_at_once)
    needed += OF_A_SYMBOL_AND_DAY * asked.symbols * asked.days
    free = shutil.disk_usage(folder).free
    print(f"about {needed / 1e9:.1f} GB of disk are needed, {free / 1e9:.1f} GB are free", flush=True)
    if free < needed:
        raise SystemExit("make room, or ask for less (--trades, --days, --days-at-once)")
    costs = rehearse(history, asked.days_at_once, in_full=asked.in_full)
    what = f"{history.trades_a_day * asked.days:,} trades and {asked.symbols} symbols over {asked.days:,} days"
    Console(width=160).print(table_of(what, costs))
    print(f"all steps: {sum(cost.seconds for cost in costs.values()) / 3600:.2f} h")
    print(f"peak memory  {max(cost.peak_mb for cost in costs.values()):.0f} MB   (to reach: 2048)")
    first, last = costs["first night"], costs["last night"]
    print(
        f"last night ÷ first night  {last.seconds / first.seconds:.2f} "
        f"(CPU {last.cpu_seconds / first.cpu_seconds:.2f})   (to reach: 1.5)"
    )


if __name__ == "__main__":
    main()
