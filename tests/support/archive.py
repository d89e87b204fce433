"""Small archive files for tests: headers, rows, and whole files where the archive would keep them.

`kline_rows`, `trade_rows` and `metrics_rows` are plain rows with known figures, for tests of what lands. `klines`,
`agg_trades`, `metrics` and the others write a file of a day or month. What it holds depends on nothing but its
arguments, so a daily and a monthly file agree where they overlap and a re-publication differs only where a test says
so.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
TRADES = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
FUNDING = "calc_time,funding_interval_hours,last_funding_rate"
ORDERS = (
    "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,last_fill_quantity,"
    "accumulated_fill_quantity"
)
LEVELS = "time,symbol,side,price,volume"

STEP = 300_000

Keep = Callable[[datetime], bool]


def day(text: str) -> datetime:
    """Midnight UTC of a day written as 2026-06-28."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def milliseconds(time: datetime) -> int:
    """Milliseconds since 1970."""
    return int(time.timestamp() * 1000)


def day_ms(text: str) -> int:
    """Milliseconds at the start of a UTC day."""
    return milliseconds(day(text))


def utc(*parts: int) -> datetime:
    """A time as the tables hold it: UTC, without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type,misc]


def noise(*of: object) -> int:
    """A number from 0 to 999 that depends on its arguments alone."""
    return int(hashlib.sha256(repr(of).encode()).hexdigest()[:8], 16) % 1000


def price_at(symbol: str, minute: datetime) -> Decimal:
    """The traded price at the start of a minute: near 100, two decimals."""
    return Decimal(9500 + noise(symbol, milliseconds(minute))) / 100


def minute_candle(symbol: str, minute: datetime) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
    """Open, high, low, close and volume of a one-minute candle."""
    opened, closed = price_at(symbol, minute), price_at(symbol, minute + timedelta(minutes=1))
    volume = Decimal(1000 + noise("volume", symbol, milliseconds(minute))) / 1000
    return (
        opened,
        max(opened, closed) + Decimal("0.50"),
        min(opened, closed) - Decimal("0.50"),
        closed,
        volume,
    )


def candle(symbol: str, start: datetime, minutes: int) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
    """A candle of several minutes, made of its one-minute candles."""
    parts = [minute_candle(symbol, start + timedelta(minutes=index)) for index in range(minutes)]
    return (
        parts[0][0],
        max(part[1] for part in parts),
        min(part[2] for part in parts),
        parts[-1][3],
        sum((part[4] for part in parts), Decimal(0)),
    )


def steps(start: datetime, end: datetime, minutes: int) -> Iterable[datetime]:
    """Times from start (inclusive) to end (exclusive)."""
    while start < end:
        yield start
        start += timedelta(minutes=minutes)


def text(rows: Iterable[str], header: str | None = None) -> str:
    """A file's content."""
    return "".join(f"{line}\n" for line in ([header] if header else []) + list(rows))


def write(path: Path, content: str | bytes | Iterable[str]) -> Path:
    """Writes a text, bytes or lines into a file, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, (str, bytes)):
        content = text(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_zip(path: Path, content: str | bytes, member: str | None = None) -> Path:
    """Writes an archive with one member, named as the archive names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed date, so that the same content makes the same archive.
        inside = zipfile.ZipInfo(member or path.stem + ".csv")
        inside.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(inside, content)
    return path


def write_gz(path: Path, content: str) -> Path:
    """Writes a gzipped file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()))
    return path


def kline_row(time_ms: int, price: int = 100, *, step: int = STEP, per_ms: int = 1) -> str:
    """A candle that opens at `time_ms`; `per_ms` 1000 writes microseconds."""
    close = (time_ms + step) * per_ms - 1
    return f"{time_ms * per_ms},{price}.0,{price + 2}.5,{price - 1}.25,{price}.5,10.5,{close},1055.2,7,4.5,452.1,0"


def kline_rows(of: str, count: int = 288, price: int = 100) -> list[str]:
    """Rows of a five-minute file."""
    start = day_ms(of)
    return [kline_row(start + step * STEP, price + step % 7) for step in range(count)]


def trade_rows(of: str, count: int = 200, first: int = 1000) -> list[str]:
    """Rows of an aggTrades file."""
    start = day_ms(of)
    return [
        f"{first + n},{100 + n % 5}.1,0.{n % 9 + 1},{2 * (first + n)},{2 * (first + n) + 1},{start + n * 1000},"
        f"{'true' if n % 2 else 'false'}"
        for n in range(count)
    ]


def metrics_rows(of: str, count: int = 288, symbol: str = "BTCUSDT") -> list[str]:
    """Rows of a metrics file; some ratios are blank."""
    return [
        f"{of} {n // 12:02}:{n % 12 * 5:02}:00,{symbol},{1000 + n}.5,{100000 + n}.1234567890123456,,1.25,"
        f"{1 + n / 1000:.4f},0.5000"
        for n in range(count)
    ]


def period(text: str) -> tuple[datetime, datetime, str]:
    """Start and end of a day (2026-06-28) or a month (2026-06), and the archive's word for its length."""
    if len(text) == len("2026-06-28"):
        return day(text), day(text) + timedelta(days=1), "daily"
    start = day(f"{text}-01")
    return start, (start + timedelta(days=32)).replace(day=1), "monthly"


def klines(
    root: Path,
    symbol: str,
    of: str,
    interval: int = 5,
    keep: Keep = lambda time: True,
    market: str = "futures/um",
    kind: str = "klines",
    shift: Decimal = Decimal(0),
) -> Path:
    """A file of klines of a day or month, with header, for the rows that `keep` wants; `shift` moves every price."""
    start, end, length = period(of)
    lines = [KLINES]
    for time in filter(keep, steps(start, end, interval)):
        opened, high, low, closed, volume = candle(symbol, time, interval)
        prices = [str(price + shift) for price in (opened, high, low, closed)]
        close_time = milliseconds(time + timedelta(minutes=interval)) - 1
        quote, taker = volume * ((high + low) / 2 + shift), volume / 2
        lines.append(
            f"{milliseconds(time)},{','.join(prices)},{volume},{close_time},{quote:.5f},{interval * 10},"
            f"{taker:.4f},{quote / 2:.5f},0"
        )
    name = f"{symbol}-{interval}m-{of}.csv"
    return write(root / "data" / market / length / kind / symbol / f"{interval}m" / name, lines)


def open_interest_at(symbol: str, time: datetime) -> Decimal:
    """Contracts open at an instant."""
    return Decimal(100_000 + noise("open interest", symbol, milliseconds(time))) + Decimal("0.125")


def metrics(
    root: Path,
    symbol: str,
    of: str,
    keep: Keep = lambda time: True,
    zero: Keep = lambda time: False,
    label_minutes: int = 0,
    late: Callable[[datetime], int] = lambda time: 0,
    more: Iterable[str] = (),
) -> Path:
    """A day of open-interest snapshots.

    `keep` and `zero` (the exchange published 0) ask for the label of a row. A label lies `label_minutes` before the
    instant of its snapshot, 0 or 5, and is stamped `late` seconds after that. `more` are lines to add.
    """
    start, end, _ = period(of)
    lines = [METRICS]
    for label in filter(keep, steps(start, end, 5)):
        instant = label + timedelta(minutes=label_minutes)
        contracts = Decimal(0) if zero(label) else open_interest_at(symbol, instant)
        value = contracts * price_at(symbol, instant)
        stamp = label + timedelta(seconds=late(label))
        lines.append(f"{stamp:%Y-%m-%d %H:%M:%S},{symbol},{contracts},{value},,,,")
    lines += more
    return write(root / f"data/futures/um/daily/metrics/{symbol}/{symbol}-metrics-{of}.csv", lines)


def agg_trades(root: Path, symbol: str, of: str, first_id: int, keep: Keep = lambda time: True) -> Path:
    """A day of trades, one every ten seconds, numbered from `first_id`; `keep` leaves rows, not numbers, out."""
    start, end, length = period(of)
    lines = [TRADES]
    count = int((end - start).total_seconds()) // 10
    for index in range(count):
        time = start + timedelta(seconds=10 * index)
        if not keep(time):
            continue
        price = Decimal(9500 + noise("trade", symbol, milliseconds(time))) / 100
        maker = "true" if index % 3 else "false"
        number = first_id + index
        lines.append(
            f"{number},{price},1.{noise(number):03d},{number * 2},{number * 2 + 1},{milliseconds(time)},{maker}"
        )
    return write(root / f"data/futures/um/{length}/aggTrades/{symbol}/{symbol}-aggTrades-{of}.csv", lines)


def liquidation(time: datetime, side: str, price: Decimal, quantity: Decimal, rate: Decimal = Decimal("0.015")) -> str:
    """A row of a file of liquidations: `side` is that of the position, the order's is the other one.

    The order's price is the bankruptcy price of a position that is liquidated at `price`; `rate` is the maintenance
    margin rate of its bracket, the first one of symbols without brackets unless told.
    """
    bankruptcy = price * (1 - rate if side == "long" else 1 + rate)
    order = "SELL" if side == "long" else "BUY"
    return f"{milliseconds(time)},{order},LIMIT,IOC,{quantity},{bankruptcy},{price},FILLED,{quantity},{quantity}"


def liquidations(root: Path, symbol: str, of: str, rows: Iterable[str]) -> Path:
    """A day of recorded liquidations."""
    name = f"{symbol}-liquidationSnapshot-{of}.csv"
    folder = root / "data/futures/um/daily/liquidationSnapshot" / symbol
    return write(folder / name, [ORDERS, *rows])


def levels(root: Path, symbol: str, provider: str, of: str | None, rows: Iterable[str]) -> Path:
    """External levels, of a day, a month, or any time (None)."""
    return write(root / f"{symbol}-levels-{provider}{f'-{of}' if of else ''}.csv", [LEVELS, *rows])


def some_liquidations(root: Path, symbol: str, of: str, keep: Keep = lambda time: True) -> Path:
    """A liquidation every twenty minutes, within 3 % of the price."""
    start, end, _ = period(of)
    rows = []
    for time in filter(keep, steps(start, end, 20)):
        number = noise("liquidation", symbol, milliseconds(time))
        side, away = ("long", -1) if number % 2 else ("short", 1)
        price = price_at(symbol, time) * (1 + away * Decimal(number) / 33_000)
        rows.append(
            liquidation(time + timedelta(seconds=number % 50), side, price.quantize(Decimal("0.01")), Decimal(1))
        )
    return liquidations(root, symbol, of, rows)


def some_levels(root: Path, symbol: str, of: str, keep: Keep = lambda time: True, shift: Decimal = Decimal(0)) -> Path:
    """A map snapshot every hour: twenty levels within 8 % of the price, one of them large."""
    start, end, _ = period(of)
    rows = []
    for time in filter(keep, steps(start, end, 60)):
        for index in range(20):
            number = noise("level", symbol, index, milliseconds(time))
            side, away = ("long", -1) if index % 2 else ("short", 1)
            # No two of a snapshot lie at one price.
            price = price_at(symbol, time) * (1 + away * Decimal(20 * number + index + 1) / 250_000) + shift
            volume = 100 if index == number % 20 else 1 + index
            rows.append(f"{time:%Y-%m-%d %H:%M:%S},{symbol},{side},{price.quantize(Decimal('0.0001'))},{volume}")
    return levels(root, symbol, "vendor", of, rows)
