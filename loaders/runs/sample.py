"""The demo's archive: three days of three symbols, as the Binance archive would publish them.

Every candle is made of trades: a seeded walk draws the trades of each minute, and candles of one and of five
minutes are sums of them, so that what is written agrees to the last digit. Prices, quantities and their
products are integers in the smallest unit that the exchange shows. Neither clock nor global random state is
read, hence the same bytes on every run; a file that already holds them is not touched.

The archive has the oddities of the real one on purpose: a headerless file and a zip, a day without its
five-minute file, metrics with missing slots, blank cells and rows out of order, funding times that jitter,
spot candles in microseconds. `DEMOUSDT` stands in no seed.
"""

import io
import random
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

DAYS = (date(2026, 6, 26), date(2026, 6, 27), date(2026, 6, 28))

HEADERLESS = "BTCUSDT-5m-2026-06-26"
ZIPPED = "ETHUSDT-1m-2026-06-26"
WITHOUT_FIVE_MINUTES = "ETHUSDT-5m-2026-06-27"
OUT_OF_ORDER = "DEMOUSDT-metrics-2026-06-27"
MISSING_SLOTS = {
    "BTCUSDT-metrics-2026-06-27": ("14:00", "14:05", "14:10"),
    "ETHUSDT-metrics-2026-06-28": ("09:35",),
    "DEMOUSDT-metrics-2026-06-27": ("00:00", "18:20", "18:25"),
}
TRADED, TRADED_DAY, TRADED_HOURS = "BTCUSDT", DAYS[1], range(12, 15)
MARKED = "BTCUSDT"
SPOT, SPOT_DAY = "BTCUSDT", DAYS[1]
SPOT_DISCOUNT = 1834  # in cents: spot prices are recognisably not those of the perpetual

KLINE_COLUMNS = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
TRADE_COLUMNS = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
METRIC_COLUMNS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
FUNDING_COLUMNS = "calc_time,funding_interval_hours,last_funding_rate"

UM = PurePosixPath("data/futures/um")
MINUTE_MS = 60_000
STEP_MS = 5 * MINUTE_MS
SWING_MINUTES = 240
# A day's moves, in thousandths of the price; their order is drawn anew each day.
SWINGS = (-22, -13, -5, 7, 11, 22)
MARK_DECIMALS = 8
METRIC_DECIMALS = 16


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol, how the exchange writes its numbers, and how lively the sample makes it."""

    symbol: str
    price_decimals: int
    quantity_decimals: int
    tick: int
    """Smallest step of the price, in its last decimal."""
    first_price: int
    """In ticks."""
    jitter: int
    """Largest step from one trade to the next, in ticks."""
    liveliness: int
    """Factor on the day's swings."""
    typical_quantity: int
    """In the last decimal of the quantity, as are the contracts below."""
    open_interest: int
    first_trade_id: int
    funding_hours: int

    @property
    def quote_decimals(self) -> int:
        """Price times quantity is exact with the decimals of both."""
        return self.price_decimals + self.quantity_decimals


INSTRUMENTS = (
    # symbol, price and quantity decimals, tick, first price, jitter, liveliness, quantity, open interest, id, hours
    Instrument("BTCUSDT", 2, 3, 10, 600_000, 130, 1, 2_000, 102_943_397, 7_000_000_001, 8),
    Instrument("ETHUSDT", 2, 3, 1, 240_000, 70, 1, 30_000, 1_912_345_678, 6_000_000_001, 8),
    Instrument("DEMOUSDT", 7, 0, 1, 123_400, 70, 2, 400_000, 12_345_678_901, 50_000_001, 4),
)


class Trade(NamedTuple):
    """An aggregate trade; price and quantity in the instrument's last decimals, time in milliseconds."""

    agg_trade_id: int
    price: int
    quantity: int
    first_trade_id: int
    last_trade_id: int
    transact_time: int
    is_buyer_maker: bool


class Candle(NamedTuple):
    """A candle that opens at `open_time` (milliseconds); numbers in the instrument's last decimals."""

    open_time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trade_count: int
    taker_buy_volume: int
    taker_buy_quote_volume: int

    @classmethod
    def of_trades(cls, open_time: int, trades: Sequence[Trade]) -> Self:
        """Sums up the trades of one candle, in their order; at least one is needed."""
        prices = [trade.price for trade in trades]
        bought = [trade for trade in trades if not trade.is_buyer_maker]
        return cls(
            open_time,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(trade.quantity for trade in trades),
            sum(trade.price * trade.quantity for trade in trades),
            sum(trade.last_trade_id - trade.first_trade_id + 1 for trade in trades),
            sum(trade.quantity for trade in bought),
            sum(trade.price * trade.quantity for trade in bought),
        )


def write_archive(target: Path) -> list[Path]:
    """Writes the sample below `target`, in the archive's folders, and returns its files in a fixed order.

    Files that already hold the same bytes keep their modification time; others are replaced whole.
    """
    written = []
    for instrument in INSTRUMENTS:
        for name, content in _files(instrument):
            path = target / name
            _write_if_changed(path, content)
            written.append(path)
    return written


def _files(instrument: Instrument) -> Iterator[tuple[PurePosixPath, bytes]]:
    symbol = instrument.symbol
    by_minute = walk(instrument)
    minutes, steps = candles(by_minute, 1), candles(by_minute, 5)
    marks = mark_prices(instrument, steps)
    metrics = metric_rows(instrument, steps, marks)

    for day in DAYS:
        for interval, series in (("1m", minutes), ("5m", steps)):
            name = f"{symbol}-{interval}-{day}"
            if name != WITHOUT_FIVE_MINUTES:
                rows = [kline_row(instrument, candle, interval) for candle in of_day(series, day)]
                header = "" if name == HEADERLESS else KLINE_COLUMNS
                yield _file(UM / "daily/klines" / symbol / interval / name, header, rows)

        name = f"{symbol}-metrics-{day}"
        missing = {f"{day} {time}:00" for time in MISSING_SLOTS.get(name, ())}
        rows = [row for row in metrics if row.startswith(f"{day}") and row[:19] not in missing]
        if name == OUT_OF_ORDER:
            rows = rows[77:] + rows[:77]
        yield _file(UM / "daily/metrics" / symbol / name, METRIC_COLUMNS, rows)

        if symbol == MARKED:
            name = f"{symbol}-5m-{day}"
            rows = list(mark_rows(instrument, of_day(steps, day), marks))
            yield _file(UM / "daily/markPriceKlines" / symbol / "5m" / name, KLINE_COLUMNS, rows)

        if (symbol, day) == (TRADED, TRADED_DAY):
            begin, end = ((day - DAYS[0]).days * 1440 + hour * 60 for hour in (TRADED_HOURS.start, TRADED_HOURS.stop))
            rows = [trade_row(instrument, trade) for trades in by_minute[begin:end] for trade in trades]
            name = f"{symbol}-aggTrades-{day}"
            yield _file(UM / "daily/aggTrades" / symbol / name, TRADE_COLUMNS, rows)

        if (symbol, day) == (SPOT, SPOT_DAY):
            name = f"{symbol}-5m-{day}"
            rows = [spot_row(instrument, candle) for candle in of_day(steps, day)]
            yield _file(PurePosixPath("data/spot/daily/klines") / symbol / "5m" / name, "", rows)

    name = f"{symbol}-fundingRate-{DAYS[0]:%Y-%m}"
    rows = list(funding_rows(instrument))
    yield _file(UM / "monthly/fundingRate" / symbol / name, FUNDING_COLUMNS, rows)


def walk(instrument: Instrument, days: Sequence[date] = DAYS) -> list[list[Trade]]:
    """The trades of every minute of days that follow one another.

    A walk in whole ticks that leans towards the swing of its hours, the same for the same symbol.
    """
    rng = random.Random(f"{instrument.symbol} trades")
    price, trade_id = instrument.first_price, instrument.first_trade_id
    agg_trade_id = trade_id // 3
    by_minute = []
    for number in range(len(days) * 1440):
        if number % 1440 == 0:
            swings = sorted(SWINGS, key=lambda _: rng.random())
        if number % SWING_MINUTES == 0:
            swing = swings[number % 1440 // SWING_MINUTES] * instrument.liveliness
            lean = price * swing // (1000 * SWING_MINUTES)
        start = _start_ms(days[0]) + number * MINUTE_MS
        size = 7 + _below(rng, 9)
        trades = []
        for place in range(size):
            # The lean of a minute is seldom a multiple of its trades: rounding at random keeps its mean.
            price += (lean + _below(rng, size)) // size
            price += _below(rng, 2 * instrument.jitter + 1) - instrument.jitter
            singles = 1 + _below(rng, 5)
            trades.append(
                Trade(
                    agg_trade_id,
                    price * instrument.tick,
                    # Many small trades, few large ones.
                    singles + instrument.typical_quantity * _below(rng, 1000) * _below(rng, 1000) // 250_000,
                    trade_id,
                    trade_id + singles - 1,
                    start + (place * MINUTE_MS + _below(rng, MINUTE_MS)) // size,
                    _below(rng, 1000) < (540 if lean < 0 else 460),
                )
            )
            agg_trade_id += 1
            trade_id += singles
        by_minute.append(trades)
    return by_minute


def candles(by_minute: Sequence[Sequence[Trade]], length: int, first_day: date = DAYS[0]) -> list[Candle]:
    """Candles of `length` minutes over the whole walk."""
    return [
        Candle.of_trades(_start_ms(first_day) + first * MINUTE_MS, list(chain(*by_minute[first : first + length])))
        for first in range(0, len(by_minute), length)
    ]


def mark_prices(instrument: Instrument, steps: Sequence[Candle]) -> dict[int, int]:
    """The mark price at each five-minute instant: the last price but for a quarter of a basis point."""
    rng = random.Random(f"{instrument.symbol} mark")
    marks = {}
    for candle in steps:
        price = candle.open * 10 ** (MARK_DECIMALS - instrument.price_decimals)
        marks[candle.open_time] = price + _below(rng, price // 20_000) - price // 40_000
    return marks


def metric_rows(instrument: Instrument, steps: Sequence[Candle], marks: dict[int, int]) -> list[str]:
    """Open interest at each instant; over a candle it changes by a part of that candle's volume."""
    rng = random.Random(f"{instrument.symbol} metrics")
    contracts, lean, rows = instrument.open_interest, 0, []
    for number, candle in enumerate(steps):
        if number * 5 % SWING_MINUTES == 0:
            lean = _below(rng, 801) - 400
        value = contracts * marks[candle.open_time]
        ratios = ("" if _below(rng, 40) == 0 else _decimal(60_000_000 + _below(rng, 10**8), 8) for _ in range(4))
        rows.append(
            f"{datetime.fromtimestamp(candle.open_time // 1000, UTC):%Y-%m-%d %H:%M:%S},{instrument.symbol},"
            f"{_decimal(contracts, instrument.quantity_decimals, METRIC_DECIMALS)},"
            f"{_decimal(value, instrument.quantity_decimals + MARK_DECIMALS, METRIC_DECIMALS)},"
            f"{','.join(ratios)}"
        )
        contracts += candle.volume * (_below(rng, 1001) - 500 + lean) // 1000
    return rows


def mark_rows(instrument: Instrument, steps: Sequence[Candle], marks: dict[int, int]) -> Iterator[str]:
    """Mark-price candles: no volume, a tick a second, wicks a little shorter than those of the trades."""
    scale = 10 ** (MARK_DECIMALS - instrument.price_decimals)
    for candle in steps:
        opened = marks[candle.open_time]
        closed = marks.get(candle.open_time + STEP_MS, candle.close * scale)
        top, bottom = max(opened, closed), min(opened, closed)
        high = top + max(0, candle.high * scale - top) * 3 // 4
        low = bottom - max(0, bottom - candle.low * scale) * 3 // 4
        prices = ",".join(_decimal(price, MARK_DECIMALS) for price in (opened, high, low, closed))
        yield f"{candle.open_time},{prices},0,{candle.open_time + STEP_MS - 1},0,300,0,0,0"


def funding_rows(instrument: Instrument, days: Sequence[date] = DAYS) -> Iterator[str]:
    """A rate every few hours; the exchange's times come up to some milliseconds late."""
    rng = random.Random(f"{instrument.symbol} funding")
    hours = instrument.funding_hours
    for number in range(len(days) * 24 // hours):
        time = _start_ms(days[0]) + number * hours * 60 * MINUTE_MS + _below(rng, 3) * _below(rng, 9)
        rate = _below(rng, 16_000) - 6_000
        yield f"{time},{hours},{'-' if rate < 0 else ''}{_decimal(abs(rate), 8)}"


def kline_row(instrument: Instrument, candle: Candle, interval: str) -> str:
    """A candle as USD-M files write it; `interval` is 1m or 5m."""
    length = {"1m": MINUTE_MS, "5m": STEP_MS}[interval]
    prices = (_decimal(price, instrument.price_decimals) for price in candle[1:5])
    quantity, quote = instrument.quantity_decimals, instrument.quote_decimals
    return (
        f"{candle.open_time},{','.join(prices)},{_decimal(candle.volume, quantity)},"
        f"{candle.open_time + length - 1},{_decimal(candle.quote_volume, quote)},{candle.trade_count},"
        f"{_decimal(candle.taker_buy_volume, quantity)},{_decimal(candle.taker_buy_quote_volume, quote)},0"
    )


def spot_row(instrument: Instrument, candle: Candle) -> str:
    """The perpetual's candle at a discount, with three tenths of its volume; eight decimals, microseconds."""
    quantity, quote = instrument.quantity_decimals + 1, instrument.quote_decimals + 1
    prices = (_decimal(price - SPOT_DISCOUNT, instrument.price_decimals, 8) for price in candle[1:5])
    volume, bought = candle.volume * 3, candle.taker_buy_volume * 3
    quote_volume = candle.quote_volume * 3 - SPOT_DISCOUNT * volume
    quote_bought = candle.taker_buy_quote_volume * 3 - SPOT_DISCOUNT * bought
    return (
        f"{candle.open_time * 1000},{','.join(prices)},{_decimal(volume, quantity, 8)},"
        f"{(candle.open_time + STEP_MS) * 1000 - 1},{_decimal(quote_volume, quote, 8)},{candle.trade_count},"
        f"{_decimal(bought, quantity, 8)},{_decimal(quote_bought, quote, 8)},0"
    )


def trade_row(instrument: Instrument, trade: Trade) -> str:
    """A trade as USD-M files write it."""
    return (
        f"{trade.agg_trade_id},{_decimal(trade.price, instrument.price_decimals)},"
        f"{_decimal(trade.quantity, instrument.quantity_decimals)},{trade.first_trade_id},"
        f"{trade.last_trade_id},{trade.transact_time},{str(trade.is_buyer_maker).lower()}"
    )


def _decimal(value: int, decimals: int, shown: int | None = None) -> str:
    """Writes a non-negative integer number of last decimals, filled up with zeros to the decimals shown."""
    if decimals == 0 and not shown:
        return str(value)
    whole, fraction = divmod(value, 10**decimals)
    text = f"{fraction:0{decimals}d}" if decimals else ""
    return f"{whole}.{text:0<{shown or decimals}}"


def _below(rng: random.Random, end: int) -> int:
    """A number in [0, end). Only `random()` is promised to give the same numbers in every Python version."""
    return int(rng.random() * end)


def _start_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def of_day(series: Iterable[Candle], day: date) -> list[Candle]:
    """The candles that open on a UTC day."""
    start, end = _start_ms(day), _start_ms(day + timedelta(days=1))
    return [candle for candle in series if start <= candle.open_time < end]


def _file(stem: PurePosixPath, header: str, rows: Sequence[str]) -> tuple[PurePosixPath, bytes]:
    """A file's name and bytes, zipped if it is the one to be zipped."""
    text = "".join(f"{line}\n" for line in ([header, *rows] if header else rows)).encode()
    csv = stem.with_name(f"{stem.name}.csv")
    if stem.name != ZIPPED:
        return csv, text
    packed = io.BytesIO()
    member = zipfile.ZipInfo(csv.name, date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # the same on every operating system
    member.external_attr = 0o644 << 16
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, text)
    return csv.with_suffix(".zip"), packed.getvalue()


def _write_if_changed(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
