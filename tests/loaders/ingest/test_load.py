"""Landing is idempotent, atomic and follows the content of files."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loaders import warehouse
from loaders.files import inspection
from loaders.ingest import load, preflight, typed_insert
from loaders.progress import Lines
from loaders.selection import Selection
from tests.support import archive
from tests.support.archive import FUNDING, KLINES, METRICS, ORDERS, TRADES, text, write, write_gz, write_zip
from tests.support.warehouse import Warehouse

DAY = "2024-03-05"
NAME = f"BTCUSDT-5m-{DAY}.csv"


def fill(house: Warehouse) -> None:
    """One file of every kind."""
    write(house.place(NAME), text(archive.kline_rows(DAY), KLINES))
    write(house.place("BTCUSDT-5m-2024-03-06.csv"), text(archive.kline_rows("2024-03-06")))
    write_zip(house.place(f"BTCUSDT-aggTrades-{DAY}.zip", "aggTrades/BTCUSDT"), text(archive.trade_rows(DAY), TRADES))
    write(house.place(f"BTCUSDT-metrics-{DAY}.csv", "metrics/BTCUSDT"), text(archive.metrics_rows(DAY), METRICS))
    funding = [f"{archive.day_ms(DAY) + 7},8,0.00010000", f"{archive.day_ms(DAY) + 28_800_003},8,-0.00020000"]
    write(house.place("BTCUSDT-fundingRate-2024-03.csv", "fundingRate/BTCUSDT", "monthly"), text(funding, FUNDING))
    order = f"{archive.day_ms(DAY) + 5},SELL,LIMIT,IOC,2.5,61000.1,61010.2,FILLED,0.5,2.5"
    write_zip(
        house.place(f"BTCUSDT-liquidationSnapshot-{DAY}.zip", "liquidationSnapshot/BTCUSDT"),
        text([order, order], ORDERS),
    )
    write_gz(house.data / "XBTUSD_60.csv.gz", text([f"{archive.day_ms(DAY) // 1000},1.5,2,1,1.75,0.123456789012345,3"]))


def test_lands_every_kind_of_file(house: Warehouse) -> None:
    fill(house)
    report = house.load()
    assert (report.totals.files_loaded, report.failures) == (7, [])
    assert house.query("select count(*), min(open_time), max(close_time) from raw.binance_klines") == [
        (576, archive.utc(2024, 3, 5), archive.utc(2024, 3, 6, 23, 59, 59, 999000))
    ]
    assert house.query("select symbol, sum_open_interest_value from raw.binance_metrics order by create_time")[1] == (
        "BTCUSDT",
        Decimal("100001.1234567890123456"),
    )
    assert house.query("select count(*), count(is_best_match) from raw.binance_agg_trades") == [(200, 0)]
    assert house.query("select calc_time, last_funding_rate from raw.binance_funding_rates order by 1")[0] == (
        archive.utc(2024, 3, 5, 0, 0, 0, 7000),
        Decimal("0.00010000"),
    )
    assert house.query(
        "select rows_read, rows_loaded, rows_duplicate from ops.ingestion_files where dataset = 'liquidations'"
    ) == [(2, 1, 1)]
    assert house.query("select pair, interval_minutes, volume from raw.kraken_ohlcvt") == [
        ("XBTUSD", 60, Decimal("0.123456789012345"))
    ]
    house.consistent()


def test_a_second_load_skips_everything(house: Warehouse) -> None:
    fill(house)
    house.load()
    before = house.contents()
    report = house.load()
    assert (report.totals.files_loaded, report.totals.files_skipped) == (0, 7)
    assert house.contents() == before
    assert house.query("select count(*) from ops.ingestion_changes") == [(7,)]


def test_verify_hashes_what_looks_unchanged(house: Warehouse) -> None:
    path = write(house.place(NAME), text(archive.kline_rows(DAY)))
    house.load()
    status = path.stat()
    write(path, text(archive.kline_rows(DAY)).replace("10.5", "10.6"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert house.load().totals.files_skipped == 1
    assert house.load(verify=True).totals.files_loaded == 1
    assert house.query("select distinct volume from raw.binance_klines") == [(Decimal("10.60000000"),)]


@pytest.mark.parametrize(
    ("happens", "landed"),
    [("nothing", 1), ("another load", 3), ("a long wait", 2), ("the file goes", 1)],
)
def test_a_survey_made_before_is_taken_as_long_as_it_stands(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch, happens: str, landed: int
) -> None:
    """A file that came after the folders were listed tells whether they were listed again."""
    write(house.place(NAME), text(archive.kline_rows(DAY)))
    request = load.Request((house.data,), Selection(), retries=0)
    surveyed = preflight.survey(house.path, request)
    if happens == "another load":
        write(house.place("BTCUSDT-5m-2024-03-06.csv"), text(archive.kline_rows("2024-03-06")))
        house.load()
    if happens == "a long wait":
        monkeypatch.setattr(load, "_STANDS_SECONDS", 0)
    if happens == "the file goes":
        house.place(NAME).unlink()
    write(house.place("BTCUSDT-5m-2024-03-07.csv"), text(archive.kline_rows("2024-03-07")))
    with warehouse.writer(house.settings, house.path, readable=request.folders) as opened:
        report = load.load(opened, house.settings, request, Lines(), surveyed=surveyed)
    assert report.exit_status == 0
    assert house.query("select count(*) from ops.ingestion_files where status = 'loaded'") == [(landed,)]
    house.load()
    house.consistent()


def test_new_content_replaces_the_old_and_logs_both_ranges(house: Warehouse) -> None:
    path = write(house.place(NAME), text(archive.kline_rows(DAY)))
    house.load()
    write(path, text(archive.kline_rows(DAY)[100:200], KLINES))
    report = house.load()
    assert (report.totals.files_loaded, report.totals.rows_loaded) == (1, 100)
    assert house.query("select count(*), count(distinct file_id) from raw.binance_klines") == [(100, 1)]
    assert house.query("select status, count(*) from ops.ingestion_files group by 1 order by 1") == [
        ("loaded", 1),
        ("replaced", 1),
    ]
    assert house.query("select change_id, range_start, range_end from ops.ingestion_changes order by 1") == [
        (1, archive.utc(2024, 3, 5), archive.utc(2024, 3, 5, 23, 55)),
        (2, archive.utc(2024, 3, 5), archive.utc(2024, 3, 5, 23, 55)),
    ]
    house.consistent()


def test_a_broken_revision_leaves_the_old_rows(house: Warehouse) -> None:
    path = write(house.place(NAME), text(archive.kline_rows(DAY)))
    house.load()
    rows = house.query("select * from raw.binance_klines order by open_time")
    write(path, "<html>404</html>")
    house.load(expect=1)
    house.load(expect=1)
    assert house.query("select * from raw.binance_klines order by open_time") == rows
    assert house.query("select status, count(*) from ops.ingestion_files group by 1 order by 1") == [
        ("failed", 1),
        ("loaded", 1),
    ]
    write(path, text(archive.kline_rows(DAY, 10)))
    house.load()
    assert house.query("select status, count(*) from ops.ingestion_files group by 1 order by 1") == [
        ("loaded", 1),
        ("replaced", 1),
    ]


def test_a_moved_file_is_skipped_and_followed(house: Warehouse) -> None:
    path = write(house.place(NAME), text(archive.kline_rows(DAY)))
    house.load()
    target = house.data / NAME
    path.rename(target)
    report = house.load()
    assert (report.totals.files_loaded, report.totals.files_skipped) == (0, 1)
    assert house.query("select path from ops.ingestion_files") == [(str(target),)]
    target.unlink()
    house.load()
    assert house.query("select count(*) from raw.binance_klines") == [(288,)]


def test_zip_and_csv_at_once_count_once(house: Warehouse) -> None:
    write(house.place(NAME), text(archive.kline_rows(DAY, 10)))
    write_zip(house.place(NAME.replace(".csv", ".zip")), text(archive.kline_rows(DAY)))
    report = house.load()
    assert (report.totals.files_loaded, report.totals.files_skipped) == (1, 1)
    assert house.query("select count(*) from raw.binance_klines") == [(288,)]
    assert house.load().totals.files_skipped == 2


def test_overlapping_files_both_keep_their_rows(house: Warehouse) -> None:
    write(house.place(NAME), text(archive.kline_rows(DAY)))
    month = [row for day in ("2024-03-04", DAY) for row in archive.kline_rows(day)]
    write(house.place("BTCUSDT-5m-2024-03.csv", period="monthly"), text(month, KLINES))
    house.load()
    assert house.query("select count(*), count(distinct open_time) from raw.binance_klines") == [(864, 576)]
    house.consistent()


@pytest.mark.parametrize("header", [None, KLINES], ids=["without header", "with header"])
@pytest.mark.parametrize("per_ms", [1, 1000], ids=["milliseconds", "microseconds"])
@pytest.mark.parametrize("batch", [1, 8], ids=["alone", "in a batch"])
def test_header_and_unit_are_seen_by_file(tmp_path: Path, header: str | None, per_ms: int, batch: int) -> None:
    house = Warehouse(tmp_path, batch_files=batch)
    other = Warehouse(tmp_path / "other", batch_files=batch)
    for day in ("2024-03-05", "2024-03-06", "2024-03-07"):
        start = archive.day_ms(day)
        rows = [archive.kline_row(start + n * archive.STEP, per_ms=per_ms) for n in range(288)]
        write(house.place(f"BTCUSDT-5m-{day}.csv"), text(rows, header if day != "2024-03-06" else None))
        write(
            other.place(f"BTCUSDT-5m-{day}.csv"),
            text([archive.kline_row(start + n * archive.STEP) for n in range(288)]),
        )
    house.load()
    other.load()
    columns = "open_time, open, high, low, close, volume, quote_volume, count, symbol"
    query = f"select {columns} from raw.binance_klines order by open_time"
    assert house.query(query) == other.query(query)


def test_layouts_say_market_and_kind(house: Warehouse) -> None:
    rows = text(archive.kline_rows(DAY, 5))
    write(house.data / "data/spot/daily/klines/BTCUSDT/5m" / NAME, rows)
    write(house.data / "data/futures/cm/daily/klines/BTCUSD_PERP/5m" / f"BTCUSD_PERP-5m-{DAY}.csv", rows)
    write(house.place(NAME, "markPriceKlines/BTCUSDT/5m"), rows)
    start = archive.day_ms(DAY)
    negative = f"{start},-0.0001,-0.00005,-0.0002,-0.0001,0,{start + archive.STEP - 1},0,12,0,0,0"
    write(house.place(NAME, "premiumIndexKlines/BTCUSDT/5m"), text([negative]))
    write(house.data / "BTCUSDT/klines/5m" / NAME, rows)
    write(house.data / "ETHUSDT-5m-2024-03-05.csv", rows)
    house.load()
    assert house.query("select distinct market, kline_type, symbol from raw.binance_klines order by all") == [
        ("cm", "last", "BTCUSD_PERP"),
        ("spot", "last", "BTCUSDT"),
        ("um", "last", "BTCUSDT"),
        ("um", "last", "ETHUSDT"),
        ("um", "mark", "BTCUSDT"),
        ("um", "premium", "BTCUSDT"),
    ]


def test_volumes_beyond_eighteen_digits_and_trailing_zeros_keep_every_digit(house: Warehouse) -> None:
    start = archive.day_ms(DAY)
    prices = "0.00000123,0.00000124,0.00000122,0.00000123"
    row = f"{start},{prices},123456789012345.12345678,{start + 299999},151851.8,9,1.5,2.5,0"
    write(house.place(f"1000SHIBUSDT-5m-{DAY}.csv", "klines/1000SHIBUSDT/5m"), text([row]))
    house.load()
    assert house.query("select volume from raw.binance_klines") == [(Decimal("123456789012345.12345678"),)]


def test_one_bad_row_is_kept_aside_and_the_file_lands(house: Warehouse) -> None:
    rows = archive.kline_rows(DAY)
    rows[7] = rows[7].replace("10.5", "ten")
    write(house.place(NAME), text(rows, KLINES))
    report = house.load(expect=1)
    assert (report.totals.files_loaded, report.totals.rows_rejected) == (1, 1)
    assert house.query("select line_number, line, reason from ops.rejected_rows") == [
        (9, rows[7], "volume cannot be read, or not without losing digits: ten")
    ]
    house.consistent()


def test_identical_rows_are_counted_and_different_ones_of_a_key_rejected(house: Warehouse) -> None:
    rows = archive.trade_rows(DAY, 1000)
    rows += [rows[3], rows[4], rows[5].replace(",0.", ",1.")]
    write(house.place(f"BTCUSDT-aggTrades-{DAY}.csv", "aggTrades/BTCUSDT"), text(rows, TRADES))
    house.load(expect=1)
    assert house.query("select rows_read, rows_loaded, rows_duplicate, rows_rejected from ops.ingestion_files") == [
        (1003, 999, 2, 2)
    ]
    assert house.query("select line_number, line from ops.rejected_rows order by 1") == [(7, rows[5]), (1004, rows[-1])]
    house.consistent()


def test_a_failing_file_takes_no_other_with_it(house: Warehouse) -> None:
    for number in range(1, 8):
        write(house.place(f"BTCUSDT-5m-2024-03-0{number}.csv"), text(archive.kline_rows(f"2024-03-0{number}", 20)))
    # Passes every look at the head, and only the engine finds it.
    rows = archive.kline_rows("2024-03-04", 288)
    rows[100:150] = [row.replace(",7,", ",seven,") for row in rows[100:150]]
    write(house.place("BTCUSDT-5m-2024-03-04.csv"), text(rows))
    report = house.load(expect=1)
    assert (report.totals.files_loaded, report.totals.files_failed) == (6, 1)
    assert "50 of 288 rows" in report.failures[0].message
    house.consistent()


def test_small_files_share_a_statement(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for day in ("2024-03-05", "2024-03-06"):
            rows = text(archive.metrics_rows(day, symbol=symbol), METRICS)
            write(house.place(f"{symbol}-metrics-{day}.csv", f"metrics/{symbol}"), rows)
    together: list[int] = []
    typed = typed_insert.insert_typed

    def counted(*given: Any, **named: Any) -> Any:
        together.append(len(given[2]))
        return typed(*given, **named)

    monkeypatch.setattr(load, "insert_typed", counted)
    house.load()
    assert together == [4]
    house.consistent()


def test_only_what_is_asked_for(house: Warehouse) -> None:
    fill(house)
    selection = Selection(
        datasets=frozenset({"klines"}),
        start=datetime(2024, 3, 6, tzinfo=UTC),
        end=datetime(2024, 3, 7, tzinfo=UTC),
    )
    report = house.load(selection=selection)
    assert (report.totals.files_total, report.totals.files_loaded) == (1, 1)


def test_file_numbers_are_never_used_again(house: Warehouse) -> None:
    from loaders import warehouse
    from loaders.ingest import forget

    path = write(house.place(NAME), text(archive.kline_rows(DAY)))
    house.load()
    with warehouse.writer(house.settings, house.path) as opened:
        gone = forget.forget(opened, house.settings, [path], Selection(), {})
    assert gone.rows == 288
    assert house.query("select count(*) from raw.binance_klines") == [(0,)]
    assert house.query("select count(*) from ops.ingestion_changes") == [(2,)]
    assert house.load().totals.files_loaded == 1
    assert house.query("select file_id from ops.ingestion_files") == [(2,)]


def test_liquidation_recordings_bring_many_symbols(house: Warehouse) -> None:
    start = archive.day_ms("2024-08-17") + 1000
    rows = [
        f"BTC,SELL,LIMIT,IOC,0.5,60000.1,60010.2,FILLED,0.5,0.5,{start},30005.1",
        f"RARE,BUY,LIMIT,IOC,4421,0.2226588,0.2185000,FILLED,3750,4421,{start + 5},984.3745547999999",
        f"SUIUSDC,BUY,LIMIT,IOC,10,0.9,0.9,FILLED,10,10,{start + 9},9.0",
    ]
    write(house.data / "forceOrder_2024-08-17.csv", text(rows))
    house.load()
    assert house.query("select symbol, market, price from raw.binance_liquidations order by 1") == [
        ("BTCUSDT", "um", Decimal("60000.10000000")),
        ("RAREUSDT", "um", Decimal("0.22265880")),
        ("SUIUSDC", "um", Decimal("0.90000000")),
    ]
    assert house.query("select symbol from ops.ingestion_changes order by 1") == [
        ("BTCUSDT",),
        ("RAREUSDT",),
        ("SUIUSDC",),
    ]
    assert house.query("select origin, symbol from ops.ingestion_files") == [("stream", None)]


@pytest.mark.parametrize(("throttle_ms", "most"), [(0, 2), (1, 1)])
def test_two_files_are_read_at_once_or_one_where_pauses_are_asked_for(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch, throttle_ms: int, most: int
) -> None:
    fill(house)
    reading: list[str] = []
    together: list[int] = []
    prepare = inspection.prepare

    def watched(*arguments: Any) -> Any:
        reading.append("one more")
        together.append(len(reading))
        time.sleep(0.02)
        try:
            return prepare(*arguments)
        finally:
            reading.pop()

    monkeypatch.setattr("loaders.ingest.load.prepare", watched)
    house.load(throttle_ms=throttle_ms)
    assert (len(together), max(together)) == (7, most)
