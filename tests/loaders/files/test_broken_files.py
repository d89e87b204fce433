# A table reads best with one line for each row.
"""A corpus of broken files: each is refused with a message that names what is wrong, or keeps aside the bad row."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import archive
from tests.support.archive import FUNDING, KLINES, METRICS, TRADES, text, write
from tests.support.warehouse import Warehouse

DAY = "2024-03-05"
START = archive.day_ms(DAY)

K = f"klines/BTCUSDT/5m/BTCUSDT-5m-{DAY}"
T = f"aggTrades/BTCUSDT/BTCUSDT-aggTrades-{DAY}"
M = f"metrics/BTCUSDT/BTCUSDT-metrics-{DAY}"
F = "fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-03"

Content = str | bytes


def klines(change: Callable[[list[str]], list[str]] = lambda rows: rows, header: str | None = None) -> str:
    return text(change(archive.kline_rows(DAY)), header)


def trades(change: Callable[[list[str]], list[str]] = lambda rows: rows, header: str | None = TRADES) -> str:
    return text(change(archive.trade_rows(DAY)), header)


def metrics(change: Callable[[list[str]], list[str]] = lambda rows: rows) -> str:
    return text(change(archive.metrics_rows(DAY)), METRICS)


def at(place: int, old: str, new: str) -> Callable[[list[str]], list[str]]:
    """One row changed."""

    def change(rows: list[str]) -> list[str]:
        assert old in rows[place]
        return [*rows[:place], rows[place].replace(old, new, 1), *rows[place + 1 :]]

    return change


def everywhere(old: str, new: str) -> Callable[[list[str]], list[str]]:
    """Every row changed."""
    return lambda rows: [row.replace(old, new, 1) for row in rows]


def zipped(members: dict[str, Content], *, encrypted: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    archive_bytes = bytearray(buffer.getvalue())
    if encrypted:
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            archive_bytes[archive_bytes.index(signature) + offset] |= 1
    return bytes(archive_bytes)


INSIDE = f"BTCUSDT-5m-{DAY}.csv"
FIRST = "agg_trade_id,price"
SWAPPED = TRADES.replace("price,quantity", "quantity,price")

#: name below the data folder, content, part of the message
REFUSED = [
    pytest.param(f"{K}.csv", "", "is empty", id="nothing in it"),
    pytest.param(f"{K}.csv", "\n\n\n", "no lines", id="only line ends"),
    pytest.param(f"{K}.csv", KLINES + "\n", "header and no rows", id="header only"),
    pytest.param(f"{K}.csv", KLINES, "header and no rows", id="header only and no line end"),
    pytest.param(f"{K}.csv", "<!DOCTYPE html><html>404</html>\n", "web page", id="an HTML error page"),
    pytest.param(f"{K}.csv", '<?xml version="1.0"?><Error/>', "web page", id="an XML error answer"),
    pytest.param(f"{K}.csv", '{"code":-1121,"msg":"Invalid symbol."}', "error answer", id="a JSON error answer"),
    pytest.param(f"{T}.csv", trades(header=SWAPPED), "another order", id="two header names swapped"),
    pytest.param(f"{K}.csv", trades(), "wrong columns", id="another dataset with a header"),
    pytest.param(f"{K}.csv", trades(header=None), "wrong columns (7", id="another dataset without a header"),
    pytest.param(f"{T}.csv", trades(header=FIRST), "missing columns quantity", id="a header that is cut"),
    pytest.param(
        f"{T}.csv", trades(header=TRADES.replace("price", "cost")), "unknown columns cost", id="an unknown header name"
    ),
    pytest.param(f"{K}.csv", klines(everywhere(",", ";")).replace(",", ";"), "by semicolons", id="semicolons"),
    pytest.param(f"{K}.csv", klines(everywhere(",0", "")), "wrong columns", id="a column less in every row"),
    pytest.param(f"{K}.csv", klines().encode("utf-16"), "UTF-16", id="UTF-16 with a mark"),
    pytest.param(f"{K}.csv", klines().encode("utf-16-le"), "NUL bytes", id="UTF-16 without a mark"),
    pytest.param(f"{K}.csv", klines()[:5000] + "\0" * 512, "NUL bytes", id="NUL bytes at the end"),
    pytest.param(f"{K}.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "NUL bytes", id="an image"),
    pytest.param(f"{K}.csv", b"\xff\xfa\x11 nonsense \x93\n" * 40, "wrong columns", id="bytes of no encoding"),
    pytest.param(
        f"{K}.csv",
        text(archive.kline_rows("2024-03-06")),
        "time outside the period",
        id="another day than its name says",
    ),
    pytest.param(
        f"{K}.csv",
        text([archive.kline_row(START + n * archive.STEP, per_ms=1_000_000) for n in range(9)]),
        "is no time",
        id="nanoseconds",
    ),
    pytest.param(
        f"{T}.csv",
        trades(
            lambda rows: [
                row if n < 50 else row.replace(f",{START + n * 1000},", f",{(START + n * 1000) * 1000},")
                for n, row in enumerate(rows)
            ]
        ),
        "time outside the period",
        id="microseconds where milliseconds belong",
    ),
    pytest.param(
        f"{K}.csv",
        text([archive.kline_row(START + n * 60_000, step=60_000) for n in range(1440)]),
        "not a multiple of the interval",
        id="one-minute candles named five-minute",
    ),
    pytest.param(
        f"klines/BTCUSDT/1m/BTCUSDT-1m-{DAY}.csv",
        klines(),
        "close_time is not within",
        id="five-minute candles named one-minute",
    ),
    pytest.param(f"{K}.csv", klines(everywhere("10.5", "")), "volume is empty", id="a blank column"),
    pytest.param(f"{K}.csv", klines(everywhere("10.5", "-10.5")), "negative volume", id="negative volumes"),
    pytest.param(f"{K}.csv", klines(everywhere("10.5", "nan")), "volume cannot be read", id="not a number"),
    pytest.param(f"{K}.csv", klines(everywhere("10.5", '"10.5"')), "volume cannot be read", id="quotes around cells"),
    pytest.param(
        f"{K}.csv", klines(everywhere("10.5", "10.123456789")), "losing digits", id="a ninth decimal everywhere"
    ),
    pytest.param(f"{K}.csv", klines(everywhere("10.5", "1.5e-9")), "losing digits", id="an exponent that loses digits"),
    pytest.param(f"{K}.csv", klines(everywhere("10.5", "1" * 31)), "volume cannot be read", id="a number of 31 digits"),
    pytest.param(f"{K}.csv", klines(everywhere(".0,", ".0,0,")), "wrong columns (13", id="a column more"),
    pytest.param(f"{T}.csv", trades(everywhere(",100.1,", ",0,")), "price that cannot be", id="zero prices"),
    pytest.param(
        f"{T}.csv", trades(everywhere("true", "yes")), "is_buyer_maker cannot be read", id="flags of another kind"
    ),
    pytest.param(
        f"{T}.csv",
        trades(lambda rows: [row + "\n" + row.replace(",0.", ",9.") for row in rows]),
        "same key and different content",
        id="two contents for every key",
    ),
    pytest.param(
        f"{M}.csv",
        text(archive.metrics_rows(DAY, symbol="ETHUSDT"), METRICS),
        "not that of the file",
        id="metrics of another symbol",
    ),
    pytest.param(f"{M}.csv", metrics(everywhere(" ", "T")), "create_time cannot be read", id="times of another shape"),
    pytest.param(
        f"{M}.csv",
        metrics(everywhere(f"{DAY} ", "2024-02-31 ")),
        "create_time cannot be read",
        id="a day that no calendar has",
    ),
    pytest.param(f"{F}.csv", text([f"{START},0,0.0001"], FUNDING), "funding interval", id="a funding interval of zero"),
    pytest.param(f"{F}.csv", text([f"{START},8,1.5"], FUNDING), "funding rate", id="a funding rate of 150 %"),
    pytest.param(f"{K}.zip", zipped({INSIDE: klines()})[:-40], "damaged or cut off", id="a zip that is cut"),
    pytest.param(f"{K}.zip", b"PK\x03\x04" + b"x" * 100, "damaged or cut off", id="a zip in name only"),
    pytest.param(f"{K}.zip", b"<html>404</html>", "damaged or cut off", id="an error page named zip"),
    pytest.param(f"{K}.zip", zipped({INSIDE: klines(), "b.csv": "x"}), "holds 2 files", id="a zip of two files"),
    pytest.param(f"{K}.zip", zipped({}), "holds 0 files", id="a zip of nothing"),
    pytest.param(f"{K}.zip", zipped({INSIDE: ""}), "holds an empty file", id="a zip of an empty file"),
    pytest.param(
        f"{K}.zip",
        zipped({"ETHUSDT-5m-2024-03-05.csv": klines()}),
        "not what its name says",
        id="a zip of another file",
    ),
    pytest.param(f"{K}.zip", zipped({f"../../{INSIDE}": klines()}), "climbs out", id="a path that climbs out"),
    pytest.param(f"{K}.zip", zipped({f"/etc/{INSIDE}": klines()}), "climbs out", id="an absolute path"),
    pytest.param(
        f"{K}.zip", zipped({f"..\\{INSIDE}": klines()}), "climbs out", id="a path that climbs out, with backslashes"
    ),
    pytest.param(f"{K}.zip", zipped({INSIDE: klines()}, encrypted=True), "encrypted", id="an encrypted zip"),
    pytest.param(f"{K}.zip", zipped({INSIDE: b"1" * 30_000_000}), "inflates to more than", id="a zip bomb"),
    pytest.param(f"{K}.csv.gz", gzip.compress(klines().encode())[:-20], "damaged or cut off", id="a gz that is cut"),
    pytest.param(f"{K}.csv.gz", b"no gzip", "damaged or cut off", id="a gz in name only"),
    pytest.param(f"klines/X/5m/BTC'; drop--USDT-5m-{DAY}.csv", klines(), "is no symbol", id="a symbol with quotes"),
    pytest.param(f"klines/X/5m/БТС-5m-{DAY}.csv", klines(), "is no symbol", id="a symbol in Cyrillic"),
    pytest.param(f"klines/X/5m/btcusdt-5m-{DAY}.csv", klines(), "is no symbol", id="a symbol in small letters"),
    pytest.param("klines/X/5m/BTCUSDT-5m-2024-02-30.csv", klines(), "is no date", id="a date that does not exist"),
    pytest.param(
        f"klines/ETHUSDT/5m/BTCUSDT-5m-{DAY}.csv", klines(), "the folder ETHUSDT", id="the folder of another symbol"
    ),
    pytest.param(
        f"klines/BTCUSDT/1m/BTCUSDT-5m-{DAY}.csv", klines(), "the folder 1m", id="the folder of another interval"
    ),
    pytest.param(
        f"metrics/BTCUSDT/BTCUSDT-aggTrades-{DAY}.csv", trades(), "the folder metrics", id="the folder of another type"
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), REFUSED)
def test_a_broken_file_is_refused_and_nothing_of_it_lands(
    house: Warehouse, name: str, content: Content, message: str
) -> None:
    path = write(house.data / "futures/um/daily" / name, content)
    other = write(house.data / "futures/um/daily/klines/ETHUSDT/5m" / f"ETHUSDT-5m-{DAY}.csv", klines())
    report = house.load(expect=1)
    assert [(failure.path, message in failure.message) for failure in report.failures] == [(path, True)], (
        report.failures
    )
    assert house.query("select path, status from ops.ingestion_files order by status") == [
        (str(path), "failed"),
        (str(other), "loaded"),
    ]
    assert house.query("select distinct symbol from raw.binance_klines") == [("ETHUSDT",)]
    house.consistent()
    assert not list(house.path.parent.glob("*.tmp"))


#: name, content, number of the line, part of the reason
KEPT_ASIDE = [
    pytest.param(
        f"{K}.csv", klines(at(9, "10.5", "x")), 10, ["volume cannot be read", " x"][0], id="a word for a number"
    ),
    pytest.param(f"{K}.csv", klines(at(9, "10.5", "10.123456789")), 10, "losing digits", id="a ninth decimal"),
    pytest.param(f"{K}.csv", klines(at(9, "10.5", "1e-9")), 10, "losing digits", id="an exponent that loses digits"),
    pytest.param(
        f"{K}.csv",
        klines(at(9, f"{START + 9 * archive.STEP},", f"{START - archive.STEP},")),
        10,
        "time outside",
        id="a time before the period",
    ),
    pytest.param(
        f"{K}.csv",
        klines(lambda rows: [*rows[:9], KLINES, *rows[9:]]),
        10,
        "a header in the middle",
        id="a header in the middle",
    ),
    pytest.param(
        f"{K}.csv", klines(lambda rows: [*rows[:9], rows[9][:40], *rows[10:]]), 10, "fields", id="a line that is cut"
    ),
    pytest.param(f"{K}.csv", klines(at(9, ",", ",,")), 10, "fields", id="a comma too many"),
    pytest.param(
        f"{K}.csv", klines(lambda rows: [*rows[:9], "garbage", *rows[9:]]), 10, "fields", id="a line of garbage"
    ),
    pytest.param(
        f"{K}.csv", klines().removesuffix(",0\n"), 288, "11 fields", id="a last line cut before its last field"
    ),
    pytest.param(
        f"{K}.csv", klines().removesuffix("0\n"), 288, "ignore is empty", id="a last line cut at its last field"
    ),
    pytest.param(f"{T}.csv", trades().removesuffix("ue\n"), 201, "is_buyer_maker cannot be read", id="a last flag cut"),
    pytest.param(
        f"{T}.csv",
        trades().removesuffix("rue\n"),
        201,
        "is_buyer_maker cannot be read",
        id="a last flag cut to a letter",
    ),
    pytest.param(f"{M}.csv", metrics().removesuffix("00\n"), 289, "ends within this line", id="a last ratio cut"),
    pytest.param(
        f"{M}.csv",
        metrics(lambda rows: [*rows[:9], rows[9].removesuffix("0.5000"), *rows[10:]]).removesuffix("00\n"),
        289,
        "ends within this line",
        id="a last ratio cut where others are blank",
    ),
    pytest.param(f"{T}.csv", trades(at(9, ",0.1,", ",0,")), 11, "quantity that cannot be", id="a quantity of zero"),
    pytest.param(
        f"{M}.csv", metrics(at(9, "BTCUSDT", "ETHUSDT")), 11, "not that of the file", id="one row of another symbol"
    ),
    pytest.param(
        f"{K}.csv",
        klines(at(9, ".5,10.5", ".5,10.5\x00")).replace("\0", "\x01"),
        10,
        "volume cannot be read",
        id="a control character",
    ),
    pytest.param(
        f"{K}.csv",
        klines(at(9, "10.5", "10.5\xa0")).encode("latin-1"),
        10,
        "volume cannot be read",
        id="a byte of another encoding",
    ),
]


@pytest.mark.parametrize(("name", "content", "line", "reason"), KEPT_ASIDE)
def test_a_bad_row_is_kept_aside_with_its_line_and_reason(
    house: Warehouse, name: str, content: Content, line: int, reason: str
) -> None:
    write(house.data / "futures/um/daily" / name, content)
    report = house.load(expect=1)
    assert report.totals.files_loaded == 1, report.failures
    rejected = house.query("select line_number, reason from ops.rejected_rows")
    assert [(number, reason in why) for number, why in rejected] == [(line, True)], rejected
    house.consistent()


#: odd, and yet every row of it can be taken
TAKEN = [
    pytest.param(klines().replace("\n", "\r\n"), id="line ends of Windows"),
    pytest.param("\ufeff" + klines(header=KLINES), id="a byte order mark"),
    pytest.param(klines().removesuffix("\n"), id="no last line end"),
    pytest.param(klines() + "\n\n", id="blank lines at the end"),
    pytest.param(klines(at(9, "10.5", "10.5000000000")), id="zeros behind the eighth decimal"),
    pytest.param(klines(at(9, "10.5", "1.05e1")), id="an exponent that loses nothing"),
    pytest.param(klines(lambda rows: rows[::-1]), id="rows from last to first"),
    pytest.param(klines(header=KLINES.upper()), id="a header in capitals"),
]


@pytest.mark.parametrize("content", TAKEN)
def test_odd_files_land_whole(house: Warehouse, content: str) -> None:
    write(house.data / "futures/um/daily" / f"{K}.csv", content.encode())
    house.load()
    assert house.query("select count(*), sum(volume)::double from raw.binance_klines") == [(288, 3024.0)]


def test_folders_and_links_that_mislead_are_refused(house: Warehouse, tmp_path: Path) -> None:
    good = write(house.place(INSIDE), klines())
    (house.data / f"BTCUSDT-5m-{DAY}.csv").mkdir()
    outside = write(tmp_path / "outside" / "ETHUSDT-5m-2024-03-05.csv", klines())
    (house.data / outside.name).symlink_to(outside)
    (house.data / "loop").symlink_to(house.data)
    (house.data / f"XRPUSDT-5m-{DAY}.csv").symlink_to(house.data / f"XRPUSDT-5m-{DAY}.csv")
    report = house.load(expect=1)
    assert report.totals.files_loaded == 1
    assert sorted((failure.path.name, failure.message.split(":")[0]) for failure in report.failures) == [
        (f"BTCUSDT-5m-{DAY}.csv", "is a folder, not a file"),
        ("ETHUSDT-5m-2024-03-05.csv", "the link leads out of the data folders"),
        (f"XRPUSDT-5m-{DAY}.csv", "the link leads out of the data folders"),
    ]
    assert house.query("select path from ops.ingestion_files where status = 'loaded'") == [(str(good),)]


def test_the_engine_reads_nothing_outside_its_folders(house: Warehouse, tmp_path: Path) -> None:
    import duckdb

    from loaders import warehouse

    secret = write(tmp_path / "secret.csv", "1,2\n")
    with (
        warehouse.writer(house.settings, house.path, readable=[house.data]) as opened,
        pytest.raises(duckdb.PermissionException),
    ):
        opened.connection.execute("select * from read_csv($1)", [str(secret)])


def test_a_file_that_changes_while_it_is_read_is_refused(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    from loaders.files import inspection

    path = write(house.place(INSIDE), klines())
    take = inspection._Scan.take

    def append(scan: inspection._Scan, chunk: bytes) -> None:
        if not scan.size:
            with path.open("a") as file:
                file.write("more\n")
        take(scan, chunk)

    monkeypatch.setattr(inspection._Scan, "take", append)
    report = house.load(expect=1)
    assert "changed while it was read" in report.failures[0].message


def test_the_published_checksum_beside_a_file_counts(house: Warehouse) -> None:
    path = archive.write_zip(house.data / f"{K}.zip", klines())
    beside = path.with_name(path.name + ".CHECKSUM")
    for told, message in (("0" * 64, "is not the file that"), ("<html>404</html>", "holds no sha256")):
        write(beside, f"{told}  {path.name}\n")
        (failure,) = house.load(expect=1).failures
        assert message in failure.message
        assert house.query("select count(*) from raw.binance_klines") == [(0,)]
    write(beside, f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert house.load().totals.files_loaded == 1
    house.consistent()
