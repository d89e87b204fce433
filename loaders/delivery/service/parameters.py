"""What an address can be asked with. An unknown parameter is an error, not ignored."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from loaders.datasets import SYMBOL

#: Most rows of one answer; of the heatmap, which has small rows, more.
MOST_ROWS = 10_000
MOST_CELLS = 100_000

Side = Literal["long", "short"]
# As in `loaders.datasets.DATASETS`, which a test compares.
Dataset = Literal["klines", "aggTrades", "metrics", "fundingRate", "liquidations", "ohlcvt", "levels"]


def _time(value: Any) -> datetime | date:
    """A UTC day, or a time; without an offset it is UTC."""
    text = str(value).strip()
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        raise ValueError("write a UTC day as 2026-06-28 or a time as 2026-06-28T12:30:00Z") from None


_TIME = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
Time = Annotated[datetime | date, BeforeValidator(_time), WithJsonSchema(_TIME)]
Symbol = Annotated[str, Field(pattern=f"^{SYMBOL.pattern}$", description="As the exchange writes it, such as BTCUSDT.")]
Start = Annotated[
    Time | None, Field(description="First UTC day or time.", examples=["2026-06-28", "2026-06-28T12:00:00Z"])
]
End = Annotated[
    Time | None,
    Field(description="Last UTC day, included, or the time before which rows lie.", examples=["2026-06-29"]),
]


class Parameters(BaseModel):
    """What all lists of rows have: pages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows of one answer.")] = 1000
    offset: Annotated[int, Field(ge=0, le=10**9, description="Rows to leave out before; `next` has it.")] = 0
    publication: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-f]{16}$",
            description="Answer from this publication or not at all (409): `next` has it, so that pages fit together.",
        ),
    ] = None


class Timed(Parameters):
    """Rows between two times."""

    start: Start = None
    end: End = None

    @model_validator(mode="after")
    def _in_order(self) -> Timed:
        begins, ends = self.times
        if begins is not None and ends is not None and begins >= ends:
            raise ValueError("end must not be before start")
        return self

    @property
    def times(self) -> tuple[datetime | None, datetime | None]:
        """First time, and the time before which the last one lies."""
        begins, ends = self.start, self.end
        if begins is not None and not isinstance(begins, datetime):
            begins = datetime(begins.year, begins.month, begins.day)  # noqa: DTZ001
        if ends is not None and not isinstance(ends, datetime):
            last = date.max
            ends = (
                datetime.max  # noqa: DTZ901
                if ends >= last
                else datetime(ends.year, ends.month, ends.day) + timedelta(days=1)  # noqa: DTZ001
            )
        return begins, ends


class OfSymbol(Timed):
    """Rows of one symbol between two times."""

    symbol: Symbol


class Levels(OfSymbol):
    """Levels, by when they were opened."""

    side: Annotated[Side | None, Field(description="Only levels of this side.")] = None
    leverage: Annotated[int | None, Field(ge=1, le=1000, description="Only levels of this leverage.")] = None
    standing: Annotated[
        bool | None,
        Field(description="true: only levels that were neither crossed nor closed; false: only the others."),
    ] = None


class Map(Parameters):
    """The map of one symbol."""

    symbol: Symbol
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows of one answer.")] = 5000
    side: Annotated[Side | None, Field(description="Only this side.")] = None
    leverage: Annotated[int | None, Field(ge=1, le=1000, description="Only this leverage.")] = None


class Heatmap(OfSymbol):
    """Cells of the heatmap."""

    limit: Annotated[int, Field(ge=1, le=MOST_CELLS, description="Cells of one answer.")] = 20_000
    side: Annotated[Side | None, Field(description="Only this side.")] = None
    step: Annotated[
        int | None,
        Field(ge=1, le=43_200, description="Minutes of a step, a multiple of the mart's; shows what stood at its end."),
    ] = None
    bins: Annotated[
        int | None, Field(ge=1, le=5000, description="At most about so many price bins: neighbours are summed up.")
    ] = None


class Backtest(Parameters):
    """Rows of the backtest."""

    symbol: Symbol | None = None
    side: Annotated[Side | None, Field(description="Only this side.")] = None


class Gaps(Timed):
    """Gaps that begin between two times."""

    symbol: Symbol | None = None
    dataset: Annotated[Dataset | None, Field(description="Only this dataset.")] = None


class Quality(Parameters):
    """Checks."""

    symbol: Symbol | None = None
    dataset: Annotated[Dataset | None, Field(description="Only this dataset.")] = None
    status: Annotated[Literal["pass", "warn", "fail"] | None, Field(description="Only checks that stand so.")] = None
