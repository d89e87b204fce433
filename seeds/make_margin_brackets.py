"""Makes seeds/margin_brackets.csv from the exchange's leverage brackets as ccxt writes them.

    python seeds/make_margin_brackets.py 2024-10-01 ../shared/data/brackets/binance_leverage_tiers_2024-10.json

Each argument pair is a day from which a file's brackets are in force and the file: an object with, for each market
(`BTC/USDT:USDT`, `BTC/USDT:USDT-241227`), a list of brackets whose `info` holds what the exchange answered. Brackets
change often: name every file that is known, oldest first. A symbol's set stays in force until its next one, and a set
that equals the one before it makes no rows.

Numbers are copied as the exchange wrote them (`Decimal`, never through a float) and each `cum` is checked against its
recurrence, so a row that was mistyped somewhere on the way stops the script.

The symbol `DEFAULT` stands for symbols without brackets. Its set is the one that most symbols of the newest file
share: the usual terms of a small coin.
"""

import csv
import json
import sys
from collections import Counter
from dataclasses import astuple, dataclass, fields
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

SEED = Path(__file__).with_name("margin_brackets.csv")
DEFAULT_SYMBOL = "DEFAULT"


@dataclass(frozen=True, slots=True)
class Bracket:
    """One step of a symbol's margin schedule: positions of a notional in (notional_floor, notional_cap]."""

    bracket: int
    notional_floor: Decimal
    notional_cap: Decimal
    maintenance_margin_rate: Decimal
    max_leverage: int
    cum: Decimal

    @classmethod
    def from_exchange(cls, info: dict[str, str]) -> "Bracket":
        return cls(
            bracket=int(info["bracket"]),
            notional_floor=plain(info["notionalFloor"]),
            notional_cap=plain(info["notionalCap"]),
            maintenance_margin_rate=plain(info["maintMarginRatio"]),
            max_leverage=int(info["initialLeverage"]),
            cum=plain(info["cum"]),
        )


def plain(text: str) -> Decimal:
    """A number without trailing zeros and without an exponent: `131450.0` is 131450."""
    number = Decimal(text)
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def exchange_symbol(market: str) -> str:
    """`BTC/USDT:USDT` is `BTCUSDT`, `BTC/USDT:USDT-241227` is `BTCUSDT_241227`."""
    pair, _, settlement = market.partition(":")
    _, _, delivery = settlement.partition("-")
    return pair.replace("/", "") + (f"_{delivery}" if delivery else "")


def read_schedules(path: Path) -> dict[str, tuple[Bracket, ...]]:
    markets = json.loads(path.read_text(encoding="utf-8"))
    schedules = {
        exchange_symbol(market): tuple(Bracket.from_exchange(tier["info"]) for tier in tiers)
        for market, tiers in markets.items()
    }
    for symbol, schedule in schedules.items():
        check(symbol, schedule)
    shared_by = Counter(schedules.values())
    most_shared = min(shared_by, key=lambda schedule: (-shared_by[schedule], repr(schedule)))
    return {DEFAULT_SYMBOL: most_shared} | dict(sorted(schedules.items()))


def check(symbol: str, schedule: tuple[Bracket, ...]) -> None:
    """Raises `ValueError` unless the brackets follow each other and every `cum` fits its recurrence."""
    if not schedule or schedule[0].notional_floor != 0 or schedule[0].cum != 0:
        raise ValueError(f"{symbol}: the first bracket must begin at 0 with cum 0")
    for lower, upper in pairwise(schedule):
        step = upper.maintenance_margin_rate - lower.maintenance_margin_rate
        if upper.notional_floor != lower.notional_cap:
            raise ValueError(f"{symbol}: bracket {upper.bracket} does not begin where the one before it ends")
        if upper.cum != lower.cum + upper.notional_floor * step:
            raise ValueError(f"{symbol}: cum of bracket {upper.bracket} does not fit cum + floor x step of the rate")


def main(arguments: list[str]) -> None:
    if not arguments or len(arguments) % 2:
        raise SystemExit(__doc__)
    in_force: dict[str, tuple[Bracket, ...]] = {}
    rows: list[tuple[object, ...]] = []
    for valid_from, path in sorted(zip(arguments[::2], arguments[1::2], strict=True)):
        day = date.fromisoformat(valid_from)
        for symbol, schedule in read_schedules(Path(path)).items():
            if in_force.get(symbol) != schedule:
                in_force[symbol] = schedule
                rows += [(symbol, day, *astuple(bracket)) for bracket in schedule]
    with SEED.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["symbol", "valid_from", *(field.name for field in fields(Bracket))])
        writer.writerows(rows)
    print(f"{len(rows)} brackets of {len(in_force)} symbols in {SEED.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
