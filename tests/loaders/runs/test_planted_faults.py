"""Faults that come in through different doors, and what is published all the same is right.

All of them, one a run: `python -m benchmarks.planted_faults FOLDER`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from benchmarks.planted_faults.archive import Place
from benchmarks.planted_faults.faults import FAULTS
from benchmarks.planted_faults.judge import Outcome, judge
from benchmarks.planted_faults.runner import complaints, plant, prepare

pytestmark = pytest.mark.usefixtures("forked_dbt")

# In other files each, so that one run takes them all; each is kept out, or told, and the rest is published.
TOLD = (
    "truncated_zip",  # candles of ETHUSDT on the second day
    "stopped_series",  # snapshots of ETHUSDT
    "minutes_against_five_minutes",  # candles of BTCUSDT on the second day
    "missing_trades_of_candles",  # candles and trades of BTCUSDT on the last day
    "missing_kraken_hour",
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, forked_dbt: None) -> Place:
    """The good archive, published."""
    place, done = prepare(tmp_path_factory.mktemp("faults"))
    assert complaints(place, done) == []
    return place


def planted(good: Place, *names: str) -> Outcome:
    return plant(good, *(FAULTS[name] for name in names))


def test_a_good_archive_raises_nothing(good: Place) -> None:
    assert good.published.exists()


def test_what_is_published_in_spite_of_faults_is_right_or_told(good: Place) -> None:
    outcome = planted(good, *TOLD)
    assert outcome.published
    assert outcome.wrong == ()
    assert outcome.exit_status == 1
    caught = "\n".join(outcome.caught)
    for trace in (
        "landing refuses 1 file: the archive is damaged",
        "check refused_files (warn, ETHUSDT)",
        "check freshness (warn, ETHUSDT)",
        "check klines_1m_against_5m (warn, BTCUSDT)",
        "data_gaps: 1 of aggTrades, 20 rows",
        "data_gaps: 1 of ohlcvt, 1 rows",
        "data_gaps: 1 of klines, 288 rows",
    ):
        assert trace in caught


@pytest.mark.parametrize(
    ("name", "caught_by"),
    [
        pytest.param("wrong_leverage_weight", "dbt test leverage_weights_sum_to_1", id="a dbt test"),
        pytest.param(
            "mart_snapshot_altered",
            "expectation marts.open_interest_5m.snapshots_are_those_that_were_landed (fail)",
            id="an expectation",
        ),
    ],
)
def test_what_is_false_and_not_told_keeps_the_last_file(good: Place, name: str, caught_by: str) -> None:
    outcome = planted(good, name)
    assert not outcome.published
    assert outcome.wrong == ()
    assert outcome.exit_status == 1
    assert caught_by in outcome.caught


def test_the_judge_sees_what_nothing_tells(good: Place, tmp_path: Path) -> None:
    """A candle of the published file is changed, a snapshot is taken out: the one is false, the other is a gap."""
    other = tmp_path / "marts.duckdb"
    shutil.copy(good.published, other)
    other.chmod(0o644)
    with duckdb.connect(str(other)) as connection:
        connection.execute(
            "update klines_5m set close = low where symbol = 'ETHUSDT' and open_time = '2026-03-29 08:20'"
        )
        connection.execute("delete from open_interest_5m where symbol = 'BTCUSDT' and snapshot_at = '2026-03-29 08:20'")
    differences, wrong = judge(good.published, other)
    assert differences == 2
    assert wrong == [
        "a gap that nothing names: metrics um BTCUSDT 5m 2026-03-29 08:20:00",
        "1 false rows of klines ETHUSDT that no check names, from 2026-03-29 08:20:00 on",
    ]


@pytest.mark.parametrize("name", ["day_times_ten", "numbers_of_another_day"])
def test_a_symbol_that_a_check_calls_false_is_withheld_and_no_other(good: Place, name: str) -> None:
    outcome = planted(good, name)
    assert outcome.published
    assert outcome.wrong == ()
    assert outcome.exit_status == 1
    place = Place(good.folder.with_name("planted"))
    with duckdb.connect(str(place.published), read_only=True) as connection:
        status = dict(connection.execute("select symbol, is_published from symbol_status").fetchall())
        present = {symbol for (symbol,) in connection.execute("select distinct symbol from klines_5m").fetchall()}
        told = {symbol for (symbol,) in connection.execute("select distinct symbol from quality_checks").fetchall()}
    assert sorted(status.values()) != [True] * len(status)
    assert present == {symbol for symbol in ("BTCUSDT", "ETHUSDT") if status[symbol]}
    assert told >= {"BTCUSDT", "ETHUSDT"}
