"""Kraken's zips of many files: one ledger row for each member, whatever folder it lies in; pairs by their names."""

from __future__ import annotations

import os
import zipfile
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loaders.datasets.assets import asset_of
from loaders.datasets.kraken import pair_name
from loaders.ingest import load
from loaders.selection import Selection
from tests.support import archive
from tests.support.warehouse import Warehouse

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


def rows(day: str, minutes: int, count: int = 3) -> str:
    """Candles of a file, in seconds and without header."""
    start = archive.day_ms(day) // 1000
    return "".join(f"{start + place * minutes * 60},100.5,101,100,100.1,2.123456789,4\n" for place in range(count))


def bundle(path: Path, members: dict[str, str]) -> Path:
    """A zip of many files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def test_each_member_is_a_file_of_its_own(warehouse: Warehouse) -> None:
    bundle(
        warehouse.data / "Kraken_OHLCVT.zip",
        {
            "XBTUSD_60.csv": rows("2024-01-01", 60),
            "XXBTZUSD_5.csv": rows("2024-01-01", 5),
            "sub/XDGUSD_720.csv": rows("2024-01-01", 720),
            "readme.txt": "hello",
            "ABC_7.csv": "1,2",
        },
    )
    # A quarter's zip has the same names; members may lie in a folder.
    bundle(
        warehouse.data / "Kraken_OHLCVT_Q1_2024.zip",
        {
            "Kraken_OHLCVT_Q1_2024/XBTUSD_60.csv": rows("2024-01-01", 60, 5),
            "odd/ETHUSD_1440.csv": rows("2024-02-01", 1440),
        },
    )
    result = warehouse.load()
    assert sorted(path.name for path in result.unrecognised) == ["ABC_7.csv", "readme.txt"]
    found = warehouse.query(
        """
        select path, symbol, "interval", period_start, rows_loaded
        from ops.ingestion_files
        where status = 'loaded'
        order by 1
        """
    )
    quarter = datetime.fromisoformat("2024-01-01")
    assert [(str(Path(path).relative_to(warehouse.data)), *other) for path, *other in found] == [
        ("Kraken_OHLCVT.zip/XBTUSD_60.csv", "XBTUSD", "1h", None, 3),
        ("Kraken_OHLCVT.zip/XXBTZUSD_5.csv", "XBTUSD", "5m", None, 3),
        ("Kraken_OHLCVT.zip/sub/XDGUSD_720.csv", "XDGUSD", "12h", None, 3),
        ("Kraken_OHLCVT_Q1_2024.zip/Kraken_OHLCVT_Q1_2024/XBTUSD_60.csv", "XBTUSD", "1h", quarter, 5),
        ("Kraken_OHLCVT_Q1_2024.zip/odd/ETHUSD_1440.csv", "ETHUSD", "1d", quarter, 3),
    ]
    warehouse.consistent()
    assert warehouse.load().totals.files_skipped == 5


def test_touched_zips_and_unpacked_copies_are_the_same_files(warehouse: Warehouse) -> None:
    path = bundle(warehouse.data / "Kraken_OHLCVT.zip", {"XBTUSD_60.csv": rows("2024-01-01", 60)})
    warehouse.load()
    before = warehouse.query("select sha256 from ops.ingestion_files")
    os.utime(path, ns=(1, 1))
    assert warehouse.load().totals.files_skipped == 1
    with zipfile.ZipFile(path) as zipped:
        zipped.extractall(warehouse.data / "Kraken_OHLCVT")
    path.unlink()
    assert warehouse.load().totals.files_skipped == 1
    assert warehouse.query("select sha256 from ops.ingestion_files") == before


def test_a_new_full_zip_replaces_what_changed_in_it(warehouse: Warehouse) -> None:
    path = warehouse.data / "Kraken_OHLCVT.zip"
    members = {"XBTUSD_60.csv": rows("2024-01-01", 60), "ETHUSD_60.csv": rows("2024-01-01", 60)}
    bundle(path, members)
    warehouse.load()
    bundle(path, members | {"XBTUSD_60.csv": rows("2024-01-01", 60, 9)})
    totals = warehouse.load().totals
    assert (totals.files_loaded, totals.files_skipped) == (1, 1)
    assert warehouse.query("select pair, count(*) from raw.kraken_ohlcvt group by all order by 1") == [
        ("ETHUSD", 3),
        ("XBTUSD", 9),
    ]


def test_a_damaged_member_fails_alone_and_a_damaged_zip_is_named(warehouse: Warehouse) -> None:
    path = bundle(
        warehouse.data / "Kraken_OHLCVT.zip",
        {f"{pair}_60.csv": rows("2024-01-01", 60, 50) for pair in ("ETHUSD", "SOLUSD", "XBTUSD")},
    )
    with zipfile.ZipFile(path) as zipped:
        at = zipped.getinfo("SOLUSD_60.csv").header_offset + 60
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    (warehouse.data / "Kraken_OHLCVT_Q4_2023.zip").write_bytes(b"PK no zip")
    result = warehouse.load(expect=1)
    assert sorted(one.path.name for one in result.failures) == ["Kraken_OHLCVT_Q4_2023.zip", "SOLUSD_60.csv"]
    assert warehouse.query("select count(*) from raw.kraken_ohlcvt") == [(100,)]


@pytest.mark.parametrize("volume", ["0.12345678", "0.123456789", "0.123456789012345", "12345678901.12345678"])
def test_volumes_keep_their_digits_however_many(warehouse: Warehouse, volume: str) -> None:
    content = {f"{pair}_60.csv": rows("2024-01-01", 60).replace("2.123456789", volume) for pair in ("ETHUSD", "XBTUSD")}
    # A neighbour of few decimals, which is read together with those of its kind.
    short = rows("2024-01-01", 60).replace("2.123456789", "2.5")
    bundle(warehouse.data / "Kraken_OHLCVT.zip", content | {"SOLUSD_60.csv": short})
    warehouse.load()
    assert warehouse.query("select distinct pair, volume from raw.kraken_ohlcvt order by 1") == [
        ("ETHUSD", Decimal(volume)),
        ("SOLUSD", Decimal("2.5")),
        ("XBTUSD", Decimal(volume)),
    ]


def test_files_of_all_intervals_share_a_statement_and_one_that_is_off_its_grid_fails_alone(tmp_path: Path) -> None:
    house = Warehouse(tmp_path, batch_files=100)
    minutes = (1, 5, 60, 1440)
    members = {
        f"{pair}_{length}.csv": rows("2024-01-01", length, 60) for pair in ("ETHUSD", "XBTUSD") for length in minutes
    }
    # On the grid of a minute, and not on that of an hour.
    members["SOLUSD_60.csv"] = rows("2024-01-01", 60, 60) + rows("2024-02-01", 1, 2)
    # A volume that only the wide reader takes.
    members["SOLUSD_5.csv"] = rows("2024-01-01", 5, 60).replace("2.123456789", "12345678901.5")
    bundle(house.data / "Kraken_OHLCVT.zip", members)
    result = house.load(expect=1)
    assert [(path.name, count) for path, count in result.rejected] == [("SOLUSD_60.csv", 1)]
    assert house.query(
        "select pair, interval_minutes, count(*), max(timestamp) from raw.kraken_ohlcvt group by all order by all"
    ) == [
        (pair, length, 60 + (pair == "SOLUSD" and length == 60), _last(length, sol=pair == "SOLUSD"))
        for pair in ("ETHUSD", "SOLUSD", "XBTUSD")
        for length in minutes
        if pair != "SOLUSD" or length in (5, 60)
    ]
    house.consistent()


def _last(minutes: int, *, sol: bool) -> datetime:
    if sol and minutes == 60:
        return datetime.fromisoformat("2024-02-01")
    return datetime.fromisoformat("2024-01-01") + timedelta(minutes=59 * minutes)


@pytest.mark.parametrize("odd", [0, 6, 12])
def test_of_many_files_the_odd_one_is_found_by_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: int
) -> None:
    house = Warehouse(tmp_path, batch_files=100)
    members = {f"A{number:02}USD_60.csv": rows("2024-01-01", 60) for number in range(13)}
    members[f"A{odd:02}USD_60.csv"] = rows("2024-01-01", 60).replace("2.123456789", "12345678901.5")
    bundle(house.data / "Kraken_OHLCVT.zip", members)
    sizes: list[int] = []
    transaction = load._Run._transaction

    def counted(run: Any, batch: Any, *others: Any) -> None:
        sizes.append(len(batch))
        transaction(run, batch, *others)

    monkeypatch.setattr(load._Run, "_transaction", counted)
    house.load()
    assert house.query("select count(*), count(distinct file_id) from raw.kraken_ohlcvt") == [(39, 13)]
    assert len(sizes) <= 10


def test_only_the_pairs_that_are_asked_for(warehouse: Warehouse) -> None:
    bundle(
        warehouse.data / "Kraken_OHLCVT.zip",
        {f"{pair}_60.csv": rows("2024-01-01", 60) for pair in ("ETHUSD", "SOLUSD", "XBTUSD", "XBTEUR", "XDGUSD")},
    )
    warehouse.load(selection=Selection(symbols=frozenset({"XXBTZUSD"})))
    assert warehouse.query("select distinct pair from raw.kraken_ohlcvt") == [("XBTUSD",)]
    warehouse.load(selection=Selection(assets=frozenset({"BTC", "DOGE"})))
    assert warehouse.query("select distinct pair from raw.kraken_ohlcvt order by 1") == [
        ("XBTEUR",),
        ("XBTUSD",),
        ("XDGUSD",),
    ]


@pytest.mark.parametrize(
    ("symbol", "pair", "asset"),
    [
        ("XXBTZUSD", "XBTUSD", "BTC"),
        ("XBTUSD", "XBTUSD", "BTC"),
        ("XDGUSD", "XDGUSD", "DOGE"),
        ("XXDGZUSD", "XDGUSD", "DOGE"),
        ("XETHXXBT", "ETHXBT", "ETH"),
        ("XTZUSD", "XTZUSD", "XTZ"),
        ("USDTUSD", "USDTUSD", "USDT"),
        ("ETHFDUSD", "ETHFDUSD", "ETH"),
        ("1000SHIBUSDT", "1000SHIBUSDT", "SHIB"),
        ("1INCHUSDT", "1INCHUSDT", "1INCH"),
        ("BTCUSDT_240329", "BTCUSDT_240329", "BTC"),
        ("NOTHING", "NOTHING", None),
    ],
)
def test_pairs_and_assets_by_their_names(symbol: str, pair: str, asset: str | None) -> None:
    assert (pair_name(symbol), asset_of(symbol)) == (pair, asset)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real records are not here")
def test_the_real_downloads_of_kraken_as_a_zip(warehouse: Warehouse) -> None:
    source = DATA / "kraken" / "Kraken_OHLCVT"
    bundle(warehouse.data / "Kraken_OHLCVT.zip", {path.name: path.read_text() for path in source.glob("*.csv")})
    warehouse.load()
    assert warehouse.query(
        "select pair, interval_minutes, count(*) from raw.kraken_ohlcvt group by all order by 1"
    ) == [
        ("ETHUSD", 1440, 2058),
        ("XBTUSD", 60, 50378),
    ]
