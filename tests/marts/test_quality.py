"""Every gap is a row of `data_gaps`, every day of a series one of `data_completeness`, and nothing else is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.marts.test_rebuild import assert_like_one_full_build, assert_same_marts
from tests.support import archive, commands
from tests.support.warehouse import PROJECT, Warehouse

#: What finds gaps, and all below it.
GAP_MARTS = ("--select", "+marts.quality")
RECORDS = PROJECT.parent / "shared" / "data"


def at(text: str) -> datetime:
    """A time as the warehouse gives it."""
    return datetime.fromisoformat(text)


def without(*times: str) -> Callable[[datetime], bool]:
    """All rows but those of these times."""
    missing = {datetime.fromisoformat(time).replace(tzinfo=UTC) for time in times}
    return lambda time: time not in missing


def without_hours(*hours: int) -> Callable[[datetime], bool]:
    """All rows but those of these hours."""
    return lambda time: time.hour not in hours


def funding(root: Path, symbol: str, month: str, rows: list[tuple[str, int]]) -> Path:
    """A month of funding: hours and their interval, each a few milliseconds late."""
    lines = ["calc_time,funding_interval_hours,last_funding_rate"]
    for index, (time, hours) in enumerate(rows):
        moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
        lines.append(f"{archive.milliseconds(moment) + index},{hours},0.0001")
    name = f"{symbol}-fundingRate-{month}.csv"
    return archive.write(root / f"data/futures/um/monthly/fundingRate/{symbol}/{name}", lines)


def ohlcvt(root: Path, pair: str, minutes: int, candles: list[tuple[str, int]]) -> Path:
    """Kraken's file of a pair: starts of candles and their numbers of trades."""
    lines = []
    for time, trades in candles:
        seconds = int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp())
        lines.append(f"{seconds},100.0,101.0,99.0,100.0,1.5,{trades}")
    return archive.write(root / f"kraken/{pair}_{minutes}.csv", lines)


def hours(day: str, *wanted: int, trades: int = 2) -> list[tuple[str, int]]:
    """Candles of an hour."""
    return [(f"{day} {hour:02d}:00", trades) for hour in wanted]


def five_minute_candles(data: Path) -> None:
    """An hour is missing on one day, and the whole next day."""
    archive.klines(data, "AAAUSDT", "2024-03-01")
    archive.klines(data, "AAAUSDT", "2024-03-02", keep=without_hours(7))
    archive.klines(data, "AAAUSDT", "2024-03-04")


def candles_of_other_kinds(data: Path) -> None:
    """Spot candles with a gap are a series of their own; mark-price candles are not judged."""
    archive.klines(data, "AAAUSDT", "2024-03-01", market="spot", keep=without("2024-03-01 09:00"))
    archive.klines(data, "AAAUSDT", "2024-03-01", kind="markPriceKlines", keep=without_hours(3))


def one_minute_candles_that_stop(data: Path) -> None:
    """One-minute candles end two days before the five-minute ones."""
    for of in ("2024-03-01", "2024-03-02"):
        archive.klines(data, "AAAUSDT", of, interval=1)


def snapshots(data: Path) -> None:
    """Two zeros, and a gap across midnight."""
    zeros = without("2024-03-01 10:00", "2024-03-01 10:05")
    archive.metrics(data, "AAAUSDT", "2024-03-01", zero=lambda time: not zeros(time))
    archive.metrics(data, "AAAUSDT", "2024-03-02", keep=without("2024-03-02 23:55"))
    archive.metrics(data, "AAAUSDT", "2024-03-03", keep=without("2024-03-03 00:00"))
    archive.metrics(data, "AAAUSDT", "2024-03-04")


def snapshots_that_begin_late(data: Path) -> None:
    """The first 77 snapshots of the first day are missing: no row stands before them."""
    archive.klines(data, "CCCUSDT", "2024-03-01")
    archive.metrics(
        data, "CCCUSDT", "2024-03-01", keep=lambda time: time >= archive.day("2024-03-01") + timedelta(minutes=385)
    )


def trades(data: Path) -> None:
    """One trade is missing within five minutes, two around their end, and the whole third day."""
    missing = without("2024-03-01 12:02:00", "2024-03-01 15:04:50", "2024-03-01 15:05:00")
    archive.agg_trades(data, "BBBUSDT", "2024-03-01", first_id=1000, keep=missing)
    archive.agg_trades(data, "BBBUSDT", "2024-03-02", first_id=1000 + 8640)
    archive.agg_trades(data, "BBBUSDT", "2024-03-04", first_id=1000 + 3 * 8640)


def funding_with_a_gap(data: Path) -> None:
    """One is missing; the step from eight hours to four is no gap."""
    times = ["2024-03-01 00:00", "2024-03-01 08:00", "2024-03-02 00:00", "2024-03-02 08:00"]
    rows = [(time, 8) for time in times] + [("2024-03-02 12:00", 4), ("2024-03-02 16:00", 4)]
    funding(data, "BBBUSDT", "2024-03", rows)


def kraken_hours(data: Path) -> None:
    """An hour without trades, and two that only the day knows of."""
    first = hours("2020-01-01", *(hour for hour in range(24) if hour != 4))
    second = hours("2020-01-02", *(hour for hour in range(24) if hour not in (10, 11)))
    ohlcvt(data, "AAAUSD", 60, first + second + hours("2020-01-03", *range(24)) + hours("2020-01-04", *range(24)))


def kraken_days(data: Path) -> None:
    """The third day is missing, and only its hours know of it."""
    ohlcvt(data, "AAAUSD", 1440, [("2020-01-01", 46), ("2020-01-02", 48), ("2020-01-04", 48)])


ARCHIVE = "data/futures/um/daily"
STEPS = (
    five_minute_candles,
    candles_of_other_kinds,
    one_minute_candles_that_stop,
    snapshots,
    snapshots_that_begin_late,
    trades,
    funding_with_a_gap,
    kraken_hours,
    kraken_days,
)
GAPS: list[tuple[Any, ...]] = [
    (
        "binance",
        "aggTrades",
        "um",
        "BBBUSDT",
        "",
        "2024-03-01 12:01:50",
        "2024-03-01 12:02:10",
        1,
        f"{ARCHIVE}/aggTrades/BBBUSDT/BBBUSDT-aggTrades-2024-03-01.zip",
    ),
    (
        "binance",
        "aggTrades",
        "um",
        "BBBUSDT",
        "",
        "2024-03-01 15:04:40",
        "2024-03-01 15:05:10",
        2,
        f"{ARCHIVE}/aggTrades/BBBUSDT/BBBUSDT-aggTrades-2024-03-01.zip",
    ),
    (
        "binance",
        "aggTrades",
        "um",
        "BBBUSDT",
        "",
        "2024-03-02 23:59:50",
        "2024-03-04",
        8640,
        f"{ARCHIVE}/aggTrades/BBBUSDT/BBBUSDT-aggTrades-2024-03-03.zip",
    ),
    (
        "binance",
        "fundingRate",
        "um",
        "BBBUSDT",
        "",
        "2024-03-01 16:00",
        "2024-03-02",
        1,
        "data/futures/um/monthly/fundingRate/BBBUSDT/BBBUSDT-fundingRate-2024-03.zip",
    ),
    (
        "binance",
        "klines",
        "spot",
        "AAAUSDT",
        "5m",
        "2024-03-01 09:00",
        "2024-03-01 09:05",
        1,
        "data/spot/daily/klines/AAAUSDT/5m/AAAUSDT-5m-2024-03-01.zip",
    ),
    (
        "binance",
        "klines",
        "um",
        "AAAUSDT",
        "5m",
        "2024-03-02 07:00",
        "2024-03-02 08:00",
        12,
        f"{ARCHIVE}/klines/AAAUSDT/5m/AAAUSDT-5m-2024-03-02.zip",
    ),
    (
        "binance",
        "klines",
        "um",
        "AAAUSDT",
        "5m",
        "2024-03-03",
        "2024-03-04",
        288,
        f"{ARCHIVE}/klines/AAAUSDT/5m/AAAUSDT-5m-2024-03-03.zip",
    ),
    (
        "binance",
        "metrics",
        "um",
        "AAAUSDT",
        "5m",
        "2024-03-01 10:00",
        "2024-03-01 10:10",
        2,
        f"{ARCHIVE}/metrics/AAAUSDT/AAAUSDT-metrics-2024-03-01.zip",
    ),
    (
        "binance",
        "metrics",
        "um",
        "AAAUSDT",
        "5m",
        "2024-03-02 23:55",
        "2024-03-03 00:05",
        2,
        f"{ARCHIVE}/metrics/AAAUSDT/AAAUSDT-metrics-2024-03-02.zip",
    ),
    ("kraken", "ohlcvt", "spot", "AAAUSD", "1d", "2020-01-03", "2020-01-04", 1, "AAAUSD_1440.csv"),
    ("kraken", "ohlcvt", "spot", "AAAUSD", "1h", "2020-01-02 10:00", "2020-01-02 12:00", 2, "AAAUSD_60.csv"),
]
WARNINGS = {
    ("freshness", "klines", "AAAUSDT"),
    ("missing", "aggTrades", "BBBUSDT"),
    ("missing", "fundingRate", "BBBUSDT"),
    ("missing", "klines", "AAAUSDT"),
    ("missing", "metrics", "AAAUSDT"),
    ("missing", "metrics", "CCCUSDT"),
    ("missing", "ohlcvt", "AAAUSD"),
    ("open_interest_blank", "metrics", "AAAUSDT"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse with all of the above, built with all tests."""
    warehouse = Warehouse(tmp_path_factory.mktemp("gaps"))
    for step in STEPS:
        step(warehouse.data)
    warehouse.load()
    warehouse.build()
    return warehouse


def test_every_gap_is_told_and_nothing_else(built: Warehouse) -> None:
    found = built.query("select * from marts.data_gaps order by all")
    assert found == [(*row[:5], at(row[5]), at(row[6]), *row[7:]) for row in GAPS]


def completeness(warehouse: Warehouse, series: str) -> list[tuple[Any, ...]]:
    return warehouse.query(
        f"select day, expected, present, missing, source from marts.data_completeness where {series} order by day"
    )


def test_every_day_of_a_series_is_counted(built: Warehouse) -> None:
    series = "dataset = 'klines' and market = 'um' and symbol = 'AAAUSDT' and \"interval\" = '5m'"
    assert completeness(built, series) == [
        (date(2024, 3, 1), 288, 288, 0, "archive"),
        (date(2024, 3, 2), 288, 276, 12, "archive"),
        (date(2024, 3, 3), 288, 0, 288, "none"),
        (date(2024, 3, 4), 288, 288, 0, "archive"),
    ]


def test_a_series_that_stopped_lacks_the_days_on_which_others_go_on(built: Warehouse) -> None:
    series = "dataset = 'klines' and market = 'um' and symbol = 'AAAUSDT' and \"interval\" = '1m'"
    assert [row[:4] for row in completeness(built, series)] == [
        (date(2024, 3, 1), 1440, 1440, 0),
        (date(2024, 3, 2), 1440, 1440, 0),
        (date(2024, 3, 3), 1440, 0, 1440),
        (date(2024, 3, 4), 1440, 0, 1440),
    ]
    value = built.query(
        "select value, detail from marts.quality_checks where check_name = 'freshness' and symbol = 'AAAUSDT'"
        " and dataset = 'klines'"
    )
    assert [(hours_behind, "um 1m would go on at 2024-03-03" in detail) for hours_behind, detail in value] == [
        (Decimal(48), True)
    ]


def test_snapshots_missing_before_the_first_one_are_counted(built: Warehouse) -> None:
    assert completeness(built, "dataset = 'metrics' and symbol = 'CCCUSDT'") == [
        (date(2024, 3, 1), 288, 211, 77, "archive")
    ]


def test_trades_are_counted_by_their_numbers(built: Warehouse) -> None:
    assert completeness(built, "dataset = 'aggTrades'") == [
        (date(2024, 3, 1), 8640, 8637, 3, "archive"),
        (date(2024, 3, 2), 8640, 8640, 0, "archive"),
        (date(2024, 3, 3), 8640, 0, 8640, "none"),
        (date(2024, 3, 4), 8640, 8640, 0, "archive"),
    ]


def test_an_hour_without_trades_is_no_gap_at_kraken(built: Warehouse) -> None:
    assert completeness(built, "dataset = 'ohlcvt' and \"interval\" = '1h'") == [
        (date(2020, 1, 1), 23, 23, 0, "archive"),
        (date(2020, 1, 2), 24, 22, 2, "archive"),
        (date(2020, 1, 3), 24, 24, 0, "archive"),
        (date(2020, 1, 4), 24, 24, 0, "archive"),
    ]


def test_checks_warn_of_what_is_missing_and_of_nothing_else(built: Warehouse) -> None:
    found = built.query("select check_name, dataset, symbol, status from marts.quality_checks where status != 'pass'")
    assert {tuple(key) for *key, _ in found} == WARNINGS
    assert {status for *_, status in found} == {"warn"}


def test_any_order_finds_the_same_gaps_and_they_are_filled_and_torn_again(
    warehouse: Warehouse, built: Warehouse
) -> None:
    for batch in (STEPS[8:], STEPS[2:8], STEPS[:2]):
        for step in batch:
            step(warehouse.data)
        warehouse.load()
        warehouse.build_untested(*GAP_MARTS)
    assert_same_marts(warehouse, built)
    # The missing day of each comes late; a day that was whole loses an hour around midnight; trades are published anew.
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-03", keep=without("2024-03-03 23:55"))
    archive.klines(warehouse.data, "AAAUSDT", "2024-03-04", keep=without_hours(0))
    archive.agg_trades(warehouse.data, "BBBUSDT", "2024-03-01", first_id=1000)
    archive.agg_trades(warehouse.data, "BBBUSDT", "2024-03-03", first_id=1000 + 2 * 8640, keep=without_hours(0, 22, 23))
    ohlcvt(warehouse.data, "AAAUSD", 1440, [("2020-01-01", 46), ("2020-01-03", 48), ("2020-01-04", 49)])
    warehouse.load()
    warehouse.build_untested(*GAP_MARTS)
    assert_like_one_full_build(warehouse, *GAP_MARTS)
    found = warehouse.query(
        "select gap_start, gap_end, missing from marts.data_gaps where market = 'um' and symbol = 'AAAUSDT'"
        " and dataset = 'klines' and \"interval\" = '5m' order by 1"
    )
    assert found == [
        (at("2024-03-02 07:00"), at("2024-03-02 08:00"), 12),
        (at("2024-03-03 23:55"), at("2024-03-04 01:00"), 13),
    ]


def rounded(value: Decimal) -> Any:
    """Equals what the warehouse computes in double and rounds to eight decimals."""
    return pytest.approx(value, abs=Decimal("0.00000002"))


def test_each_fault_is_found_by_its_check(warehouse: Warehouse) -> None:
    data = warehouse.data
    archive.klines(data, "AAAUSDT", "2024-03-01")
    archive.klines(data, "AAAUSDT", "2024-03-01", interval=1, shift=Decimal(1))
    archive.klines(data, "BBBUSDT", "2024-03-02")
    archive.klines(data, "BBBUSDT", "2024-03", shift=Decimal("0.5"), keep=lambda time: time.day < 4)
    archive.klines(data, "CCCUSDT", "2024-03-01")
    archive.klines(data, "CCCUSDT", "2024-03-02", shift=Decimal(500))
    archive.klines(data, "DDDUSDT", "2024-03-31", keep=without_hours(1))
    archive.klines(data, "EEEUSDT", "2024-03-01")
    for symbol in ("FFFUSDT", "GGGUSDT"):
        archive.klines(data, symbol, "2024-03-01")
        archive.metrics(data, symbol, "2024-03-01")
    archive.klines(data, "FFFUSDT", "2024-03-01", kind="markPriceKlines", shift=Decimal(-20))
    archive.write(data / "HHHUSDT-metrics-2024-03-01.csv", ["<html>no such file</html>"])
    warehouse.load(expect=1)
    # What landing refuses can still get into a table some other way.
    with duckdb.connect(str(warehouse.path)) as connection:
        of = "where symbol = 'EEEUSDT' and open_time = '2024-03-01"
        connection.execute(f"update raw.binance_klines set low = 0 {of} 01:00'")
        connection.execute(f"update raw.binance_klines set high = low - 1 {of} 02:00'")
        connection.execute(f"update raw.binance_klines set taker_buy_volume = volume + 1 {of} 03:00'")
        connection.execute(f"update raw.binance_klines set close_time = open_time - interval '1 hour' {of} 04:00'")
        connection.execute(f"delete from raw.binance_klines {of} 05:00'")
        connection.execute(f"update raw.binance_klines set quote_volume = quote_volume * 10 {of} 06:00'")
        # A price that rises all day, open and close swapped.
        connection.execute(
            """
            update raw.binance_klines
            set
                open = 100.02 + epoch(open_time) // 300 % 288 / 100, close = 100 + epoch(open_time) // 300 % 288 / 100,
                high = 104, low = 99, quote_volume = volume * 101
            where symbol = 'GGGUSDT'
            """
        )
        of = "where symbol = 'FFFUSDT' and create_time = '2024-03-01"
        connection.execute(
            "update raw.binance_metrics set sum_open_interest = sum_open_interest * 10, "
            f"sum_open_interest_value = sum_open_interest_value * 10 {of} 07:00'"
        )
        of = "where symbol = 'GGGUSDT' and create_time"
        connection.execute(
            "update raw.binance_metrics set sum_open_interest_value = sum_open_interest * 140 "
            f"{of} between '2024-03-01 07:00' and '2024-03-01 08:00'"
        )
    warehouse.build_untested(*GAP_MARTS)
    found = warehouse.query(
        "select symbol, check_name, value, status from marts.quality_checks where status != 'pass' order by all"
    )
    close_before = archive.price_at("CCCUSDT", archive.day("2024-03-02"))
    before, spike, after = (
        archive.open_interest_at("FFFUSDT", archive.day("2024-03-01") + timedelta(minutes=minutes))
        for minutes in (415, 420, 425)
    )
    assert found == [
        ("AAAUSDT", "klines_1m_against_5m", 288, "warn"),
        ("BBBUSDT", "duplicates", 288, "warn"),
        ("BBBUSDT", "monthly_against_daily", 288, "warn"),
        ("CCCUSDT", "jumps", rounded(500 / close_before), "fail"),
        ("DDDUSDT", "clock_change_days", 12, "warn"),
        ("DDDUSDT", "missing", 12, "warn"),
        ("EEEUSDT", "high_low", 1, "fail"),
        ("EEEUSDT", "ledger_against_rows", 1, "fail"),
        ("EEEUSDT", "missing", 1, "warn"),
        ("EEEUSDT", "order_of_times", 1, "fail"),
        ("EEEUSDT", "prices_not_positive", 1, "fail"),
        # the one whose high is below its low, too
        ("EEEUSDT", "quote_volume", 2, "warn"),
        ("EEEUSDT", "taker_volume", 1, "fail"),
        ("FFFUSDT", "jumps", rounded(10 * spike / min(before, after) - 1), "warn"),
        ("FFFUSDT", "mark_against_last", 288, "fail"),
        ("FFFUSDT", "open_interest_spikes", rounded(10 * spike / max(before, after) - 1), "fail"),
        # opens lie 0.03 from the closes before them, closes 0.02 from their opens
        ("GGGUSDT", "opens_follow_closes", rounded(Decimal("1.5")), "fail"),
        ("GGGUSDT", "snapshot_prices", 1, "fail"),
        ("HHHUSDT", "refused_files", 1, "warn"),
    ]
    # Of a kline's content the sixth value is the open.
    days, month = warehouse.query(
        "select precedence, regexp_extract(path, 'daily|monthly'), count(*), count(distinct row_key), "
        "sum(split_part(content, '|', 6)::decimal(18, 2)) from staging.conflicts group by all order by all"
    )
    assert (*days[:-1], *month[:-1]) == (1, "daily", 288, 288, 2, "monthly", 288, 288)
    assert month[-1] - days[-1] == 288 * Decimal("0.5")
    details = dict(
        warehouse.query("select check_name || ' ' || symbol, detail from marts.quality_checks where status != 'pass'")
    )
    # Readers look for the place.
    assert "2024-03-01 00:00:00" in details["snapshot_prices GGGUSDT"]
    assert "2024-03-01 00:00:00" in details["mark_against_last FFFUSDT"]
    for check in ("open_interest_spikes FFFUSDT", "jumps FFFUSDT", "opens_follow_closes GGGUSDT"):
        assert details[check].endswith(", on 2024-03-01")
    assert details["refused_files HHHUSDT"].endswith("2024-03-01")


def test_trades_are_counted_for_each_file_as_they_come_and_go(warehouse: Warehouse) -> None:
    """Whatever lands, is replaced or forgotten, each file has as many trades as a plain count finds."""
    models = ("--select", "+int_agg_trade_files")
    counted = "select symbol, file_id, row_count from intermediate.int_agg_trade_files order by all"
    plain = "select symbol, file_id, count(*) from raw.binance_agg_trades group by all order by all"
    data = warehouse.data

    def built() -> list[tuple[object, ...]]:
        warehouse.load()
        warehouse.build_untested(*models)
        found = warehouse.query(counted)
        assert found == warehouse.query(plain)
        return found

    archive.agg_trades(data, "AAAUSDT", "2024-03-02", first_id=1000 + 8640)
    archive.agg_trades(data, "BBBUSDT", "2024-03-01", first_id=1)
    first = built()
    # The day before, late; one that overlaps another file's symbol in time; one that is replaced by a shorter one.
    early = archive.agg_trades(data, "AAAUSDT", "2024-03-01", first_id=1000)
    archive.agg_trades(data, "BBBUSDT", "2024-03-02", first_id=8641, keep=without_hours(0, 22, 23))
    assert len(built()) == len(first) + 2
    archive.agg_trades(data, "BBBUSDT", "2024-03-01", first_id=1, keep=without_hours(5))
    assert len(built()) == len(first) + 2
    early.unlink()
    assert commands.run(warehouse, "forget", "--file", str(early))[0] == 0
    assert len(built()) == len(first) + 1
    # A file whose rows are all gone behind the ledger can be forgotten, too.
    first_file = next(warehouse.data.rglob("BBBUSDT-aggTrades-2024-03-01.csv"))
    of_it = f"select file_id from ops.ingestion_files where path like '%{first_file.name}' and status = 'loaded'"
    warehouse.change(f"delete from raw.binance_agg_trades where file_id in ({of_it})")
    first_file.unlink()
    assert commands.run(warehouse, "forget", "--file", str(first_file))[0] == 0
    assert len(built()) == len(first)
    # What went behind the ledger is seen by a full build.
    warehouse.change("delete from raw.binance_agg_trades where symbol = 'BBBUSDT' and agg_trade_id = 12000")
    warehouse.build_untested(*models, "--full-refresh")
    assert warehouse.query(counted) == warehouse.query(plain)


@pytest.mark.skipif(not RECORDS.is_dir(), reason="no market records at ../shared/data")
def test_real_records_raise_nothing_but_the_gaps_they_have(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.load(RECORDS)
    warehouse.build_untested(*GAP_MARTS)
    spot_hours = [
        ("klines", "spot", symbol, "1h", start, start + timedelta(hours=1), 1)
        for symbol in ("BTCUSDT", "ETHUSDT")
        for start in (at("2021-02-11 04:00"), at("2021-03-06 02:00"))
    ]
    days_between_the_files = ("klines", "um", "BTCUSDT", "1m", at("2022-05-07"), at("2023-04-15"), 343 * 1440)
    assert warehouse.query(
        'select dataset, market, symbol, "interval", gap_start, gap_end, missing from marts.data_gaps order by all'
    ) == [*spot_hours, days_between_the_files]
    assert warehouse.query(
        "select check_name, dataset, symbol, value, status from marts.quality_checks"
        " where status != 'pass' order by all"
    ) == [
        ("missing", "klines", "BTCUSDT", 343 * 1440 + 2, "warn"),
        ("missing", "klines", "ETHUSDT", 2, "warn"),
        ("missing", "metrics", "BTCUSDT", 77, "warn"),
    ]
