"""The sample archive is recomputed from its own files, with decimals and without the generator's code."""

import csv
import hashlib
import io
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from loaders.runs.sample import write_archive

UM = "data/futures/um"
DAYS = ["2026-06-26", "2026-06-27", "2026-06-28"]
SYMBOLS = ["BTCUSDT", "DEMOUSDT", "ETHUSDT"]
SUMS = ["volume", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume"]
# fmt: off
KLINES = [
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
]
# fmt: on
HEADERLESS = {
    f"{UM}/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06-26.csv",
    "data/spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06-27.csv",
}
WITHOUT_FIVE_MINUTES = f"{UM}/daily/klines/ETHUSDT/5m/ETHUSDT-5m-2026-06-27.csv"

Row = dict[str, str]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("archive")
    write_archive(target)
    return target


def lines(path: Path) -> list[str]:
    """The lines of a file; for a `.csv` that is not there, those of the zip in its place."""
    if path.exists():
        return path.read_text().splitlines()
    with zipfile.ZipFile(path.with_suffix(".zip")) as packed:
        assert packed.namelist() == [path.name]
        return packed.read(path.name).decode().splitlines()


def rows(path: Path) -> list[Row]:
    """The rows of a file by column name."""
    text = lines(path)
    columns = KLINES if text[0][0].isdigit() and "klines" in path.parts else text.pop(0).split(",")
    return [dict(zip(columns, cells, strict=True)) for cells in csv.reader(io.StringIO("\n".join(text)))]


def klines(archive: Path, symbol: str, interval: str) -> Iterator[tuple[str, list[Row]]]:
    for day in DAYS:
        name = f"{UM}/daily/klines/{symbol}/{interval}/{symbol}-{interval}-{day}.csv"
        if name != WITHOUT_FIVE_MINUTES:
            yield day, rows(archive / name)


def milliseconds(day: str, clock: str = "00:00:00") -> int:
    return int(datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=UTC).timestamp()) * 1000


def total(candles: list[Row], column: str) -> Decimal:
    return sum((Decimal(candle[column]) for candle in candles), Decimal(0))


def summed(candles: list[Row]) -> list[Decimal]:
    """What one candle over all of these would say: open, high, low, close and the five sums."""
    return [
        Decimal(candles[0]["open"]),
        max(Decimal(candle["high"]) for candle in candles),
        min(Decimal(candle["low"]) for candle in candles),
        Decimal(candles[-1]["close"]),
        *(total(candles, column) for column in SUMS),
    ]


def values(candle: Row) -> list[Decimal]:
    return [Decimal(candle[column]) for column in ["open", "high", "low", "close", *SUMS]]


def digests(target: Path) -> dict[str, str]:
    return {
        str(path.relative_to(target)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(target.rglob("*"))
        if path.is_file()
    }


def test_returns_exactly_the_files_it_writes(tmp_path: Path) -> None:
    written = write_archive(tmp_path)
    assert len(written) == len(set(written)) == 34
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)


def test_two_archives_have_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    write_archive(tmp_path)
    assert digests(tmp_path) == digests(archive)


def test_a_second_run_touches_nothing_but_what_was_changed(tmp_path: Path) -> None:
    written = write_archive(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in written}
    content = written[0].read_bytes()
    written[0].write_bytes(b"cut short")
    changed = written[0].stat().st_mtime_ns
    time.sleep(0.01)
    assert write_archive(tmp_path) == written
    assert {path: path.stat().st_mtime_ns for path in written[1:]} == {path: before[path] for path in written[1:]}
    assert written[0].read_bytes() == content
    assert written[0].stat().st_mtime_ns != changed


def test_it_takes_less_than_three_seconds(tmp_path: Path) -> None:
    start = time.process_time()
    write_archive(tmp_path)
    assert time.process_time() - start < 3


def test_only_the_named_files_lack_a_header(archive: Path) -> None:
    headerless = {
        str(path.relative_to(archive)) for path in archive.rglob("*.csv") if path.read_text().split(",", 1)[0].isdigit()
    }
    assert headerless == HEADERLESS


def test_one_file_is_a_zip_and_one_day_lacks_its_five_minute_file(archive: Path) -> None:
    zips = [str(path.relative_to(archive)) for path in archive.rglob("*.zip")]
    assert zips == [f"{UM}/daily/klines/ETHUSDT/1m/ETHUSDT-1m-2026-06-26.zip"]
    assert not (archive / WITHOUT_FIVE_MINUTES).exists()


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("5m", 5)])
def test_klines_are_whole_and_plausible(archive: Path, symbol: str, interval: str, minutes: int) -> None:
    previous: tuple[str, Decimal] | None = None
    for day, candles in klines(archive, symbol, interval):
        length = minutes * 60_000
        times = [int(candle["open_time"]) for candle in candles]
        assert times == [milliseconds(day) + number * length for number in range(1440 // minutes)]
        for candle in candles:
            assert int(candle["close_time"]) == int(candle["open_time"]) + length - 1
            first, high, low, last, volume, quote_volume, count, bought, quote_bought = values(candle)
            assert 0 < low <= min(first, last) <= max(first, last) <= high
            assert 0 <= bought <= volume
            assert low * volume <= quote_volume <= high * volume
            assert low * bought <= quote_bought <= high * bought
            assert count > 0
            assert candle["ignore"] == "0"
        decimals = {len(candle[column].partition(".")[2]) for candle in candles for column in KLINES[1:5]}
        assert decimals == {7 if symbol == "DEMOUSDT" else 2}
        if previous and previous[0] == DAYS[DAYS.index(day) - 1]:
            assert abs(Decimal(candles[0]["open"]) / previous[1] - 1) < Decimal("0.005")
        previous = day, Decimal(candles[-1]["close"])


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_five_minutes_are_the_sum_of_their_minutes(archive: Path, symbol: str) -> None:
    by_start: defaultdict[int, list[Row]] = defaultdict(list)
    for _, candles in klines(archive, symbol, "1m"):
        for candle in candles:
            by_start[int(candle["open_time"]) // 300_000 * 300_000].append(candle)
    for _, candles in klines(archive, symbol, "5m"):
        for candle in candles:
            assert values(candle) == summed(by_start[int(candle["open_time"])])


@pytest.mark.parametrize("interval", ["1m", "5m"])
def test_trades_add_up_to_the_klines_of_their_hours(archive: Path, interval: str) -> None:
    length = {"1m": 60_000, "5m": 300_000}[interval]
    by_start: defaultdict[int, list[Row]] = defaultdict(list)
    trades = rows(archive / f"{UM}/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2026-06-27.csv")
    for trade in trades:
        by_start[int(trade["transact_time"]) // length * length].append(trade)
    assert min(by_start) == milliseconds("2026-06-27", "12:00:00")
    assert max(by_start) == milliseconds("2026-06-27", "15:00:00") - length
    assert len(by_start) == 3 * 3_600_000 // length

    candles = {int(row["open_time"]): row for _, day in klines(archive, "BTCUSDT", interval) for row in day}
    for start, inside in by_start.items():
        prices = [Decimal(trade["price"]) for trade in inside]
        bought = [trade for trade in inside if trade["is_buyer_maker"] == "false"]
        assert values(candles[start]) == [
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            total(inside, "quantity"),
            sum(Decimal(trade["price"]) * Decimal(trade["quantity"]) for trade in inside),
            sum(int(trade["last_trade_id"]) - int(trade["first_trade_id"]) + 1 for trade in inside),
            total(bought, "quantity"),
            sum(Decimal(trade["price"]) * Decimal(trade["quantity"]) for trade in bought),
        ]


def test_trades_are_in_order_and_without_a_gap(archive: Path) -> None:
    trades = rows(archive / f"{UM}/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2026-06-27.csv")
    ids = [int(trade["agg_trade_id"]) for trade in trades]
    assert ids == list(range(ids[0], ids[0] + len(trades)))
    times = [int(trade["transact_time"]) for trade in trades]
    assert times == sorted(times)
    for before, after in pairwise(trades):
        assert int(after["first_trade_id"]) == int(before["last_trade_id"]) + 1
    assert {trade["is_buyer_maker"] for trade in trades} == {"true", "false"}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_metrics_value_is_contracts_at_about_the_open_of_the_same_instant(archive: Path, symbol: str) -> None:
    opens: dict[int, Decimal] = {}
    for _, candles in klines(archive, symbol, "1m"):
        opens |= {int(candle["open_time"]): Decimal(candle["open"]) for candle in candles}
    for day in DAYS:
        for row in rows(archive / f"{UM}/daily/metrics/{symbol}/{symbol}-metrics-{day}.csv"):
            assert row["symbol"] == symbol
            mark = Decimal(row["sum_open_interest_value"]) / Decimal(row["sum_open_interest"])
            instant = milliseconds(*row["create_time"].split(" "))
            assert abs(mark / opens[instant] - 1) <= Decimal("0.00005")


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_metrics_hold_288_instants_a_day_but_for_the_known_gaps(archive: Path, symbol: str) -> None:
    known_gaps = {
        "BTCUSDT": ["2026-06-27 14:00:00", "2026-06-27 14:05:00", "2026-06-27 14:10:00"],
        "ETHUSDT": ["2026-06-28 09:35:00"],
        "DEMOUSDT": ["2026-06-27 00:00:00", "2026-06-27 18:20:00", "2026-06-27 18:25:00"],
    }[symbol]
    missing = []
    for day in DAYS:
        grid = [f"{day} {hour:02d}:{minute:02d}:00" for hour in range(24) for minute in range(0, 60, 5)]
        found = [
            row["create_time"] for row in rows(archive / f"{UM}/daily/metrics/{symbol}/{symbol}-metrics-{day}.csv")
        ]
        assert len(found) == len(set(found))
        assert set(found) <= set(grid)
        missing += [instant for instant in grid if instant not in found]
        assert (found == sorted(found)) == ((symbol, day) != ("DEMOUSDT", "2026-06-27"))
    assert missing == known_gaps


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_metrics_have_some_blank_ratios_and_open_interest_that_rises_and_falls(archive: Path, symbol: str) -> None:
    found = [row for day in DAYS for row in rows(archive / f"{UM}/daily/metrics/{symbol}/{symbol}-metrics-{day}.csv")]
    blank = sum(row[column] == "" for row in found for column in row if column.endswith("_ratio"))
    assert 20 < blank < 200
    contracts = [Decimal(row["sum_open_interest"]) for row in sorted(found, key=lambda row: row["create_time"])]
    changes = [after - before for before, after in pairwise(contracts)]
    assert sum(change > 0 for change in changes) > 200
    assert sum(change < 0 for change in changes) > 200
    assert min(contracts) > 0
    assert Decimal("0.005") < max(contracts) / min(contracts) - 1 < Decimal("0.5")


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_prices_swing_far_enough_to_reach_highly_leveraged_levels(archive: Path, symbol: str) -> None:
    for _, candles in klines(archive, symbol, "1m"):
        high = max(Decimal(candle["high"]) for candle in candles)
        low = min(Decimal(candle["low"]) for candle in candles)
        assert Decimal("0.015") < high / low - 1 < Decimal("0.15")


def test_mark_price_candles_start_at_the_mark_of_the_snapshots(archive: Path) -> None:
    last = {int(row["open_time"]): row for _, day in klines(archive, "BTCUSDT", "1m") for row in day}
    for day in DAYS:
        path = archive / f"{UM}/daily/markPriceKlines/BTCUSDT/5m/BTCUSDT-5m-{day}.csv"
        assert lines(path)[0].split(",") == KLINES
        candles = rows(path)
        assert len(candles) == 288
        for candle in candles:
            first, high, low, close = values(candle)[:4]
            assert low <= min(first, close) <= max(first, close) <= high
            assert abs(first / Decimal(last[int(candle["open_time"])]["open"]) - 1) <= Decimal("0.00005")
            assert candle["volume"] == "0"
        marks = {int(candle["open_time"]): Decimal(candle["open"]) for candle in candles}
        for row in rows(archive / f"{UM}/daily/metrics/BTCUSDT/BTCUSDT-metrics-{day}.csv"):
            contracts = Decimal(row["sum_open_interest"])
            mark = marks[milliseconds(*row["create_time"].split(" "))]
            assert Decimal(row["sum_open_interest_value"]) == contracts * mark


def test_spot_candles_are_in_microseconds_and_differ_from_those_of_the_perpetual(archive: Path) -> None:
    spot = rows(archive / "data/spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2026-06-27.csv")
    perpetual = dict(klines(archive, "BTCUSDT", "5m"))["2026-06-27"]
    assert len(spot) == 288
    for candle, other in zip(spot, perpetual, strict=True):
        assert int(candle["open_time"]) == int(other["open_time"]) * 1000
        assert int(candle["close_time"]) == (int(other["open_time"]) + 300_000) * 1000 - 1
        first, high, low, last, volume, quote_volume, _, bought, quote_bought = values(candle)
        assert 0 < low <= min(first, last) <= max(first, last) <= high
        assert low * volume <= quote_volume <= high * volume
        assert low * bought <= quote_bought <= high * bought
        assert values(candle)[:6] != values(other)[:6]
        assert len(candle["open"].partition(".")[2]) == 8


@pytest.mark.parametrize(("symbol", "hours"), [("BTCUSDT", 8), ("ETHUSDT", 8), ("DEMOUSDT", 4)])
def test_funding_comes_every_few_hours_up_to_some_milliseconds_late(archive: Path, symbol: str, hours: int) -> None:
    found = rows(archive / f"{UM}/monthly/fundingRate/{symbol}/{symbol}-fundingRate-2026-06.csv")
    assert list(found[0]) == ["calc_time", "funding_interval_hours", "last_funding_rate"]
    assert len(found) == 72 // hours
    late = [
        int(row["calc_time"]) - milliseconds(DAYS[0]) - number * hours * 3_600_000 for number, row in enumerate(found)
    ]
    assert all(0 <= value < 100 for value in late)
    assert any(late)
    assert {row["funding_interval_hours"] for row in found} == {str(hours)}
    assert all(abs(Decimal(row["last_funding_rate"])) < Decimal("0.001") for row in found)
