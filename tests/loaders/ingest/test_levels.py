"""External levels, as a dataset like the others: named, landed, replaced, refused, forgotten."""

from __future__ import annotations

from decimal import Decimal

import pytest

from loaders import warehouse
from loaders.datasets import NameRefused, identify
from loaders.ingest import forget
from loaders.queries import coverage
from loaders.selection import Selection
from loaders.warehouse import ledger
from tests.support.archive import text, utc, write
from tests.support.warehouse import Warehouse

HEADER = "time,symbol,side,price,volume"
ROWS = (
    "2024-03-01 10:00:00,BTCUSDT,long,59500.5,1200000.25",
    "2024-03-01 10:00:00,BTCUSDT,short,62000,0",
    "2024-03-01 11:00:00,BTCUSDT,long,59000,5",
)
LANDED = [
    ("um", "vendor", "BTCUSDT", utc(2024, 3, 1, 10), "long", Decimal("59500.5"), Decimal("1200000.25")),
    ("um", "vendor", "BTCUSDT", utc(2024, 3, 1, 10), "short", Decimal(62000), Decimal(0)),
    ("um", "vendor", "BTCUSDT", utc(2024, 3, 1, 11), "long", Decimal(59000), Decimal(5)),
]
LEVELS = "select * exclude (file_id) from raw.external_levels order by all"


@pytest.mark.parametrize(
    ("name", "symbol", "provider", "start", "end"),
    [
        pytest.param("BTCUSDT-levels-vendor.csv", "BTCUSDT", "vendor", None, None, id="without a period"),
        pytest.param(
            "BTCUSDT-levels-my_Model2-2024-03.zip", "BTCUSDT", "my_Model2", (2024, 3, 1), (2024, 4, 1), id="of a month"
        ),
        pytest.param(
            "ETHUSDT-levels-vendor-2024-03-01.csv.gz", "ETHUSDT", "vendor", (2024, 3, 1), (2024, 3, 2), id="of a day"
        ),
    ],
)
def test_a_file_of_levels_is_what_its_name_says(
    name: str, symbol: str, provider: str, start: tuple[int, ...] | None, end: tuple[int, ...] | None
) -> None:
    found = identify(name, ("data",))
    assert found is not None
    layout, identity = found
    assert layout == "levels"
    assert (identity.dataset, identity.symbol, identity.provider) == ("levels", symbol, provider)
    period = [time and time.replace(tzinfo=None) for time in (identity.period_start, identity.period_end)]
    assert period == [utc(*part) if part else None for part in (start, end)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("BTCUSDT-levels.csv", "BTCUSDT-levels-PROVIDER.csv", id="no provider"),
        pytest.param("BTCUSDT-levels-2024-03-01.csv", "BTCUSDT-levels-PROVIDER.csv", id="a day and no provider"),
        pytest.param("BTCUSDT-levels-coin-glass.csv", "'coin-glass' is no name of a provider", id="a hyphen"),
        pytest.param("BTCUSDT-levels-x'y.csv", "is no name of a provider", id="a quote"),
        pytest.param("btcusdt-levels-vendor.csv", "'btcusdt' is no symbol", id="a symbol in small letters"),
        pytest.param("BTCUSDT-levels-vendor-2024-02-30.csv", "2024-02-30 is no date", id="a day no calendar has"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_remedy(name: str, says: str) -> None:
    with pytest.raises(NameRefused, match=says):
        identify(name, ("data",))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(ROWS, id="texts in UTC"),
        pytest.param([row.replace(":00,", "Z,", 1) for row in ROWS], id="ISO texts to the minute"),
        pytest.param(
            [row.replace(" ", "T").replace(",", "+00:00,", 1) for row in ROWS], id="ISO texts that say +00:00"
        ),
        pytest.param(
            [f"{1709287200 + 3600 * (number == 2)}{row[19:]}" for number, row in enumerate(ROWS)], id="seconds"
        ),
        pytest.param(
            [f"{1709287200 + 3600 * (number == 2)}000{row[19:]}" for number, row in enumerate(ROWS)], id="milliseconds"
        ),
    ],
)
@pytest.mark.parametrize("header", [HEADER, None], ids=["with a header", "without a header"])
def test_levels_land_whatever_their_times_are_written_in(house: Warehouse, rows: list[str], header: str | None) -> None:
    write(house.data / "BTCUSDT-levels-vendor.csv", text(rows, header))
    house.load()
    assert house.query(LEVELS) == LANDED
    assert house.query("select count(*) from ops.rejected_rows") == [(0,)]
    house.consistent()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        pytest.param(
            "2024-03-01 12:00:00,ETHUSDT,long,3000,5",
            "symbol is not that of the file, give it one of its own: ETHUSDT",
            id="another symbol",
        ),
        pytest.param("2024-03-01 12:00:00,BTCUSDT,SELL,3000,5", "side is neither long nor short", id="another side"),
        pytest.param("2024-03-01 12:00:00,BTCUSDT,long,0,5", "a price that cannot be", id="no price"),
        pytest.param("2024-03-01 12:00:00,BTCUSDT,long,3000,-1", "a negative volume", id="a negative volume"),
        pytest.param("2024-03-01 12:00:00,BTCUSDT,long,3000,", "volume is empty", id="no volume"),
        pytest.param("yesterday,BTCUSDT,long,3000,5", "time cannot be read", id="no time"),
        pytest.param(
            "2024-03-01 12:00:00+02:00,BTCUSDT,long,3000,5", "time cannot be read", id="a time that is not in UTC"
        ),
    ],
)
def test_a_bad_row_of_levels_is_kept_aside_with_its_reason(house: Warehouse, row: str, reason: str) -> None:
    write(house.data / "BTCUSDT-levels-vendor.csv", text([*ROWS, row], HEADER))
    report = house.load(expect=1)
    assert report.totals.files_loaded == 1
    assert house.query(LEVELS) == LANDED
    ((line_number, line, found),) = house.query("select line_number, line, reason from ops.rejected_rows")
    assert (line_number, line) == (5, row)
    assert found.startswith(reason)
    house.consistent()


def test_a_row_outside_the_period_of_its_file_is_kept_aside(house: Warehouse) -> None:
    late = "2024-03-02 00:00:00,BTCUSDT,long,59000,5"
    write(house.data / "BTCUSDT-levels-vendor-2024-03-01.csv", text([*ROWS, late], HEADER))
    house.load(expect=1)
    assert house.query(LEVELS) == LANDED
    assert house.query("select line from ops.rejected_rows") == [(late,)]


def test_providers_do_not_replace_each_other_and_a_new_revision_does(house: Warehouse) -> None:
    one, other = (house.data / f"BTCUSDT-levels-{provider}.csv" for provider in ("vendor", "rival"))
    write(one, text(ROWS, HEADER))
    write(other, text(ROWS, HEADER))
    assert house.load().totals.files_loaded == 2
    assert house.load().totals.files_skipped == 2
    write(one, text(ROWS[:2], HEADER))
    assert house.load().totals.files_loaded == 1
    assert house.query("select provider, count(*) from raw.external_levels group by all order by all") == [
        ("rival", 3),
        ("vendor", 2),
    ]
    house.consistent()
    with warehouse.reader(house.path) as connection:
        answer = coverage.to_dict(connection, overlaps=True)
    assert [(row["provider"], row["rows"]) for row in answer["coverage"]] == [("rival", 3), ("vendor", 2)]
    assert answer["overlaps"] == []


def test_levels_can_be_forgotten(house: Warehouse) -> None:
    write(house.data / "BTCUSDT-levels-vendor-2024-03-01.csv", text(ROWS, HEADER))
    write(house.data / "BTCUSDT-levels-rival.csv", text(ROWS, HEADER))
    house.load()
    selection = Selection(symbols=frozenset({"BTCUSDT"}), datasets=frozenset({"levels"}))
    with warehouse.writer(house.settings, house.path) as opened:
        gone = forget.forget(opened, house.settings, [], selection, {})
    assert (len(gone.files), gone.rows) == (2, 6)
    assert house.query(LEVELS) == []
    house.consistent()


def test_a_ledger_of_before_is_brought_up_to_date(house: Warehouse) -> None:
    """A reader takes it as it is, the next writer adds what is missing."""
    write(house.data / "BTCUSDT-levels-vendor.csv", text(ROWS, HEADER))
    house.load()
    with warehouse.writer(house.settings, house.path) as opened:
        opened.connection.execute("alter table ops.ingestion_files drop column provider")
        opened.connection.execute("alter table ops.ingestion_files drop column exchange")
        opened.connection.execute("drop table raw.external_levels")
        opened.connection.execute("delete from ops.ingestion_files")
        opened.connection.execute("update ops.schema_version set version = 1")
    with warehouse.reader(house.path) as connection:
        assert ledger.landed_files(connection) == {}
    assert house.load().totals.files_loaded == 1
    assert house.query(LEVELS) == LANDED
