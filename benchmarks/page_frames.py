"""How many frames a second a drawing library paints while somebody pans: 720 × 2,000 cells behind 8,640 candles.

    python benchmarks/page_frames.py             Bokeh, candles as they are, on canvas and on WebGL
    python benchmarks/page_frames.py FILE.html   a page that `loaders report` wrote, over all of its time range

Needs chromium and chromium-driver. A frame counts when the plot has been painted, not when the browser offered one.
The browser draws without a graphics card here, which is the worst case.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.models import LogColorMapper, Range1d
from bokeh.plotting import figure
from bokeh.resources import INLINE
from selenium import webdriver

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.browser import Browser

SECONDS = 5

# Pans to and fro by real range changes; each paint of the plot is one frame.
PAN = """
const done = arguments[arguments.length - 1], [seconds, mode] = [arguments[0], arguments[1]];
const view = window.plotToMeasure ? window.plotToMeasure() : Object.values(Bokeh.index.roots ?? Bokeh.index)[0];
const plot = view.model;
let paints = 0;
const name = ["_actual_paint", "paint_now", "paint"].find(one => typeof view[one] == "function");
const before = view[name];
view[name] = function (...given) { paints += 1; return before.apply(this, given); };
const x = plot.x_range, span = x.end - x.start, middle = (x.start + x.end) / 2, began = performance.now();
const first = [x.start, x.end];
function step() {
  const passed = (performance.now() - began) / 1000;
  if (passed > seconds) {
    view[name] = before;
    x.setv({start: first[0], end: first[1]});
    done({paints, passed, name});
    return;
  }
  const by = Math.sin(passed * 2) * span * (mode == "zoom" ? 0 : 0.2);
  const half = span / 2 * (mode == "zoom" ? 0.6 + 0.4 * Math.cos(passed * 2) : 1);
  x.setv({start: middle + by - half, end: middle + by + half});
  requestAnimationFrame(step);
}
requestAnimationFrame(step);
"""


def bokeh_page(backend: str, candles: int = 8640, steps: int = 720, rows: int = 2000) -> str:
    """A logarithmic image and every candle as a line and a box."""
    random = np.random.default_rng(1)
    times = 1.7e12 + np.arange(candles) * 300_000.0
    close = 60_000 * np.exp(np.cumsum(random.normal(0, 0.001, candles)))
    opened = np.concatenate([[60_000.0], close[:-1]])
    high, low = np.maximum(opened, close) * 1.0005, np.minimum(opened, close) * 0.9995
    amounts = np.exp(random.normal(12, 2, (rows, steps))).astype("float32")
    plot = figure(
        x_axis_type="datetime",
        width=1100,
        height=620,
        output_backend=backend,
        x_range=Range1d(times[0], times[-1]),
        y_range=Range1d(low.min(), high.max()),
        lod_threshold=None,
    )
    plot.image(
        image=[amounts],
        x=times[0],
        y=low.min(),
        dw=times[-1] - times[0],
        dh=high.max() - low.min(),
        color_mapper=LogColorMapper(palette="Viridis256", low=1e4, high=1e8),
    )
    plot.segment(times, low, times, high, color="black")
    plot.vbar(times, 240_000, np.minimum(opened, close), np.maximum(opened, close), color="steelblue")
    return str(file_html(plot, INLINE, "frames"))


def measure(driver: webdriver.Chrome, address: str, mode: str) -> dict[str, Any]:
    """Paints in some seconds of panning or zooming."""
    driver.get(address)
    driver.set_script_timeout(60)
    for _ in range(100):
        if driver.execute_script(
            "return document.readyState == 'complete' && window.Bokeh && (window.page?.ready ?? true)"
        ):
            break
    driver.execute_async_script("setTimeout(arguments[0], 1500)")
    found: dict[str, Any] = driver.execute_async_script(PAN, SECONDS, mode)
    return found


def main() -> None:
    """Prints one line for each page and movement."""
    with tempfile.TemporaryDirectory() as folder:
        pages = [Path(one) for one in sys.argv[1:]]
        for backend in () if pages else ("canvas", "webgl"):
            path = Path(folder) / f"bokeh {backend}.html"
            path.write_text(bokeh_page(backend), encoding="utf-8")
            pages.append(path)
        browser = Browser()
        try:
            for path in pages:
                for mode in ("pan", "zoom"):
                    found = measure(browser.driver, path.absolute().as_uri(), mode)
                    print(f"{path.stem:16} {mode:5} {found['paints'] / found['passed']:6.1f} frames a second  {found}")
        finally:
            browser.close()


if __name__ == "__main__":
    main()
