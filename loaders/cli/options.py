"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from loaders.datasets import DATASETS, EXCHANGES, INTERVALS, SYMBOL
from loaders.errors import WrongUsage
from loaders.queries.tiers import TIERS, assets_of_tiers
from loaders.selection import Selection
from loaders.settings import Settings


class Day(click.ParamType[datetime]):
    """A UTC day, 2026-06-28."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Midnight at the day's start, UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{value!r} is no day: write it as 2026-06-28", param, ctx)


class Symbol(click.ParamType[str]):
    """A symbol as the exchange writes it."""

    name = "symbol"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The symbol itself, checked."""
        if not SYMBOL.fullmatch(value):
            self.fail(f"{value!r} is no symbol: capitals and digits, such as BTCUSDT or BTCUSDT_240329", param, ctx)
        return str(value)


class Age(click.ParamType[timedelta]):
    """A length of time, 36h or 3d."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Hours or days."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})\s*([hd])", str(value).strip())
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no length of time: write it as 36h or 3d", param, ctx)
        return timedelta(hours=int(found[1])) if found[2] == "h" else timedelta(days=int(found[1]))


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose among files or rows; the command gets them as one `selection`."""

    @functools.wraps(command)
    def with_selection(
        *given: Any,
        exchanges: tuple[str, ...],
        symbols: tuple[str, ...],
        tiers: tuple[str, ...],
        datasets: tuple[str, ...],
        intervals: tuple[str, ...],
        start: datetime | None,
        end: datetime | None,
        **others: Any,
    ) -> Any:
        selection = selection_of(exchanges, symbols, datasets, intervals, start, end)
        if tiers:
            settings: Settings = click.get_current_context().obj.settings
            selection = replace(selection, assets=assets_of_tiers(settings.project(), tiers))
        return command(*given, selection=selection, **others)

    chosen: Callable[..., Any] = with_selection
    for option in reversed(
        (
            click.option(
                "--exchange",
                "exchanges",
                type=click.Choice(EXCHANGES),
                multiple=True,
                help="Only this exchange; repeatable.",
            ),
            click.option("--symbol", "symbols", type=Symbol(), multiple=True, help="Only this symbol; repeatable."),
            click.option(
                "--tier",
                "tiers",
                type=click.Choice(TIERS),
                multiple=True,
                help="Only symbols of this tier's assets (seeds/asset_tiers.csv); repeatable.",
            ),
            click.option(
                "--dataset",
                "datasets",
                type=click.Choice(DATASETS),
                multiple=True,
                help="Only this dataset; repeatable.",
            ),
            click.option(
                "--interval",
                "intervals",
                type=click.Choice(list(INTERVALS)),
                multiple=True,
                help="Only candles of this length.",
            ),
            click.option("--start", type=Day(), help="First UTC day, 2026-06-28."),
            click.option("--end", type=Day(), help="Last UTC day, included."),
        )
    ):
        chosen = option(chosen)
    return chosen


def selection_of(
    exchanges: tuple[str, ...],
    symbols: tuple[str, ...],
    datasets: tuple[str, ...],
    intervals: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
) -> Selection:
    """The choice that the options describe. Raises `WrongUsage` if it ends before it starts."""
    if start and end and end < start:
        raise WrongUsage(f"--end {end:%Y-%m-%d} is before --start {start:%Y-%m-%d}: swap them")
    return Selection(
        exchanges=frozenset(exchanges),
        symbols=frozenset(symbols),
        datasets=frozenset(datasets),
        intervals=frozenset(intervals),
        start=start,
        end=end + timedelta(days=1) if end else None,
    )


folders_option = click.option(
    "--data-dir",
    "folders",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    envvar="LOADERS_DATA_DIR",
    help="Folder with files; repeatable, the first counts first.",
)
new_folders_option = click.option(
    "--data-dir",
    "folders",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    envvar="LOADERS_DATA_DIR",
    help="Folder with files; repeatable. What is fetched goes below the first, which is made if it is not there.",
)
kline_type_option = click.option(
    "--kline-type",
    "kline_types",
    type=click.Choice(["last", "mark", "index", "premium"]),
    multiple=True,
    default=["last"],
    show_default=True,
    help="Candles of which price; repeatable.",
)
market_option = click.option(
    "--market",
    type=click.Choice(["um", "cm", "spot"]),
    default="um",
    show_default=True,
    help="Market of files whose folders do not say.",
)
wait_option = click.option(
    "--wait", "wait_seconds", type=click.FloatRange(min=0), default=0, help="Seconds to wait for another writer."
)
max_age_option = click.option(
    "--max-age",
    type=Age(),
    envvar="LOADERS_MAX_AGE",
    help="How old the newest row may be by the clock, such as 36h or 3d; unless given, any age is right.",
)
published_option = click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOADERS_PUBLISHED",
    help="File that clients open; default marts.duckdb beside the warehouse.",
)
