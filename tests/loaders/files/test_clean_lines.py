"""Lines are judged by their shapes and counted where these are known, as a pattern on every line would judge them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.datasets import LAYOUTS, FileLayout
from loaders.files.inspection import _CleanLines, _line_without_digits, _Scan

TRADES = next(layout for layout in LAYOUTS.values() if layout.table == "binance_agg_trades")

#: Lines of trades without their digits: clean ones, some that begin others, and some that are not clean.
SHAPES = [
    b",.,.,,,,true",
    b",.,.,,,,false",
    b",,.,,,,true",
    b",.,.,,,,tru",
    b",.,.,,,,truetrue",
    b",.,.,,,,true,",
    b",.,.,,,,true,false",
    b",,,,,,",
    b"e",
    b"",
]


@given(st.lists(st.lists(st.sampled_from(SHAPES), max_size=6), max_size=6))
def test_counting_shapes_answers_what_a_pattern_on_every_line_does(chunks: list[list[bytes]]) -> None:
    lines = _CleanLines(_line_without_digits(TRADES))
    every = re.compile(rb"(?:" + lines.pattern.pattern + rb")*+")
    for chunk in chunks:
        text = b"".join(b"\n" + line for line in chunk)
        assert lines.are_all(text) == (every.fullmatch(text) is not None), (chunks, chunk)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
@given(st.data())
def test_it_does_not_matter_where_the_bytes_are_cut(layout: FileLayout, data: st.DataObject) -> None:
    # Shapes of which one begins the other, of every layout.
    alphabet = st.sampled_from([b"1", b"12.5", b"-3", b"true", b"", b"x", b"2024-01-01 00:00:00"])
    width = len(layout.columns)
    row = st.lists(alphabet, min_size=width, max_size=width + 1).map(b",".join)
    text = b"\n".join(data.draw(st.lists(row, min_size=1, max_size=5))) + b"\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text)), max_size=4)) | {0, len(text)})
    # The first chunk holds the first line: a header is looked for there.
    first = text.find(b"\n") + 1
    cuts = [0, *(cut for cut in cuts if cut >= first)]
    whole, parts = _Scan(layout), _Scan(layout)
    whole.take(text)
    whole.end()
    for start, end in pairwise(cuts):
        parts.take(text[start:end])
    parts.end()
    assert (parts.irregular, parts.newlines, parts.size) == (whole.irregular, whole.newlines, whole.size)


def test_a_line_that_is_unlike_the_others_is_found_among_thousands() -> None:
    lines = _CleanLines(_line_without_digits(TRADES))
    clean = b"".join(b"\n" + shape for shape in SHAPES[:3]) * 1000
    assert lines.are_all(clean)
    assert lines.are_all(clean + clean)
    # The two faults together are as long as a clean line.
    assert not lines.are_all(clean + b"\n,.,.,,,,tru" + clean + b"\n,.,.,,,,truee")
    assert lines.are_all(clean)
