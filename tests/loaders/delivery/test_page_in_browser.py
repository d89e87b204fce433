"""The page in a real browser: nothing is asked of anybody, and what it shows are the numbers of the marts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders.delivery.page import report
from loaders.settings import Settings
from tests.support import published
from tests.support.browser import CHROMIUM, DRIVER, Browser

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no browser: install chromium and chromium-driver"
)

Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all of these tests."""
    one = Browser()
    yield one
    one.close()


@pytest.fixture(scope="module")
def page(marts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about all symbols."""
    target = tmp_path_factory.mktemp("page") / "report.html"
    return report.write(Settings(), marts, target).path


@pytest.fixture(scope="module")
def query(marts: Path) -> Iterator[Query]:
    """Rows of the published file."""
    with duckdb.connect(str(marts), read_only=True) as connection:
        yield lambda sql: connection.execute(sql).fetchall()


def close_to(expected: float) -> Any:
    """The page keeps what levels hold in seven digits."""
    return pytest.approx(expected, rel=1e-6)


def source(browser: Browser, name: str) -> dict[str, list[float]]:
    """The numbers that a plot draws."""
    found: dict[str, list[float]] = browser.run(
        "const data = page.models()[arguments[0]].data;"
        "return Object.fromEntries(Object.entries(data).map(([key, values]) => [key, Array.from(values)]))",
        name,
    )
    return found


def bars(browser: Browser) -> dict[float, float]:
    """USD of the map's bars by lower edge."""
    found: dict[float, float] = {}
    for number in range(8):
        data = source(browser, f"bars {number}")
        for bottom, left, right in zip(data["bottom"], data["left"], data["right"], strict=True):
            found[bottom] = found.get(bottom, 0) + right - left
    return found


def test_it_asks_nobody_and_complains_about_nothing(browser: Browser, page: Path) -> None:
    for symbol in published.SYMBOLS:
        browser.open(page, symbol=symbol)
        browser.run("document.getElementById('tab-data').click()")
        browser.wait("document.querySelector('#calendar rect')")
        assert browser.errors() == []
        assert browser.requests() == [f"{page.as_uri()}"]


def test_the_selector_changes_every_plot(browser: Browser, page: Path) -> None:
    names = ["rising", "falling", "heat", "interest values", "opened", "closed", "bars 2", "cumulative long", "swept"]
    fingerprint = (
        "return arguments[0].map(name => { const data = page.models()[name].data;"
        " return JSON.stringify(Object.values(data).map(one => one.length + ' ' + (one[0]?.shape ?? one[0]))) })"
    )
    browser.open(page, symbol="BTCUSDT")
    before = browser.run(fingerprint, names)
    browser.run(
        "const select = document.getElementById('symbol'); select.value = 'DEMOUSDT';"
        "select.dispatchEvent(new Event('change'))"
    )
    browser.wait("page.shown()?.facts.symbol == 'DEMOUSDT' && page.heat()")
    after = browser.run(fingerprint, names)
    assert [name for name, one, other in zip(names, before, after, strict=True) if one == other] == []
    assert "DEMOUSDT" in browser.run("return page.models().price.title.text")
    assert browser.errors() == []


@pytest.mark.parametrize("symbol", ["BTCUSDT", published.WITH_GAP, published.TINY])
def test_the_bars_sum_up_to_the_map(browser: Browser, page: Path, query: Query, symbol: str) -> None:
    browser.open(page, symbol=symbol)
    expected = query(
        f"select price_bin::double, sum(volume_usd)::double from liquidation_map where symbol = '{symbol}' group by 1"
    )
    drawn = bars(browser)
    assert set(drawn) == {price for price, _ in expected}
    assert {price: pytest.approx(usd, rel=1e-9) for price, usd in expected} == drawn
    # The curves end at the sum of each side.
    for side, total in query(
        f"select side, max(cumulative_volume_usd)::double from liquidation_map where symbol = '{symbol}' group by side"
    ):
        assert source(browser, f"cumulative {side}")["usd"][-1] == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("symbol", ["BTCUSDT", published.WITH_GAP, published.TINY])
def test_every_cell_of_the_heatmap_is_the_marts(browser: Browser, page: Path, query: Query, symbol: str) -> None:
    browser.open(page, symbol=symbol)
    cells = query(
        f"""
        select epoch_ms(bucket_at) // 60000, price_bin::double, side, volume_usd::double
        from liquidation_heatmap where symbol = '{symbol}' and volume_usd > 0
        order by hash(bucket_at, side, price_bin) limit 2000
        """
    )
    found = browser.run(
        "return arguments[0].map(([minute, price, side]) => page.levelsAt(minute + 1, price * (1 + 1e-9))"
        ".find(one => one.side == side && Math.abs(one.from - price) < price * 1e-9)?.usd ?? null)",
        [cell[:3] for cell in cells],
    )
    assert [close_to(cell[3]) for cell in cells] == found


def test_hovering_tells_price_side_usd_and_since_when(browser: Browser, page: Path, query: Query) -> None:
    browser.open(page, symbol="BTCUSDT", range="7")
    # A cell that one level alone makes, so that "since" has one answer.
    ((minute, price, side, usd, opened_at),) = query(
        """
        select epoch_ms(cells.bucket_at) // 60000, cells.price_bin::double, cells.side, cells.volume_usd::double,
            strftime(levels.opened_at, '%m-%d %H:%M')
        from liquidation_heatmap as cells
        inner join liquidation_levels as levels
            on
                cells.symbol = levels.symbol and cells.side = levels.side and cells.price_bin = levels.price_bin
                and levels.opened_at <= cells.bucket_at + interval '1 hour'
                and coalesce(levels.liquidated_at, levels.closed_at, timestamp '9999-12-31')
                    > cells.bucket_at + interval '1 hour'
        where cells.symbol = 'BTCUSDT' and cells.bucket_at between '2026-06-27 06:00' and '2026-06-28 12:00'
            and cells.price_bin between 59000 and 61500
        qualify count(*) over (partition by cells.bucket_at, cells.side, cells.price_bin) = 1
        order by cells.volume_usd desc limit 1
        """
    )
    browser.run("for (const name of ['swept', 'recorded']) document.getElementById('show-' + name).click()")
    x, y = browser.run(
        "const view = page.views().price;"
        "return [view.frame.x_scale.compute(arguments[0]), view.frame.y_scale.compute(arguments[1])]",
        (minute + 37) * 60_000,
        price + 25,
    )
    said = browser.point("plot-price", x, y)
    shown = browser.run("return page.texts.usdText(arguments[0])", usd)
    assert f"{price:.0f} to {price + 50:.0f}: {side}s, {shown}" in said
    assert f"since {opened_at}" in said
    step = browser.run("return page.shown().drawn.step")
    ((opened, high, low, closed),) = query(
        f"""
        select min_by(open, open_time), max(high), min(low), max_by(close, open_time) from klines_5m
        where symbol = 'BTCUSDT'
            and epoch_ms(open_time) // 60000 // {step} = {minute + 37} // {step}
        """
    )
    assert f"O {opened:.1f}  H {high:.1f}  L {low:.1f}  C {closed:.1f}" in said


def test_the_map_and_open_interest_answer_the_pointer(browser: Browser, page: Path, query: Query) -> None:
    browser.open(page, symbol="BTCUSDT", range="1")
    ((price, side, usd),) = query(
        "select price_bin::double, side, sum(volume_usd)::double from liquidation_map where symbol = 'BTCUSDT'"
        " and price_bin between 59000 and 61500 group by all order by 3 desc limit 1"
    )
    y = browser.run("return page.views().map.frame.y_scale.compute(arguments[0])", price + 25)
    said = browser.point("plot-map", 60, y)
    assert f"{side}s, {browser.run('return page.texts.usdText(arguments[0])', usd)}" in said
    ((minute, interest, usd),) = query(
        "select epoch_ms(open_time) // 60000, open_interest::double, oi_delta_usd::double from candles_with_side"
        " inner join open_interest_5m on open_interest_5m.symbol = candles_with_side.symbol and snapshot_at = open_time"
        " where candles_with_side.symbol = 'BTCUSDT' and open_time = '2026-06-28 12:00'"
    )
    browser.run("page.models().times.setv({start: arguments[0], end: arguments[1]})",
                (minute - 120) * 60_000, (minute + 120) * 60_000)  # fmt: skip
    browser.wait("page.shown().drawn.step == 5")
    x = browser.run("return page.views().interest.frame.x_scale.compute(arguments[0])", (minute + 2) * 60_000)
    said = browser.point("plot-interest", x, 40)
    assert browser.run("return page.texts.amountText(arguments[0])", interest) + " contracts at 12:00" in said
    assert "change " + browser.run("return page.texts.usdText(arguments[0])", usd) in said


def test_leverages_and_sides_are_left_out_of_heatmap_and_map(browser: Browser, page: Path, query: Query) -> None:
    browser.open(page, symbol="BTCUSDT")
    browser.run("document.querySelector('[name=leverage][value=\"25\"]').click()")
    browser.run("document.querySelector('[name=side][value=short]').click()")
    ((usd,),) = query(
        "select sum(volume_usd)::double from liquidation_map"
        " where symbol = 'BTCUSDT' and leverage != 25 and side = 'long'"
    )
    assert sum(bars(browser).values()) == pytest.approx(usd, rel=1e-9)
    assert source(browser, "cumulative short")["usd"] == []
    # What stands at the last step of the heatmap is the map, of what is chosen, too.
    found = browser.run(
        "const data = page.shown(), last = data.facts.as_of - 1;"
        "return Array.from(data.bin_price, price => page.levelsAt(last, price * (1 + 1e-9)))"
        ".flat().reduce((sum, one) => sum + one.usd, 0)"
    )
    assert found == close_to(usd)
    browser.run("document.querySelectorAll('[name=leverage]').forEach(one => { if (one.checked) one.click(); })")
    assert bars(browser) == {}
    assert browser.errors() == []


def test_the_cutoff_hides_what_is_small(browser: Browser, page: Path) -> None:
    browser.open(page, symbol="BTCUSDT")
    browser.run(
        "const one = document.getElementById('cutoff-usd'); one.value = 2000000; one.dispatchEvent(new Event('input'))"
    )
    assert browser.run("return page.models().colours.low") == 2_000_000
    position = browser.run("return Number(document.getElementById('cutoff').value)")
    browser.run(
        "const one = document.getElementById('cutoff');one.value = arguments[0]; one.dispatchEvent(new Event('input'))",
        position - 25,
    )
    # A quarter of the slider is a factor of ten.
    assert browser.run("return page.state.cutoff") == pytest.approx(200_000, rel=0.06)
    assert float(browser.run("return document.getElementById('cutoff-usd').value")) == pytest.approx(2e5, rel=0.06)


def test_time_ranges_keys_and_buttons_move_the_view(browser: Browser, page: Path) -> None:
    browser.open(page, symbol="BTCUSDT", range="1")
    span = "const {start, end} = page.models().times; return [start, end]"
    start, end = browser.run(span)
    assert (end - start) / 86_400_000 == pytest.approx(1, abs=0.05)
    browser.run("document.querySelector('[name=range][value=all]').click()")
    first, last = browser.run(span)
    assert (last - first) / 86_400_000 == pytest.approx(3, abs=0.1)
    assert len(source(browser, "rising")["time"]) + len(source(browser, "falling")["time"]) > 100
    plots = browser.driver.find_element("id", "plots")
    plots.send_keys("+")
    closer = browser.run(span)
    assert closer[1] - closer[0] == pytest.approx(0.8 * (last - first))
    plots.send_keys("\ue012")  # left arrow
    assert browser.run(span)[0] < closer[0]
    browser.run("document.getElementById('reset').click()")
    assert browser.run(span) == [first, last]


def test_a_coin_that_costs_almost_nothing_has_all_its_digits(browser: Browser, page: Path, query: Query) -> None:
    browser.open(page, symbol=published.TINY)
    ((price,),) = query(f"select any_value(last_price) from liquidation_map where symbol = '{published.TINY}'")
    assert browser.run("return document.getElementById('fact-price').textContent") == f"{price} USDT"
    ticks = browser.run("return page.models().price.right[0].formatter.doFormat([0.000011, 0.0000115])")
    assert ticks == ["0.0000110", "0.0000115"]
    assert browser.errors() == []


def test_a_symbol_without_open_interest_says_so(browser: Browser, page: Path) -> None:
    browser.open(page, symbol=published.WITHOUT_INTEREST)
    assert browser.run("return document.getElementById('fact-explained').textContent") == "no open interest landed"
    assert "No level stands" in browser.run("return document.getElementById('note').textContent")
    assert len(source(browser, "rising")["time"]) > 50
    assert bars(browser) == {}
    assert browser.errors() == []


def test_a_day_without_candles_is_marked(browser: Browser, page: Path) -> None:
    browser.open(page, symbol=published.WITH_GAP)
    strips = source(browser, "gaps")
    day = 1_782_518_400_000  # 2026-06-27
    assert strips == {"left": [day], "right": [day + 86_400_000]}


def test_verdict_and_open_interest_are_told(browser: Browser, page: Path, query: Query) -> None:
    browser.open(page, symbol="BTCUSDT")
    ((long_share,),) = query(
        """
        select sum(quantity) / (
            select max_by(open_interest, snapshot_at) from open_interest_5m where symbol = 'BTCUSDT'
        )
        from liquidation_map where symbol = 'BTCUSDT' and side = 'long'
        """
    )
    assert f"longs {long_share * 100:.1f} %" in browser.run(
        "return document.getElementById('fact-explained').textContent"
    )
    verdict = browser.run("return document.getElementById('fact-verdict').textContent")
    judged = query(
        "select side, ratio::double from liquidation_crossings"
        " where symbol = 'BTCUSDT' and provider = 'net' and stratum = 'all moves' and ratio is not null order by side"
    )
    assert judged
    for side, ratio in judged:
        assert f"{side}s: candles that cross levels saw {float(f'{ratio:.3g}'):g} ×" in verdict
    assert len(source(browser, "recorded")["time"]) == 12


def test_the_data_page_lists_gaps_checks_jobs_and_days(browser: Browser, page: Path, query: Query) -> None:
    browser.open(page, page="data")
    browser.wait("document.querySelector('#calendar rect')")
    counts = {
        "gaps": query("select count(*) from data_gaps")[0][0],
        "checks": query("select count(*) from quality_checks")[0][0],
        "jobs": query("select count(*) from ops.ingestion_jobs")[0][0],
    }
    rows = "return document.querySelectorAll(`#${arguments[0]} tbody tr`).length"
    assert {name: browser.run(rows, name) for name in counts} == counts
    squares = query("select count(*) from (select distinct dataset, market, interval, day from data_completeness)")
    assert browser.run("return document.querySelectorAll('#calendar rect').length") == squares[0][0]
    ((file,),) = query(
        f"select suggested_file from data_gaps where symbol = '{published.WITH_GAP}' and dataset = 'klines'"
    )
    assert file in browser.run("return document.getElementById('gaps').textContent")


@pytest.mark.parametrize("width", [1440, 390])
def test_it_fits_the_screen_in_both_colours_and_every_control_has_a_name(
    browser: Browser, page: Path, width: int
) -> None:
    browser.resize(width, 900)
    try:
        backgrounds = set()
        for theme in ("light", "dark"):
            browser.open(page, symbol="BTCUSDT", theme=theme)
            assert browser.run("return document.documentElement.scrollWidth") <= width
            backgrounds.add(browser.run("return getComputedStyle(document.body).backgroundColor"))
        assert len(backgrounds) == 2
        nameless = browser.run(
            "return [...document.querySelectorAll('button, select, input')].filter(one =>"
            " !(one.getAttribute('aria-label') || one.textContent.trim() || one.closest('label')))"
            ".map(one => one.outerHTML)"
        )
        assert nameless == []
    finally:
        browser.resize(1440, 1000)


def test_on_paper_the_plots_are_whole_and_back_on_the_screen_as_before(browser: Browser, page: Path) -> None:
    """What is painted keeps its size in its own pixels; a page of A4 has 718 of the paper's."""
    sizes = "return [...document.querySelectorAll('#plots > div')].map(one => [one.offsetWidth, one.offsetHeight])"
    browser.open(page, symbol="BTCUSDT")
    on_screen = browser.run(sizes)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.resize(718, 1000)
    try:
        assert browser.run(sizes) == on_screen
        assert browser.run("return document.getElementById('plots').getBoundingClientRect().right") < 718
        assert browser.run("return document.documentElement.scrollWidth") <= 718
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        browser.resize(1440, 1000)
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("return document.getElementById('plots').style.cssText") == ""
    assert browser.run(sizes) == on_screen


def test_a_page_of_one_symbol_and_one_of_none(browser: Browser, marts: Path, tmp_path: Path) -> None:
    one = report.write(Settings(), marts, tmp_path / "one.html", ["ETHUSDT"]).path
    browser.open(one)
    assert browser.run("return [...document.getElementById('symbol').options].map(one => one.value)") == ["ETHUSDT"]
    empty = published.copy_marts(marts.with_name("warehouse.duckdb"), tmp_path / "empty.duckdb", symbols=("NOBODY",))
    browser.open(report.write(Settings(), empty, tmp_path / "none.html").path)
    assert "No symbol has" in browser.run("return document.getElementById('nothing').textContent")
    browser.run("document.getElementById('tab-data').click()")
    assert browser.run("return document.getElementById('page-data').hidden") is False
    assert browser.errors() == []


def test_a_picture_of_it_is_taken(marts: Path, tmp_path: Path) -> None:
    settings = Settings()
    written = report.write(settings, marts, tmp_path / "report.html", ["BTCUSDT"])
    pictured = report.with_picture(settings, written, tmp_path / "report.png", ["BTCUSDT"])
    assert pictured.picture is not None
    content = pictured.picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(content[16:20]) == 1440
    assert len(content) > 30_000
