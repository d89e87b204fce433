"""What REST still has of a gap depends on the clock; the gaps themselves come from the marts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from loaders.cli.inspecting import addresses_of
from loaders.errors import MartsMissing
from loaders.queries import gaps
from loaders.selection import Selection
from loaders.settings import Settings

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture
def marts(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """One gap of each kind, from two days to one day before `NOW`, and the files around that of the candles."""
    connection = duckdb.connect(tmp_path / "warehouse.duckdb")
    connection.execute("""
        create schema marts;
        create schema ops;
        create table marts.data_gaps as
        select if(dataset = 'ohlcvt', 'kraken', 'binance') as exchange, *,
            timestamp '2026-06-28 12:00' as gap_start, timestamp '2026-06-29 12:00' as gap_end,
            288::bigint as missing, 'a file' as suggested_file
        from (values
            ('klines', 'um', 'BTCUSDT', '5m'), ('klines', 'spot', 'BTCUSDT', '5m'), ('metrics', 'um', 'BTCUSDT', '5m'),
            ('aggTrades', 'um', 'BTCUSDT', ''), ('fundingRate', 'um', 'BTCUSDT', ''),
            ('ohlcvt', 'spot', 'XBTUSD', '1m'), ('ohlcvt', 'spot', 'XBTUSD', '1h'), ('ohlcvt', 'spot', 'XBTUSD', '12h')
        ) as series (dataset, market, symbol, interval);
        create table ops.ingestion_files as
        select 'loaded' as status, 'binance' as exchange, 'klines' as dataset, 'um' as market,
            'last' as kline_type, 'BTCUSDT' as symbol,
            '5m' as interval, *
        from (values
            (timestamp '2026-06-28', timestamp '2026-06-28 11:55', timestamp '2026-06-29 03:00'),
            (timestamp '2026-06-29 12:00', timestamp '2026-06-29 23:55', timestamp '2026-06-30 03:00')
        ) as files (first_time, last_time, finished_at);
    """)
    return connection


@pytest.mark.parametrize(
    ("dataset", "market", "interval", "days_later", "rest"),
    [
        pytest.param("klines", "um", "5m", 1000, "all", id="REST has all USD-M candles"),
        pytest.param("klines", "spot", "5m", 0, "no", id="spot is not asked"),
        pytest.param("metrics", "um", "5m", 0, "all", id="open interest of two days ago"),
        pytest.param("metrics", "um", "5m", 28.5, "part", id="open interest of which a part is 30 days old"),
        pytest.param("metrics", "um", "5m", 30, "no", id="open interest older than 30 days"),
        pytest.param("aggTrades", "um", "", 0, "no", id="trades"),
        pytest.param("ohlcvt", "spot", "1m", 0, "no", id="Kraken minutes: 720 of them are twelve hours"),
        pytest.param("ohlcvt", "spot", "1h", 0, "all", id="Kraken hours: 720 of them are thirty days"),
        pytest.param("ohlcvt", "spot", "12h", 0, "no", id="Kraken has no candles of twelve hours"),
    ],
)
def test_rest_has_what_it_has(
    marts: duckdb.DuckDBPyConnection, dataset: str, market: str, interval: str, days_later: float, rest: str
) -> None:
    found = gaps.find(marts, Selection(), NOW + timedelta(days=days_later))
    assert [gap.rest for gap in found if (gap.dataset, gap.market, gap.interval) == (dataset, market, interval)] == [
        rest
    ]


def test_a_gap_is_known_since_both_of_its_sides_were_landed(marts: duckdb.DuckDBPyConnection) -> None:
    (gap,) = gaps.find(marts, Selection(datasets=frozenset({"klines"}), start=datetime(2026, 6, 29, tzinfo=UTC)), NOW)[
        1:
    ]
    assert (gap.market, gap.known_since) == ("um", NOW.replace(hour=3))


def test_only_what_is_asked_for(marts: duckdb.DuckDBPyConnection) -> None:
    assert gaps.find(marts, Selection(symbols=frozenset({"ETHUSDT"})), NOW) == []
    assert gaps.find(marts, Selection(start=datetime(2026, 6, 30, tzinfo=UTC)), NOW) == []
    assert len(gaps.find(marts, Selection(symbols=frozenset({"XBTUSD"})), NOW)) == 3
    assert len(gaps.find(marts, Selection(exchanges=frozenset({"kraken"})), NOW)) == 3
    assert gaps.find(marts, Selection(exchanges=frozenset({"kraken"}), symbols=frozenset({"BTCUSDT"})), NOW) == []


def test_without_a_build_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(MartsMissing, match="dbt build"):
        gaps.find(duckdb.connect(tmp_path / "warehouse.duckdb"), Selection(), NOW)


def gap_of(symbol: str, day: datetime, days: float = 1) -> gaps.Gap:
    end = day + timedelta(days=days)
    file = f"data/futures/um/daily/klines/{symbol}/5m/{symbol}-5m-{day:%Y-%m-%d}.zip"
    return gaps.Gap("binance", "klines", "um", symbol, "5m", day, end, int(288 * days), file, None, "all", None, None)


def test_gaps_are_shown_by_series_with_totals_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = [gap_of("AAAUSDT", NOW - timedelta(days=4 * number)) for number in range(1000, 0, -1)]
    found[500] = gap_of("AAAUSDT", found[500].gap_start, 3)
    shown = gaps.text([*found, gap_of("BBBUSDT", NOW)])
    assert "1,001 gaps in 2 series, 288,864 rows missing" in " ".join(shown.split())
    assert "binance klines um AAAUSDT 5m: 1,000 gaps, 288,576 rows missing" in shown
    assert "3 days" in shown
    assert "and 992 shorter ones" in shown
    first, last = (f"AAAUSDT-5m-{one.gap_start:%Y-%m-%d}.zip" for one in (found[0], found[-1]))
    assert f"{first} to {last} (1,000 files)" in " ".join(shown.split())
    assert len(shown.splitlines()) < 30
    assert max(len(line) for line in shown.splitlines() if ".zip" not in line) <= 80
    many = gaps.text([gap_of(f"S{number}USDT", NOW) for number in range(500)])
    assert "binance klines um S499USDT 5m" in many
    assert len(many.splitlines()) < 510


def test_the_files_that_would_fill_gaps_are_a_list_of_addresses() -> None:
    settings = Settings(binance_archive_url="https://archive.example")
    folder = "https://archive.example/data/futures/um/daily/klines/AAAUSDT/5m"
    start = datetime(2026, 6, 28, 12, tzinfo=UTC).replace(tzinfo=None)
    assert addresses_of([gap_of("AAAUSDT", start), gap_of("AAAUSDT", start)], settings) == [
        f"{folder}/AAAUSDT-5m-2026-06-28.zip",
        f"{folder}/AAAUSDT-5m-2026-06-29.zip",
    ]
