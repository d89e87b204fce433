"""One HTML file that opens anywhere: numbers, plots, program and library in it, nothing fetched from anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

from bokeh.resources import INLINE
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from loaders.delivery.page import figures, picture, reading
from loaders.delivery.page.packing import pack
from loaders.delivery.page.reading import PageData
from loaders.delivery.published import Published
from loaders.errors import PathRefused, PlaceUnwritable
from loaders.rendering import counted, size
from loaders.settings import Settings

_BEGINNING = b"<!doctype html>"


@dataclass(frozen=True, slots=True)
class Report:
    """What was written."""

    path: Path
    symbols: list[str]
    left_out: list[str]
    missing: list[str]
    size_bytes: int
    picture: Path | None = None


def write(settings: Settings, source: Path, target: Path, symbols: Iterable[str] = ()) -> Report:
    """Writes the page about the published file `source` and puts it in its place by rename.

    Raises `PublishedMissing`, `PublishedUnreadable`, `SymbolNotPublished`, `PathRefused` if something that is no page
    lies there, `PlaceUnwritable`.
    """
    require_ours(target, _BEGINNING, "page")
    with Published.open(source, memory_limit=settings.memory_limit, threads=settings.threads) as published:
        data = reading.read(published, symbols)
    text = html(data)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise PlaceUnwritable(target, error) from error
    return Report(target, [one.symbol for one in data.symbols], data.left_out, data.missing, len(text.encode()))


def require_ours(target: Path, beginning: bytes, kind: str) -> None:
    """Raises `PathRefused` if a file lies at `target` that does not begin as ours do: a mistyped path costs nothing."""
    try:
        if target.exists():
            with target.open("rb") as content:
                if content.read(len(beginning)).lower() != beginning.lower():
                    raise PathRefused(f"{target} exists and is no {kind}: take it away, or choose another name")
    except OSError as error:
        raise PlaceUnwritable(target, error) from error


def with_picture(settings: Settings, report: Report, target: Path, symbols: Sequence[str] = ()) -> Report:
    """Takes a picture of the page that was written, of the first of the symbols.

    Raises `NoBrowser`, and as `write` does for the place.
    """
    require_ours(target, b"\x89PNG", "picture")
    picture.take(report.path, target, symbol=symbols[0] if symbols else None, named=settings.browser)
    return replace(report, picture=target)


def html(data: PageData) -> str:
    """The page. The same data gives the same text."""
    here = files("loaders.delivery.page")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    template = environment.from_string((here / "page.html.jinja").read_text(encoding="utf-8"))
    meta = {
        "published": data.published,
        "first": _first(data),
        "symbols": {one.symbol: one.facts for one in data.symbols},
        "state": data.state,
        "missing": data.missing,
        "left_out": data.left_out,
    }
    with ThreadPoolExecutor(max_workers=2) as pool:
        # Compression leaves Python to others, and the plots are made meanwhile.
        packed = pool.map(pack, (one.columns for one in data.symbols))
        plots = _json(figures.document())
        blocks = [(one.symbol, Markup(block)) for one, block in zip(data.symbols, packed, strict=True)]
    return template.render(
        style=Markup((here / "page.css").read_text(encoding="utf-8")),
        program=Markup((here / "page.js").read_text(encoding="utf-8")),
        library=Markup(_library()),
        meta=_json(meta),
        plots=plots,
        calendar=Markup(pack(data.calendar)),
        blocks=blocks,
    )


def _first(data: PageData) -> str | None:
    """The symbol that is shown first: the one with the most open interest, in USD."""

    def size(one: reading.SymbolData) -> float:
        interest = (one.facts.get("explained") or {}).get("open_interest")
        return float(interest or 0) * float(one.facts["last_price"])

    return max(data.symbols, key=size).symbol if data.symbols else None


def _library() -> str:
    # Only what the plots need: no widgets, no tables, no formulas, no drawing on the graphics card.
    kept = INLINE.clone(components=["bokeh"]).js_raw
    return "\n".join(kept).replace("</script", "<\\/script")


def _json(value: Any) -> Markup:
    """JSON that cannot end the element it stands in."""
    return Markup(json.dumps(value, default=_plain, allow_nan=False).replace("<", "\\u003c"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "report": report.path,
        "symbols": report.symbols,
        "left_out": report.left_out,
        "missing": report.missing,
        "bytes": report.size_bytes,
        "picture": report.picture,
    }


def text(report: Report) -> str:
    """One line, and one more for each thing that is not in it."""
    lines = [f"{report.path}: {counted(len(report.symbols), 'symbol')}, {size(report.size_bytes)}"]
    if report.left_out:
        lines.append(f"left out, the page would be too large: {len(report.left_out)} symbols; choose with --symbol")
    if report.picture is not None:
        lines.append(f"{report.picture}: a picture of it")
    return "\n".join(lines)
