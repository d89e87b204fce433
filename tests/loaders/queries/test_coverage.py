"""Coverage says where a series has a gap, before anything was built and after; what does not fit is counted."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from loaders import warehouse as warehouses
from loaders.queries import completeness, coverage
from loaders.queries.completeness import Completeness
from loaders.selection import Selection
from tests.support import archive
from tests.support.warehouse import Warehouse


@pytest.fixture
def apart(house: Warehouse) -> Warehouse:
    """Two days of candles five months apart, and two that follow each other."""
    for day in ("2024-01-01", "2024-06-02"):
        archive.klines(house.data, "AAAUSDT", day)
    for day in ("2024-06-01", "2024-06-02"):
        archive.klines(house.data, "BBBUSDT", day)
    house.load()
    return house


def series(house: Warehouse, selection: Selection | None = None) -> dict[str, dict[str, Any]]:
    with warehouses.reader(house.path) as connection:
        return {row["symbol"]: row for row in coverage.to_dict(connection, selection)["coverage"]}


def test_a_gap_of_five_months_shows_before_a_build(apart: Warehouse) -> None:
    found = series(apart)
    gap = (found["AAAUSDT"]["longest_gap_start"], found["AAAUSDT"]["longest_gap_end"])
    assert gap == (archive.utc(2024, 1, 1, 23, 55), archive.utc(2024, 6, 2))
    assert found["BBBUSDT"]["longest_gap_start"] is None
    assert found["AAAUSDT"]["gaps"] is None
    assert list(series(apart, Selection(symbols=frozenset({"BBBUSDT"})))) == ["BBBUSDT"]


def test_after_a_build_the_gaps_are_those_of_the_marts_and_what_came_since(apart: Warehouse) -> None:
    apart.change(
        "create schema marts",
        """
        create table marts.data_gaps as
        select 'binance' as exchange, 'klines' as dataset, 'um' as market, symbol, '5m' as "interval",
            gap_start, gap_end, missing
        from (values
            ('AAAUSDT', timestamp '2024-01-01 12:00', timestamp '2024-01-01 12:10', 2::bigint),
            ('BBBUSDT', timestamp '2024-06-01 12:00', timestamp '2024-06-01 12:10', 2::bigint),
            ('BBBUSDT', timestamp '2024-06-02 12:00', timestamp '2024-06-02 13:00', 12::bigint)
        ) as gaps (symbol, gap_start, gap_end, missing)
        """,
    )
    found = series(apart)
    assert (found["BBBUSDT"]["gaps"], found["BBBUSDT"]["missing"]) == (2, 14)
    assert found["BBBUSDT"]["longest_gap_start"] == archive.utc(2024, 6, 2, 12)
    # Five months were landed since.
    assert found["AAAUSDT"]["longest_gap_end"] == archive.utc(2024, 6, 2)


def a_row(symbol: str, **more: Any) -> dict[str, Any]:
    row = {"exchange": "binance", "dataset": "klines", "market": "um", "kline_type": "last", "interval": "5m"}
    times = {"first_time": datetime(2024, 1, 1), "last_time": datetime(2024, 6, 2)}  # noqa: DTZ001
    none = {"longest_gap_start": None, "longest_gap_end": None}
    return {**row, "symbol": symbol, "provider": None, "rows": 288, "gaps": 0, **times, **none, **more}


def test_many_series_are_shown_by_dataset_and_the_longest_gap_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    long = {"longest_gap_start": datetime(2024, 1, 2), "longest_gap_end": datetime(2024, 6, 2)}  # noqa: DTZ001
    rows = [a_row(f"S{number}USDT", **(long if number == 7 else {})) for number in range(500)]
    shown = coverage.text({"coverage": rows})
    assert "klines um (500 symbols) 5m" in shown
    assert "152 days, 2024-01-02" in shown
    assert "The longest gap is in klines um S7USDT 5m." in shown
    assert len(shown.splitlines()) < 10


def test_everything_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [a_row(f"1000000S{number}USDT", dataset="fundingRate", rows=10**9) for number in range(30)]
    shown = coverage.text({"coverage": rows, "failures": [{"path": "/d/x.csv", "error_message": "is empty " * 30}]})
    assert max(map(len, shown.splitlines())) <= 80


def test_completeness_fits_into_80_columns_and_has_more_in_160(monkeypatch: pytest.MonkeyPatch) -> None:
    times = (datetime(2024, 1, 1), datetime(2024, 6, 2, 23, 55))  # noqa: DTZ001
    one = Completeness(
        "TIER1", "5m", "BTC", "binance", "metrics", "um", "BTCUSDT", 288, 287, *times, 1, "loaders fetch"
    )
    monkeypatch.setenv("COLUMNS", "80")
    narrow = completeness.text([one], colours=False)
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.splitlines()[1].split() == [
        *("TIER1", "metrics", "um", "BTCUSDT", "5m", "99.65%", "2024-06-02", "1", "loaders", "fetch")
    ]
    monkeypatch.setenv("COLUMNS", "160")
    assert "2024-06-02 23:55" in completeness.text([one], colours=False)


def test_completeness_folds_what_is_long_and_colours_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Completeness(
        *("none", "1d", "1000000MOG", "binance", "klines", "um", "1000000MOGUSDT", 28_800_000, 1),
        *(None, None, 12_345_678, "none: the exchange has none"),
    )
    whole = Completeness(*("TIER1", "1m", "X", "kraken", "ohlcvt", "spot", "XUSD", 7, 7), None, None, 0, "")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert completeness.text([many, whole], colours=False).splitlines() == [
        "tier   series                    share  last        gaps  what to do",
        "none   klines um                 0.00%        12,345,678  none: the exchange has",
        "       1000000MOGUSDT 1d                                  none",
        "TIER1  ohlcvt spot XUSD 1m     100.00%                 0",
    ]
    coloured = completeness.text([many, whole], colours=True)
    assert "\x1b[31m0.00%\x1b[0m" in coloured
    assert "\x1b[32m100.00%\x1b[0m" in coloured
    assert coloured.splitlines()[0].startswith("\x1b[1mtier\x1b[0m   \x1b[1mseries\x1b[0m")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in completeness.text([many, whole], colours=True)


def test_thousands_of_series_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    times = (datetime(2024, 1, 1), datetime(2024, 6, 2, 23, 55))  # noqa: DTZ001
    found = [
        Completeness("none", "1m", f"A{number}", "kraken", "ohlcvt", "spot", f"A{number}USD", 9, 8, *times, 1, "x")
        for number in range(20_000)
    ]
    began = time.process_time()
    assert len(completeness.text(found, colours=True).splitlines()) == 20_001
    # A tenth of a second; a table that measures each cell takes ten.
    assert time.process_time() - began < 3
