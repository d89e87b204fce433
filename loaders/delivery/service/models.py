"""What answers look like, for the OpenAPI description. Names are those of the marts; a newer mart may have more."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

_EXAMPLE_TIME = "2026-06-28T12:00:00Z"

TEXT, NUMBER, COUNT, TIME = str, float, int, "time"

#: Address → columns that people rely on, their kind, and whether they can be unknown.
ROWS: dict[str, dict[str, tuple[Any, bool]]] = {
    "Symbol": {
        "symbol": (TEXT, False),
        "first_open_time": (TIME, False),
        "as_of": (TIME, False),
        "last_price": (NUMBER, False),
        "candles": (COUNT, False),
    },
    "Kline": {
        "symbol": (TEXT, False),
        "open_time": (TIME, False),
        "open": (NUMBER, False),
        "high": (NUMBER, False),
        "low": (NUMBER, False),
        "close": (NUMBER, False),
        "volume": (NUMBER, True),
        "quote_volume": (NUMBER, True),
        "trade_count": (COUNT, True),
        "taker_buy_volume": (NUMBER, True),
        "taker_buy_quote_volume": (NUMBER, True),
        "source": (TEXT, True),
    },
    "OpenInterest": {
        "symbol": (TEXT, False),
        "snapshot_at": (TIME, False),
        "open_interest": (NUMBER, True),
        "open_interest_usd": (NUMBER, True),
        "oi_delta": (NUMBER, True),
    },
    "Level": {
        "symbol": (TEXT, False),
        "side": (TEXT, False),
        "leverage": (COUNT, False),
        "opened_at": (TIME, False),
        "entry_price": (NUMBER, False),
        "liquidation_price": (NUMBER, False),
        "price_bin": (NUMBER, True),
        "quantity": (NUMBER, False),
        "volume_usd": (NUMBER, False),
        "liquidated_at": (TIME, True),
        "liquidated_volume_usd": (NUMBER, True),
    },
    "MapBin": {
        "symbol": (TEXT, False),
        "side": (TEXT, False),
        "leverage": (COUNT, False),
        "price_bin": (NUMBER, False),
        "volume_usd": (NUMBER, False),
        "cumulative_volume_usd": (NUMBER, False),
        "level_count": (COUNT, False),
        "as_of": (TIME, False),
        "last_price": (NUMBER, False),
    },
    "HeatmapCell": {
        "symbol": (TEXT, False),
        "bucket_at": (TIME, False),
        "side": (TEXT, False),
        "price_bin": (NUMBER, False),
        "volume_usd": (NUMBER, False),
    },
    "BacktestRow": {
        "symbol": (TEXT, False),
        "side": (TEXT, False),
        "horizon": (COUNT, False),
        "tolerance": (NUMBER, False),
        "events": (COUNT, False),
        "hit_rate": (NUMBER, True),
        "coverage_share": (NUMBER, True),
        "null_hit_rate": (NUMBER, True),
        "lift": (NUMBER, True),
    },
    "Gap": {
        "dataset": (TEXT, False),
        "market": (TEXT, True),
        "symbol": (TEXT, True),
        "interval": (TEXT, True),
        "gap_start": (TIME, False),
        "gap_end": (TIME, False),
        "missing": (COUNT, True),
        "suggested_file": (TEXT, True),
    },
    "Check": {
        "check_name": (TEXT, False),
        "dataset": (TEXT, True),
        "symbol": (TEXT, True),
        "value": (NUMBER, True),
        "threshold": (NUMBER, True),
        "status": (TEXT, False),
        "detail": (TEXT, True),
    },
}

_EXAMPLES: dict[Any, Any] = {TEXT: "BTCUSDT", NUMBER: 60247.7, COUNT: 25, TIME: _EXAMPLE_TIME}
_TOLD = {"side": "long", "status": "pass", "source": "klines_5m", "interval": "5m", "market": "um", "dataset": "klines"}


class Problem(BaseModel):
    """Why a request was not answered, and what to do."""

    detail: str


class Status(BaseModel):
    """The publication and its tables."""

    publication: str
    published: dict[str, Any]
    tables: list[dict[str, Any]]


class Health(BaseModel):
    """Whether numbers can be given."""

    status: str
    publication: str
    published_at: str


def _row(name: str) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for column, (kind, optional) in ROWS[name].items():
        held: Any = str if kind == TIME else kind
        example = _TOLD.get(column, _EXAMPLES[kind])
        extra: dict[str, Any] | None = {"format": "date-time"} if kind == TIME else None
        fields[column] = (held | None if optional else held, Field(examples=[example], json_schema_extra=extra))
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="allow"), **fields)
    return model


def page_of(name: str) -> type[BaseModel]:
    """The envelope of a list of such rows."""
    rows: Any = list[_row(name)]  # type: ignore[misc]
    model: type[BaseModel] = create_model(
        f"{name}Page",
        publication=(str, Field(description="Which publication answered.", examples=["0123456789abcdef"])),
        published_at=(str, Field(description="When it was published, UTC.", examples=[_EXAMPLE_TIME])),
        count=(int, Field(description="Rows in this answer.")),
        next=(str | None, Field(description="Where the next rows are; null if there are none.")),
        rows=(rows, ...),
    )
    return model
