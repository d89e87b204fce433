"""What is packed into the page comes out again, and the page is written whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from loaders.cli.group import cli
from loaders.delivery.page import figures, picture, reading, report
from loaders.delivery.page.packing import pack, unpack
from loaders.delivery.published import Published
from loaders.errors import NoBrowser, PathRefused, PublishedMissing, PublishedUnreadable, SymbolNotPublished
from loaders.settings import Settings
from tests.support import published


def test_columns_come_out_as_they_went_in() -> None:
    columns = {
        "minutes": np.array([29711520, 29711525, 29711600, -5, 2**31 - 1], "i4"),
        "nothing": np.array([], "i4"),
        "sides": np.array([0, 1, 255], "u1"),
        "leverages": np.array([5, 125, 65535], "u2"),
        "usd": np.array([1.5, np.nan, -0.0, 3e38], "f4"),
        "exact": np.array([0.1, np.nan, 1e300, 60247.7], "f8"),
    }
    found = unpack(pack(columns))
    assert list(found) == list(columns)
    for name, values in columns.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values, equal_nan=values.dtype.kind == "f")
    assert pack(columns) == pack(columns)
    with pytest.raises(TypeError, match="cannot read"):
        pack({"wide": np.array([1], "i8")})


def test_symbols_read_together_are_those_read_alone(marts: Path) -> None:
    with Published.open(marts) as file:
        together = reading.read(file).symbols
        assert len(together) > 1
        for one in together:
            (alone,) = reading.read(file, [one.symbol]).symbols
            assert (alone.symbol, alone.facts) == (one.symbol, one.facts)
            assert alone.columns.keys() == one.columns.keys()
            for name, values in one.columns.items():
                assert np.array_equal(alone.columns[name], values, equal_nan=values.dtype.kind == "f"), name


def test_the_levels_of_the_page_make_every_cell_of_the_mart(marts: Path) -> None:
    with Published.open(marts) as file:
        data = reading.read(file)
        assert [one.symbol for one in data.symbols] == list(published.SYMBOLS)
        assert data.missing == []
        for one in data.symbols:
            columns = one.columns
            cells: dict[tuple[int, int, float], float] = {}
            for level in range(len(columns["level_bin"])):
                side = int(columns["level_side"][level])
                price = float(columns["bin_price"][columns["level_bin"][level]])
                for step in range(columns["level_begin"][level], columns["level_end"][level]):
                    usd = columns["level_amount"][level] * columns[f"step_share_{reading.SIDES[side]}"][step]
                    key = (int(columns["step_minute"][step]), side, price)
                    cells[key] = cells.get(key, 0) + float(usd)
            expected = {
                (row["minute"], row["side"], row["price"]): row["usd"]
                for row in file.rows(
                    """
                    select
                        epoch_ms(bucket_at) // 60000 as minute, cast(side = 'short' as integer) as side,
                        price_bin::double as price, volume_usd::double as usd
                    from liquidation_heatmap where symbol = $1
                    """,
                    [one.symbol],
                )
            }
            assert cells == {key: pytest.approx(usd, rel=1e-6) for key, usd in expected.items()}


@pytest.mark.parametrize(
    ("prices", "widths"),
    [
        pytest.param([60_000, 50_000, 49_980, 1_000], [50, 50, 20, 1], id="dear"),
        pytest.param([0.01113, 0.00999, 0.00001], [0.00001, 0.000005, 0.00000001], id="cheap"),
    ],
)
def test_a_bin_is_as_wide_as_a_thousandth_of_its_price_at_most(prices: list[float], widths: list[float]) -> None:
    found = reading._ruled(np.array([round(price * 1e8) for price in prices], "i8"))
    assert [width / 1e8 for width in found.tolist()] == widths


def test_the_page_holds_all_and_names_nobody(marts: Path, tmp_path: Path) -> None:
    written = report.write(Settings(), marts, tmp_path / "folder" / "report.html")
    text = written.path.read_text()
    assert written.size_bytes == len(text.encode())
    assert [path.name for path in written.path.parent.iterdir()] == ["report.html"]
    # The library's own program aside, which names its documentation: no address to load anything from.
    own = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*", own) == []
    assert "default-src 'none'" in text
    meta = json.loads(text.split('id="page-meta">')[1].split("</script>")[0])
    assert list(meta["symbols"]) == list(published.SYMBOLS)
    # The same publication gives the same page, in a process that has made one before, too.
    assert figures.document()["roots"].keys() != figures.document()["roots"].keys()
    one = report.write(Settings(), marts, tmp_path / "one.html", ["ETHUSDT"])
    assert one.symbols == ["ETHUSDT"]
    assert one.size_bytes < written.size_bytes


def test_what_the_file_lacks_is_said(marts: Path, tmp_path: Path) -> None:
    import duckdb

    poor = tmp_path / "poor.duckdb"
    with duckdb.connect(str(poor)) as connection:
        connection.execute(f"attach '{marts}' as whole (read_only)")
        for name in ("published", "klines_5m"):
            connection.execute(f"create table {name} as from whole.main.{name}")
    with Published.open(poor) as file:
        data = reading.read(file)
    assert [one.symbol for one in data.symbols] == list(published.SYMBOLS)
    assert len(data.missing) == 11
    assert report.html(data)
    with duckdb.connect(str(poor)) as connection:
        connection.execute("drop table klines_5m")
    with Published.open(poor) as file, pytest.raises(PublishedUnreadable, match="klines_5m"):
        reading.read(file)


def test_of_too_many_symbols_the_largest_are_taken(marts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SYMBOLS", 2)
    with Published.open(marts) as file:
        data = reading.read(file)
        assert [one.symbol for one in data.symbols] == ["BTCUSDT", "ETHUSDT"]
        assert data.left_out == ["DEMOUSDT", published.WITHOUT_INTEREST, published.TINY]
        assert [one.symbol for one in reading.read(file, [published.TINY]).symbols] == [published.TINY]
        with pytest.raises(SymbolNotPublished, match="NOBODY is not in the published file, which has BTCUSDT"):
            reading.read(file, ["NOBODY"])


def test_nothing_but_a_page_is_replaced_by_a_page(marts: Path, tmp_path: Path) -> None:
    other = tmp_path / "warehouse.duckdb"
    other.write_bytes(b"somebody's data")
    with pytest.raises(PathRefused, match="is no page"):
        report.write(Settings(), marts, other)
    assert other.read_bytes() == b"somebody's data"
    with pytest.raises(PublishedMissing):
        report.write(Settings(), tmp_path / "nothing.duckdb", tmp_path / "report.html")
    with pytest.raises(PublishedUnreadable):
        report.write(Settings(), other, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_picture_needs_a_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBrowser, match="none of chromium"):
        picture.browser()
    with pytest.raises(NoBrowser, match="is not a program"):
        picture.browser(tmp_path / "firefox")


def test_the_command_writes_the_page_beside_the_warehouse(marts: Path, tmp_path: Path) -> None:
    environment = {"LOADERS_PUBLISHED": str(marts), "LOADERS_WAREHOUSE": str(tmp_path / "warehouse.duckdb")}
    done = CliRunner(env=environment).invoke(cli, ["--json", "report", "--symbol", "ETHUSDT"], standalone_mode=False)
    assert done.exception is None, done.output
    answer = json.loads(done.output)
    assert (answer["report"], answer["symbols"]) == (str(tmp_path / "report.html"), ["ETHUSDT"])
    assert (tmp_path / "report.html").stat().st_size == answer["bytes"]
