"""The typed reader takes exactly the rows that the row reader takes, and reads the same values in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import warehouse
from loaders.datasets import LAYOUTS, Column, Kind, identify
from loaders.files.archives import Limits
from loaders.files.discovery import Candidate
from loaders.files.inspection import prepare
from loaders.ingest import load
from loaders.ingest.load import Request
from loaders.progress import Lines
from loaders.selection import Selection
from loaders.warehouse import Warehouse
from tests.support import archive
from tests.support.archive import FUNDING, KLINES, METRICS, ORDERS, TRADES, text, write
from tests.support.warehouse import TABLES
from tests.support.warehouse import Warehouse as House

EXAMPLES = int(os.environ.get("READER_EXAMPLES", "8"))
DAY = "2024-03-05"
START = archive.day_ms(DAY)
ROWS = 120

# Name of the file, header, clean rows.
FILES: dict[str, tuple[str, str, list[str]]] = {
    "klines": (f"BTCUSDT-1m-{DAY}", KLINES, [archive.kline_row(START + n * 60_000, step=60_000) for n in range(ROWS)]),
    "aggTrades": (f"BTCUSDT-aggTrades-{DAY}", TRADES, archive.trade_rows(DAY, ROWS)),
    "metrics": (f"BTCUSDT-metrics-{DAY}", METRICS, archive.metrics_rows(DAY, ROWS)),
    "fundingRate": ("BTCUSDT-fundingRate-2024-03", FUNDING, [f"{START + n * 3_600_000},8,0.0001" for n in range(ROWS)]),
    "liquidationSnapshot": (
        f"BTCUSDT-liquidationSnapshot-{DAY}",
        ORDERS,
        [f"{START + n},BUY,LIMIT,IOC,0.5,{100 + n}.5,100.1,FILLED,0.1,0.5" for n in range(ROWS)],
    ),
    "ohlcvt": ("XBTUSD_1", "", [f"{START // 1000 + n * 60},100,101.5,99,100.25,1.5,7" for n in range(ROWS)]),
    "levels": (
        "BTCUSDT-levels-vendor",
        "time,symbol,side,price,volume",
        [f"2024-03-05 10:{n % 60:02},BTCUSDT,{'long' if n % 2 else 'short'},{100 + n},5.5" for n in range(ROWS)],
    ),
}

ODD_NUMBERS = "-0|+5|- 5|5-|--5|5.|.5|-.5|+.5|.|-|+|1.7|7.0|1,5|1e|e5|1e400|1__0|_1|0x|1.5e3|9223372036854775808"
ODD_WORDS = (
    "| |nan|NaN|inf|-inf|Infinity|null|NULL|None|\\N|true|TRUE|tRuE|false|t|f|y|no|1|0|BUY|buy|long|'1'|abc|#|BTCUSDT|"
    '"1"|btcusdt|LIMIT | IOC|FILLED\t|\x0b|\u2028|\u0661|\xa05'
)
ODD_TIMES = (
    "2024-03-05|2024-3-5|2024-3-5 1:2:3|2024-03-05 01:02|2024-03-05 01:02:03.5|2024-03-05 01:02:03.1234567|"
    "2024-03-05T01:02:03|2024-03-05 01:02:03Z|2024-03-05 01:02:03+00|2024-03-05 24:00:00|2024-03-05 23:59:60|"
    "2024-02-30 00:00:00|2024-03-05  01:02:03| 2024-03-05 01:02:03|2024/03/05 01:02:03|12024-03-05 01:02:03|epoch|"
    "infinity|05-03-2024 01:02:03|2024-03-05 01:02:03 BC|2024-03-05T01:02:03Z|2024-03-05T01:02|2024-03-05 01:02+00:00"
)
DIGITS = ["1" * 18, "1" * 19, "9" * 38, "9" * 3000, "1." + "9" * 3000, "9223372036854775807"]
LEADING_ZEROS = st.sampled_from([1, 5, 17, 18, 19, 40, 3000])
WHOLE, PART = ["", "0", "7", "-", "007", "1_0"], ["", "0", "5", "1_0", "123456789", "10000000000", "."]
instants = st.integers(START, START + 86_400_000)
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(0, 10**6).map(lambda n: f"{n:_}"),
    st.integers(0, 10**9).flatmap(lambda n: st.sampled_from([hex(n), bin(n), oct(n)])),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000000, max_value=1000000).map(str),
    st.builds("{}{}{}".format, st.integers(0, 99), st.sampled_from(["e", "E", "e+", "E-", "e-"]), st.integers(0, 9)),
    st.builds("{}.{}".format, st.sampled_from(WHOLE), st.sampled_from(PART)),
    st.builds(lambda count, n: "0" * count + str(n), LEADING_ZEROS, st.integers(0, 999)),
    st.sampled_from([*DIGITS, *ODD_NUMBERS.split("|")]),
)
words = st.sampled_from(ODD_WORDS.split("|"))
times = st.one_of(
    st.sampled_from(ODD_TIMES.split("|")),
    st.builds(str.format, st.sampled_from(["{}", "{}000", "0{}.0", "0{}", "{}_0"]), instants),
    instants.map(lambda n: f"{n / 1000}"),
)
blanks = st.sampled_from(["", " ", "\t"])
padded = st.builds("{}{}{}".format, blanks, numbers, blanks)
cells = st.one_of(numbers, words, times, padded)
changes = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, 11), cells), min_size=1, max_size=2)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Warehouse]]:
    """A warehouse that stays open, since to open one takes longer than to land a file."""
    # Many odd cells in one file must not fail it: what is compared is rows.
    house = House(tmp_path_factory.mktemp("opened"), max_rejected_share=0.5)
    with warehouse.writer(house.settings, house.path, readable=[house.data]) as writer:
        yield house, writer


def landed(house: House, writer: Warehouse, *, rows_only: bool) -> tuple[Any, ...]:
    """What a load of the folder brings, as it is or by the row reader alone; taken out again."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        return writer.connection.execute(sql).fetchall()

    with pytest.MonkeyPatch.context() as patch:
        if rows_only:
            patch.setattr(load, "_TYPED", ())
        request = Request((house.data,), Selection(), retries=0)
        load.load(writer, house.settings, request, Lines())
    rows = [sorted(map(repr, query(f"select * exclude (file_id) from raw.{table}"))) for table in TABLES]
    lines = query("select line_number, line from ops.rejected_rows order by all")
    files = query(
        "select status, error_message, rows_read, rows_loaded, rows_duplicate, rows_rejected, first_time, last_time"
        " from ops.ingestion_files"
    )
    tables = [f"raw.{table}" for table in TABLES]
    for table in (*tables, "ops.rejected_rows", "ops.ingestion_files", "ops.ingestion_changes"):
        writer.connection.execute(f"delete from {table}")
    return rows, lines, files


@pytest.mark.parametrize("kind", FILES)
@given(changed=changes, header=st.booleans(), end=st.sampled_from(["\n", ""]))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_both_readers_take_the_same_rows_and_values(
    opened: tuple[House, Warehouse], kind: str, changed: list[tuple[int, int, str]], header: bool, end: str
) -> None:
    house, writer = opened
    name, title, clean = FILES[kind]
    rows = [row.split(",") for row in clean]
    for line, place, cell in changed:
        rows[line][place % len(rows[line])] = cell
    content = text([",".join(row) for row in rows], title if header and title else None)[:-1] + end
    path = write(house.data / f"{name}.csv", content)
    try:
        assert landed(house, writer, rows_only=False) == landed(house, writer, rows_only=True)
    finally:
        path.unlink()


def clean_reason(folder: Path, kind: str, content: str) -> str | None:
    path = write(folder / f"{FILES[kind][0]}.csv", content)
    recognised = identify(path.name, path.parent.parts)
    assert recognised is not None
    layout, identity = recognised
    status = path.stat()
    candidate = Candidate(path, LAYOUTS[layout], identity, status.st_size, status.st_mtime_ns, 2)
    return prepare(candidate, folder, Limits(2**30, 500)).row_parse_reason


@pytest.mark.parametrize("kind", FILES)
def test_a_clean_file_is_left_to_the_typed_reader(tmp_path: Path, kind: str) -> None:
    _, header, clean = FILES[kind]
    assert clean_reason(tmp_path, kind, text(clean)) is None
    if header:
        assert clean_reason(tmp_path, kind, text(clean, header)) is None


@pytest.mark.parametrize("line", [5, 70], ids=["within the first lines", "beyond the first lines"])
@pytest.mark.parametrize(
    ("cell", "column"),
    [("1.7", 8), ("0x10", 8), ("1_000", 8), ("1_0.5", 5), (" 7", 8), ("7.0", 8), ("1e1", 8)],
    ids=lambda value: str(value),
)
def test_a_cell_that_the_engine_would_round_or_guess_is_rejected(
    house: House, line: int, cell: str, column: int
) -> None:
    name, header, clean = FILES["klines"]
    row = clean[line].split(",")
    row[column] = cell
    write(house.data / f"{name}.csv", text([*clean[:line], ",".join(row), *clean[line + 1 :]], header))
    house.load(expect=int(cell != " 7"))
    kept = house.query("select count(*) from raw.binance_klines")[0][0]
    quarantined = house.query("select line_number from ops.rejected_rows")
    # A blank before a number changes nothing that it says.
    assert (kept, quarantined) == ((ROWS, []) if cell == " 7" else (ROWS - 1, [(line + 2,)]))


def columns_of(kind: str) -> tuple[Column, ...]:
    return LAYOUTS[kind].columns


def test_every_kind_of_column_is_compared() -> None:
    assert {column.kind for kind in FILES for column in columns_of(kind)} == set(Kind)
