"""The plots of the page as Bokeh models without numbers: `page.js` fills their sources and colours.

Four plots: candles with the heatmap behind them, the map on the same price axis, open interest and its change on the
same time axis. Whatever the page works with has a name.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    CrosshairTool,
    DatetimeTickFormatter,
    LinearAxis,
    LogColorMapper,
    LogTicker,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    Span,
    WheelZoomTool,
)
from bokeh.palettes import Inferno256
from bokeh.plotting import figure

#: Element of the page → name of the plot that is drawn in it.
PLACES = {"plot-price": "price", "plot-map": "map", "plot-interest": "interest", "plot-change": "change"}

#: Greatest number of leverages that the map tells apart by colour.
LEVERAGES = 8

# Every axis and title keeps to these, so that plots beside and below each other line up.
_TOP, _BOTTOM, _LEFT, _RIGHT = 72, 28, 8, 72


# A model belongs to one document, so every plot has its own.
def _usd() -> NumeralTickFormatter:
    return NumeralTickFormatter(format="0.[00]a")


def _times() -> DatetimeTickFormatter:
    return DatetimeTickFormatter(
        minutes="%H:%M", hourmin="%H:%M", hours="%d %b %H:%M", days="%d %b", months="%b %Y", years="%Y"
    )


def document() -> dict[str, Any]:
    """The plots as one Bokeh document: `json` for BokehJS, `roots` says which model belongs into which element."""
    prices, times = Range1d(0, 1, name="prices"), Range1d(0, 1, name="times")
    across, up = Span(dimension="height", name="cursor time"), Span(dimension="width", name="cursor price")
    plots = {
        "price": _price(times, prices, across, up),
        "map": _map(prices, up),
        "interest": _interest(times, across),
        "change": _change(times, across),
    }
    holder = Document()
    for plot in plots.values():
        holder.add_root(plot)
    return {
        "json": json.loads(serialize_json(holder.to_json(deferred=False))),
        "roots": {plots[name].id: place for place, name in PLACES.items()},
        "leverages": LEVERAGES,
    }


def _plot(name: str, title: str, **more: Any) -> figure:
    plot = figure(
        name=name,
        tools=[],
        toolbar_location=None,
        sizing_mode="stretch_both",
        min_border_left=_LEFT,
        min_border_right=_RIGHT,
        # Level of detail is the page's own: it merges candles instead of leaving some out.
        lod_threshold=None,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_width=0.5,
        **more,
    )
    plot.title.text = title
    plot.title.text_font_size = "12px"
    plot.title.text_font_style = "normal"
    for axis in plot.axis:
        axis.axis_line_width = 0.5
        axis.major_label_text_font_size = "11px"
        axis.axis_label_text_font_size = "11px"
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    plot.grid.grid_line_alpha = 0.35
    return plot


def _timed(plot: figure, across: Span, up: Span | None = None) -> figure:
    pan, zoom = PanTool(dimensions="width"), WheelZoomTool(dimensions="width", maintain_focus=False)
    if up is not None:
        pan = PanTool()
    plot.add_tools(pan, zoom, CrosshairTool(overlay=across if up is None else (up, across)))
    plot.toolbar.active_drag = pan
    plot.toolbar.active_scroll = zoom
    plot.xaxis.formatter = _times()
    return plot


def _price(times: Range1d, prices: Range1d, across: Span, up: Span) -> figure:
    plot = _plot(
        "price",
        "Price (USDT) and USD of position notional that stands to be liquidated",
        x_axis_type="datetime",
        y_axis_location="right",
        x_range=times,
        y_range=prices,
        min_border_top=_TOP,
        min_border_bottom=_BOTTOM,
    )
    mapper = LogColorMapper(
        palette=Inferno256, low=1, high=10, low_color="#00000000", nan_color="#00000000", name="colours"
    )
    heat = ColumnDataSource(
        {"image": [np.zeros((1, 1), "float32")], "x": [0.0], "y": [0.0], "dw": [1.0], "dh": [1.0]}, name="heat"
    )
    plot.image(
        image="image", x="x", y="y", dw="dw", dh="dh", source=heat, color_mapper=mapper, level="image", name="heatmap"
    )
    bar = ColorBar(
        color_mapper=mapper,
        ticker=LogTicker(desired_num_ticks=6),
        formatter=_usd(),
        height=8,
        width="auto",
        padding=2,
        margin=0,
        bar_line_color=None,
        background_fill_alpha=0,
        major_label_text_font_size="11px",
        name="colour bar",
    )
    plot.add_layout(bar, "above")
    gaps = ColumnDataSource({"left": [], "right": []}, name="gaps")
    plot.vstrip(x0="left", x1="right", source=gaps, fill_alpha=0.12, line_color=None, hatch_alpha=0.25,
                hatch_pattern="/", name="gap strips")  # fmt: skip
    candles: dict[str, list[float]] = {"time": [], "open": [], "close": [], "high": [], "low": [], "width": []}
    for name in ("rising", "falling"):
        source = ColumnDataSource(dict(candles), name=name)
        plot.segment("time", "low", "time", "high", source=source, line_width=1, name=f"{name} wicks")
        plot.vbar("time", "width", "close", "open", source=source, line_width=0.7, name=f"{name} bodies")
    marks: dict[str, list[float]] = {"time": [], "price": [], "size": []}
    plot.scatter("time", "price", size="size", source=ColumnDataSource(dict(marks), name="swept"), marker="x",
                 line_width=1.4, name="swept marks")  # fmt: skip
    plot.scatter("time", "price", size="size", source=ColumnDataSource(dict(marks), name="recorded"), marker="diamond",
                 line_width=1, fill_alpha=0.75, name="recorded marks")  # fmt: skip
    plot.add_layout(Span(dimension="width", line_dash="dotted", line_width=1.2, name="last price"))
    return _timed(plot, across, up)


def _map(prices: Range1d, up: Span) -> figure:
    plot = _plot(
        "map",
        "Standing now, USD by bin",
        y_range=prices,
        x_range=Range1d(0, 1, name="map usd"),
        min_border_top=_TOP,
        min_border_bottom=_BOTTOM,
    )
    plot.min_border_right = 14
    plot.yaxis.visible = False
    plot.xaxis.formatter = _usd()
    plot.xaxis.ticker.desired_num_ticks = 3
    plot.extra_x_ranges = {"cumulative": Range1d(0, 1, name="map cumulative")}
    above = LinearAxis(
        x_range_name="cumulative",
        axis_label="cumulative",
        formatter=_usd(),
        major_label_text_font_size="11px",
        axis_label_text_font_size="11px",
        axis_label_text_font_style="normal",
        axis_label_standoff=0,
        minor_tick_line_color=None,
        axis_line_width=0.5,
        name="cumulative axis",
    )
    above.ticker.desired_num_ticks = 3
    plot.add_layout(above, "above")
    for number in range(LEVERAGES):
        source = ColumnDataSource({"bottom": [], "top": [], "left": [], "right": []}, name=f"bars {number}")
        plot.quad("left", "right", "top", "bottom", source=source, line_color=None, name=f"map bars {number}")
    for side in ("long", "short"):
        source = ColumnDataSource({"usd": [], "price": []}, name=f"cumulative {side}")
        plot.line("usd", "price", source=source, line_width=1.6, x_range_name="cumulative",
                  line_dash="solid" if side == "long" else "dashed", name=f"cumulative line {side}")  # fmt: skip
    plot.add_layout(Span(dimension="width", line_dash="dotted", line_width=1.2, name="last price in map"))
    pan, zoom = PanTool(dimensions="height"), WheelZoomTool(dimensions="height")
    plot.add_tools(pan, zoom, CrosshairTool(overlay=up))
    plot.toolbar.active_drag = pan
    plot.toolbar.active_scroll = zoom
    return plot


def _interest(times: Range1d, across: Span) -> figure:
    plot = _plot(
        "interest",
        "Open interest (contracts)",
        x_axis_type="datetime",
        y_axis_location="right",
        x_range=times,
        y_range=Range1d(0, 1, name="interest range"),
        min_border_bottom=4,
    )
    plot.yaxis.formatter = _usd()
    plot.yaxis.ticker.desired_num_ticks = 3
    plot.xaxis.visible = False
    plot.line("time", "interest", source=ColumnDataSource({"time": [], "interest": []}, name="interest values"),
              line_width=1.5, name="interest line")  # fmt: skip
    return _timed(plot, across)


def _change(times: Range1d, across: Span) -> figure:
    plot = _plot(
        "change",
        "Change of open interest (USD) by candle",
        x_axis_type="datetime",
        y_axis_location="right",
        x_range=times,
        y_range=Range1d(-1, 1, name="change range"),
        min_border_bottom=24,
    )
    plot.yaxis.formatter = _usd()
    plot.yaxis.ticker.desired_num_ticks = 3
    for name in ("opened", "closed"):
        source = ColumnDataSource({"time": [], "usd": [], "width": []}, name=name)
        plot.vbar("time", "width", "usd", 0, source=source, line_color=None, name=f"{name} bars")
    return _timed(plot, across)
