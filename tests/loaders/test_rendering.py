"""Sizes and lengths of time as people read them, lines that fit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from loaders import rendering


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_951, "100 kB"),
        (999_600, "1.0 MB"),
        (11_284_480, "11.3 MB"),
        (2_100_000_000, "2.1 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes_for_people(count: int, shown: str) -> None:
    assert rendering.size(count) == shown


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (timedelta(minutes=5), "5 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=24), "24 h"),
        (timedelta(hours=47, minutes=59), "47 h"),
        (timedelta(days=153, hours=3), "153 days"),
    ],
)
def test_lengths_of_time_for_people(time: timedelta, shown: str) -> None:
    assert rendering.length(time) == shown


def test_a_table_folds_its_first_column_and_keeps_paths_and_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = rendering.table(("name", "rows"), [("/data/[b]/" + "x" * 80, "1,000")], right=("rows",))
    assert max(map(len, shown.splitlines())) <= 60
    assert "".join(line.split()[0] for line in shown.splitlines()[1:]) == "/data/[b]/" + "x" * 80
    assert rendering.wrapped("see " + "/a" * 60, "  ", "").splitlines() == ["see", "  " + "/a" * 60]
