"""What the time label of a snapshot means is measured file by file, and makes no difference to sides and changes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support import archive, commands
from tests.support.warehouse import Warehouse

DAYS = ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"]
SIDES = """
    select open_time, oi_delta, position_event from marts.candles_with_side
    where open_time >= '2024-03-01 00:05' and open_time < '2024-03-04 23:55' order by open_time
"""
LABELS = (
    "select strftime(period_start, '%m-%d'), label, decided_by from intermediate.int_metrics_snapshot_labels order by 1"
)
#: The sides of candles and what labels decide below them.
ONLY_SIDES = ("--select", "+candles_with_side", "+open_interest_5m")


#: snapshot_label_least_votes and snapshot_label_least_move.
LEAST_VOTES = 12
LEAST_MOVE = Decimal("0.001")


def has_moved(of: str, minute: int) -> bool:
    """Whether the candle that opens then votes."""
    opened = archive.day(of) + timedelta(minutes=minute)
    first, last = (archive.price_at("AAAUSDT", time) for time in (opened, opened + timedelta(minutes=5)))
    return abs(last - first) >= first * LEAST_MOVE


def trades_at_both_ends(data: Path, of: str, begin: int, end: int, number: int) -> int:
    """Trades at the open and the close of each candle between two minutes of a day; returns the next number."""
    lines = [archive.TRADES]
    for minute in range(begin, end, 5):
        opened = archive.day(of) + timedelta(minutes=minute)
        closed = opened + timedelta(minutes=5)
        for time, at_price_of in ((opened, opened), (closed - timedelta(seconds=1), closed)):
            price = archive.price_at("AAAUSDT", at_price_of)
            lines.append(f"{number},{price},1.0,{2 * number},{2 * number + 1},{archive.milliseconds(time)},true")
            number += 1
    archive.write(data / f"data/futures/um/daily/aggTrades/AAAUSDT/AAAUSDT-aggTrades-{of}.csv", lines)
    return number


def days_of_candles(data: Path) -> None:
    for of in DAYS:
        archive.klines(data, "AAAUSDT", of)


def forget(warehouse: Warehouse, file: Path) -> None:
    """Takes a file away, out of the warehouse, too, and builds."""
    file.unlink()
    assert commands.run(warehouse, "forget", "--file", str(file))[0] == 0
    warehouse.build_untested(*ONLY_SIDES)


def assert_as_built_anew(warehouse: Warehouse) -> None:
    """What was rebuilt by change is what a build of everything gives."""
    rebuilt = warehouse.marts()
    warehouse.build_untested(*ONLY_SIDES, "--full-refresh")
    assert warehouse.marts() == rebuilt


def test_files_of_both_kinds_and_the_change_between_them_give_the_same_sides(warehouse: Warehouse) -> None:
    days_of_candles(warehouse.data)
    for of in DAYS:
        archive.metrics(warehouse.data, "AAAUSDT", of)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)

    mixed = Warehouse(warehouse.folder / "mixed")
    days_of_candles(mixed.data)
    # From the third day on the labels are instants: the snapshot of its first midnight stands in both kinds of files.
    for of, label_minutes in zip(DAYS, (5, 5, 0, 0), strict=True):
        archive.metrics(mixed.data, "AAAUSDT", of, label_minutes=label_minutes)
    mixed.load()
    mixed.build(*ONLY_SIDES)

    assert mixed.query(LABELS) == [
        ("03-01", "start", "measured"),
        ("03-02", "start", "measured"),
        ("03-03", "instant", "measured"),
        ("03-04", "instant", "measured"),
    ]
    sides = mixed.query(SIDES)
    assert len(sides) == 4 * 288 - 2
    assert all(event is not None for _, _, event in sides)
    assert sides == warehouse.query(SIDES)


def test_a_change_from_instants_to_starts_leaves_out_one_snapshot_and_doubles_none(warehouse: Warehouse) -> None:
    days_of_candles(warehouse.data)
    for of, label_minutes in zip(DAYS, (0, 0, 5, 5), strict=True):
        archive.metrics(warehouse.data, "AAAUSDT", of, label_minutes=label_minutes)
    warehouse.load()
    warehouse.build(*ONLY_SIDES)
    unknown = [time for time, _, event in warehouse.query(SIDES) if event is None]
    # 00:00 of the third day is in no file: the changes before and after it are unknown.
    assert [str(time) for time in unknown] == ["2024-03-02 23:55:00", "2024-03-03 00:00:00"]


def test_a_file_without_candles_takes_the_label_of_its_nearest_measured_neighbour(warehouse: Warehouse) -> None:
    archive.klines(warehouse.data, "AAAUSDT", DAYS[3])
    for of in DAYS:
        archive.metrics(warehouse.data, "AAAUSDT", of, label_minutes=5)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert {label for _, label, _ in warehouse.query(LABELS)} == {"start"}

    # Late candles measure the second day; what was built by the neighbour's label stays what a full build gives.
    archive.klines(warehouse.data, "AAAUSDT", DAYS[1])
    archive.metrics(warehouse.data, "AAAUSDT", DAYS[3], label_minutes=0)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert warehouse.query(LABELS) == [
        ("03-01", "start", "nearest measured file"),
        ("03-02", "start", "measured"),
        ("03-03", "start", "nearest measured file"),
        ("03-04", "instant", "measured"),
    ]
    assert_as_built_anew(warehouse)


def test_late_candles_that_turn_the_label_of_earlier_snapshots_reach_back_to_them(warehouse: Warehouse) -> None:
    for of in DAYS:
        archive.metrics(warehouse.data, "AAAUSDT", of, label_minutes=5)
    archive.klines(warehouse.data, "AAAUSDT", DAYS[0], keep=lambda time: time.hour == 0 and time.minute < 30)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert {decided_by for *_, decided_by in warehouse.query(LABELS)} == {"assumed"}

    archive.klines(warehouse.data, "AAAUSDT", DAYS[2])
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert {label for _, label, _ in warehouse.query(LABELS)} == {"start"}
    assert_as_built_anew(warehouse)


def test_a_forgotten_file_reaches_back_over_days_without_one_to_those_that_hung_on_it(warehouse: Warehouse) -> None:
    archive.klines(warehouse.data, "AAAUSDT", "2024-02-20")
    archive.metrics(warehouse.data, "AAAUSDT", "2024-02-20")
    archive.klines(warehouse.data, "AAAUSDT", DAYS[0], keep=lambda time: time.hour == 0 and time.minute < 30)
    archive.metrics(warehouse.data, "AAAUSDT", DAYS[0])
    archive.klines(warehouse.data, "AAAUSDT", DAYS[3])
    gone = archive.metrics(warehouse.data, "AAAUSDT", DAYS[3], label_minutes=5)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert warehouse.query(LABELS)[1] == ("03-01", "start", "nearest measured file")

    forget(warehouse, gone)
    assert warehouse.query(LABELS)[1] == ("03-01", "instant", "nearest measured file")
    assert_as_built_anew(warehouse)


@pytest.mark.parametrize("begins_at", [0, 12 * 60], ids=["at midnight", "at noon"])
def test_missing_trades_that_take_a_vote_from_the_day_before_turn_its_label(
    warehouse: Warehouse, begins_at: int
) -> None:
    """Trades of the next day show a gap after the last candle, without which the day before has too few votes."""
    begin, votes = 24 * 60, 0
    while votes < LEAST_VOTES:
        begin -= 5
        votes += has_moved(DAYS[0], begin)
    assert has_moved(DAYS[0], 24 * 60 - 5)
    archive.metrics(warehouse.data, "AAAUSDT", DAYS[0], label_minutes=5)
    # A candle before the first: without one it is not known to be whole.
    last = trades_at_both_ends(warehouse.data, DAYS[0], begin - 5, 24 * 60, 1000)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert warehouse.query(LABELS) == [("03-01", "start", "measured")]

    trades_at_both_ends(warehouse.data, DAYS[1], begins_at, begins_at + 10, last + 7)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert warehouse.query(LABELS) == [("03-01", "instant", "assumed")]
    assert_as_built_anew(warehouse)


def test_a_label_that_turns_changes_the_candle_before_a_first_snapshot_that_is_late(warehouse: Warehouse) -> None:
    for of in (DAYS[0], DAYS[2]):
        archive.klines(warehouse.data, "AAAUSDT", of)
    archive.klines(warehouse.data, "AAAUSDT", DAYS[1], keep=lambda time: time.hour == 0 and time.minute < 30)
    archive.metrics(warehouse.data, "AAAUSDT", DAYS[0])
    # Two seconds are what makes the day after it the nearer one.
    archive.metrics(
        warehouse.data, "AAAUSDT", DAYS[1], late=lambda time: 2 if (time.hour, time.minute) == (0, 0) else 0
    )
    gone = archive.metrics(warehouse.data, "AAAUSDT", DAYS[2], label_minutes=5)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert warehouse.query(LABELS)[1] == ("03-02", "start", "nearest measured file")

    forget(warehouse, gone)
    assert warehouse.query(LABELS)[1] == ("03-02", "instant", "nearest measured file")
    assert_as_built_anew(warehouse)


def test_a_day_more_reaches_back_to_the_last_candle_of_the_day_before(warehouse: Warehouse) -> None:
    for of in DAYS[:2]:
        archive.klines(warehouse.data, "AAAUSDT", of)
        archive.metrics(warehouse.data, "AAAUSDT", of)
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)

    archive.klines(warehouse.data, "AAAUSDT", DAYS[2])
    archive.metrics(warehouse.data, "AAAUSDT", DAYS[2])
    warehouse.load()
    warehouse.build_untested(*ONLY_SIDES)
    assert warehouse.query(
        "select distinct rebuild_from::varchar from state.rebuild_plan where rebuild_from > '2000-01-01'"
    ) == [("2024-03-02 23:55:00",)]
    assert_as_built_anew(warehouse)
