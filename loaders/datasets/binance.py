"""The Binance archive (data.binance.vision): daily and monthly CSV files, one symbol each.

Older files have no header, newer ones do; times are milliseconds, spot is in microseconds since 2025. A file's rows
must look right one by one, since files with missing, doubled and zero rows were published with valid checksums.
"""

from __future__ import annotations

from loaders.datasets.base import Column, FileLayout, Kind

_INTEGER, _DECIMAL, _EPOCH, _TEXT = Kind.INTEGER, Kind.DECIMAL, Kind.EPOCH, Kind.TEXT

# Premium indices are rates and may be negative, index candles of spreads as well; all others are prices.
_CANDLE_CHECKS = (
    ("a price that cannot be (zero or negative)", "(kline_type in ('index', 'premium') or low > 0)"),
    ("high and low do not enclose open and close", "high >= greatest(open, close) and low <= least(open, close)"),
    (
        "a negative volume or count",
        "least(volume, quote_volume, taker_buy_volume, taker_buy_quote_volume) >= 0 and count >= 0",
    ),
    ("open_time is not a multiple of the interval", "{aligned}"),
    (
        "close_time is not within the interval",
        "close_time > open_time and close_time < open_time + to_microseconds({step})",
    ),
)

KLINES = FileLayout(
    name="klines",
    exchange="binance",
    dataset="klines",
    table="binance_klines",
    columns=(
        Column("open_time", _EPOCH),
        Column("open", _DECIMAL),
        Column("high", _DECIMAL),
        Column("low", _DECIMAL),
        Column("close", _DECIMAL),
        Column("volume", _DECIMAL),
        Column("close_time", _EPOCH),
        Column("quote_volume", _DECIMAL),
        Column("count", _INTEGER),
        Column("taker_buy_volume", _DECIMAL),
        Column("taker_buy_quote_volume", _DECIMAL),
        Column("ignore", _TEXT),
    ),
    key=("open_time",),
    time="open_time",
    checks=_CANDLE_CHECKS,
)

AGG_TRADES = FileLayout(
    name="aggTrades",
    exchange="binance",
    dataset="aggTrades",
    table="binance_agg_trades",
    columns=(
        Column("agg_trade_id", _INTEGER),
        Column("price", _DECIMAL),
        Column("quantity", _DECIMAL),
        Column("first_trade_id", _INTEGER),
        Column("last_trade_id", _INTEGER),
        Column("transact_time", _EPOCH),
        Column("is_buyer_maker", Kind.BOOLEAN),
    ),
    optional=(Column("is_best_match", Kind.BOOLEAN),),
    key=("agg_trade_id",),
    time="transact_time",
    sequence_column="agg_trade_id",
    checks=(
        ("a negative id", "agg_trade_id >= 0"),
        ("a price that cannot be (zero or negative)", "price > 0"),
        ("a quantity that cannot be (zero or negative)", "quantity > 0"),
        ("first_trade_id is after last_trade_id", "first_trade_id <= last_trade_id"),
        ("is_buyer_maker is neither true nor false", "is_buyer_maker is not null"),
    ),
)

METRICS = FileLayout(
    name="metrics",
    exchange="binance",
    dataset="metrics",
    table="binance_metrics",
    columns=(
        Column("create_time", Kind.TIMESTAMP_TEXT),
        Column("symbol", _TEXT),
        Column("sum_open_interest", _DECIMAL, scale=16, blank=True),
        Column("sum_open_interest_value", _DECIMAL, scale=16, blank=True),
        Column("count_toptrader_long_short_ratio", _DECIMAL, scale=16, blank=True),
        Column("sum_toptrader_long_short_ratio", _DECIMAL, scale=16, blank=True),
        Column("count_long_short_ratio", _DECIMAL, scale=16, blank=True),
        Column("sum_taker_long_short_vol_ratio", _DECIMAL, scale=16, blank=True),
    ),
    key=("create_time",),
    time="create_time",
    symbol_column="symbol",
    # Some files run from 00:05 to 00:00 of the next day.
    closed_end=True,
    checks=(
        (
            "a negative open interest or ratio",
            "least(sum_open_interest, sum_open_interest_value, count_toptrader_long_short_ratio,"
            " sum_toptrader_long_short_ratio, count_long_short_ratio, sum_taker_long_short_vol_ratio, 0) >= 0",
        ),
    ),
)

FUNDING_RATES = FileLayout(
    name="fundingRate",
    exchange="binance",
    dataset="fundingRate",
    table="binance_funding_rates",
    columns=(
        Column("calc_time", _EPOCH),
        # REST does not tell it.
        Column("funding_interval_hours", _INTEGER, blank=True),
        Column("last_funding_rate", _DECIMAL),
    ),
    key=("calc_time",),
    time="calc_time",
    # calc_time jitters by milliseconds around the hour, and the first hour of a month is the month's first instant.
    time_tolerance_us=1_000_000,
    checks=(
        ("a funding interval that cannot be", "coalesce(funding_interval_hours, 8) between 1 and 24"),
        ("a funding rate that cannot be (100 % or more)", "abs(last_funding_rate) < 1"),
    ),
)

_ORDER_CHECKS = (
    ("side is neither BUY nor SELL", "side in ('BUY', 'SELL')"),
    (
        "a price that cannot be (negative, or none at all)",
        "least(price, average_price) >= 0 and greatest(price, average_price) > 0",
    ),
    (
        "a quantity that cannot be (zero or negative)",
        "original_quantity > 0 and least(last_fill_quantity, accumulated_fill_quantity, 0) >= 0",
    ),
)

_ORDER_KEY = (
    "symbol",
    "time",
    "side",
    "order_type",
    "time_in_force",
    "original_quantity",
    "price",
    "average_price",
    "order_status",
    "last_fill_quantity",
    "accumulated_fill_quantity",
)

#: liquidationSnapshot, withdrawn by the exchange; people still hold files. Rows appear twice.
LIQUIDATIONS = FileLayout(
    name="liquidationSnapshot",
    exchange="binance",
    dataset="liquidations",
    table="binance_liquidations",
    columns=(
        Column("time", _EPOCH),
        Column("side", _TEXT),
        Column("order_type", _TEXT),
        Column("time_in_force", _TEXT),
        Column("original_quantity", _DECIMAL),
        Column("price", _DECIMAL),
        Column("average_price", _DECIMAL, blank=True),
        Column("order_status", _TEXT),
        Column("last_fill_quantity", _DECIMAL, blank=True),
        Column("accumulated_fill_quantity", _DECIMAL, blank=True),
    ),
    key=_ORDER_KEY,
    time="time",
    checks=_ORDER_CHECKS,
)

# What the stream, the REST answers and the programs of recorders call these columns.
_ORDER_TITLES = (
    ("symbol", ("s", "o.s", "pair", "ticker")),
    ("side", ("S", "o.S")),
    ("order_type", ("o", "o.o", "type")),
    ("time_in_force", ("f", "o.f", "tif")),
    ("original_quantity", ("q", "o.q", "origQty", "quantity", "qty", "amount", "size")),
    ("price", ("p", "o.p", "order_price", "bankruptcy_price")),
    ("average_price", ("ap", "o.ap", "avgPrice", "avg_price", "averagePrice")),
    ("order_status", ("X", "o.X", "status")),
    ("last_fill_quantity", ("l", "o.l", "last_filled", "lastFilledQty", "last_filled_quantity")),
    (
        "accumulated_fill_quantity",
        ("z", "o.z", "executedQty", "accumulated_filled", "filled_quantity", "accumulated_filled_quantity"),
    ),
    ("time", ("T", "o.T", "timestamp", "trade_time", "transact_time", "order_trade_time")),
    ("usd", ("usd_size", "notional", "value")),
)
# The event around an order, and what REST adds to it: nothing that tells one order from another in the stream.
_ORDER_TITLES_IGNORED = (
    *("", "e", "E", "event_type", "event_time", "index", "orderId", "clientOrderId", "cumQuote", "reduceOnly"),
    *("closePosition", "positionSide", "stopPrice", "workingType", "priceProtect", "updateTime", "origType"),
)

#: Recordings of the forceOrder stream: many symbols in one file, written without the quote currency where it is USDT.
#: Without a header the columns stand in this order; with one they may stand in any, and all but five may be absent.
FORCE_ORDERS = FileLayout(
    name="forceOrder",
    exchange="binance",
    dataset="liquidations",
    table="binance_liquidations",
    columns=(
        Column("symbol", _TEXT),
        Column("side", _TEXT),
        Column("order_type", _TEXT, blank=True),
        Column("time_in_force", _TEXT, blank=True),
        Column("original_quantity", _DECIMAL),
        Column("price", _DECIMAL),
        Column("average_price", _DECIMAL, blank=True),
        Column("order_status", _TEXT, blank=True),
        Column("last_fill_quantity", _DECIMAL, blank=True),
        Column("accumulated_fill_quantity", _DECIMAL, blank=True),
        Column("time", _EPOCH),
        Column("usd", _TEXT, blank=True),
    ),
    key=_ORDER_KEY,
    time="time",
    derived=(
        (
            "symbol",
            "case when regexp_matches(symbol, '(USDT|USDC|BUSD|_[A-Z0-9]+)$') then symbol else symbol || 'USDT' end",
        ),
    ),
    checks=(
        ("a symbol that cannot be", "regexp_full_match(symbol, '[A-Z0-9]{2,24}(_[A-Z0-9]{3,8})?')"),
        *_ORDER_CHECKS,
    ),
    # A recording is named after the day on which it began, in the recorder's own time zone; it ends when it ends.
    time_tolerance_us=86_400_000_000,
    many_symbols=True,
    titles=_ORDER_TITLES,
    ignored_titles=_ORDER_TITLES_IGNORED,
)
