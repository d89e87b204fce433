"""Recordings of liquidations land whatever their columns are called, in whatever order, for as long as they ran."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.archive import day_ms, text, write
from tests.support.warehouse import Warehouse

TIME = day_ms("2024-08-17") + 1000
KEPT = """
    select symbol, side, order_type, original_quantity, price, average_price, epoch_ms(time)
    from raw.binance_liquidations
"""


@pytest.mark.parametrize(
    ("header", "row", "kind", "average"),
    [
        pytest.param(
            "Symbol,Side,Order Type,Time,Quantity,Price",
            f"BTCUSDT,SELL,LIMIT,{TIME},0.5,60000.1",
            "LIMIT",
            None,
            id="what recorders write",
        ),
        pytest.param(
            "e,E,s,S,o,f,q,p,ap,X,l,z,T",
            f"forceOrder,{TIME + 9},BTCUSDT,SELL,LIMIT,IOC,0.5,60000.1,60010.2,FILLED,0.5,0.5,{TIME}",
            "LIMIT",
            "60010.2",
            id="the letters of the stream",
        ),
        pytest.param(
            "o.T,o.p,o.S,o.s,o.q",
            f"{TIME},60000.1,SELL,BTCUSDT,0.5",
            None,
            None,
            id="the letters of the stream with their path, few and in another order",
        ),
        pytest.param(
            "orderId,symbol,status,clientOrderId,price,avgPrice,origQty,executedQty,cumQuote,timeInForce,type,"
            "reduceOnly,closePosition,side,positionSide,stopPrice,workingType,origType,time,updateTime",
            f"7,BTCUSDT,FILLED,autoclose-1,60000.1,60010.2,0.5,0.5,30005.1,IOC,LIMIT,false,false,SELL,BOTH,0,"
            f"CONTRACT_PRICE,LIMIT,{TIME},{TIME}",
            "LIMIT",
            "60010.2",
            id="the names of REST",
        ),
        pytest.param(
            "time,side,symbol,price,original_quantity,average_price,order_type",
            f"{TIME},SELL,BTC,60000.1,0.5,None,NaN",
            None,
            None,
            id="our own names, words for no value, a symbol without its quote currency",
        ),
    ],
)
def test_a_header_names_the_columns(
    house: Warehouse, header: str, row: str, kind: str | None, average: str | None
) -> None:
    write(house.data / "forceOrder_2024-08-17.csv", text([row], header))
    house.load()
    expected = average and Decimal(average)
    assert house.query(KEPT) == [("BTCUSDT", "SELL", kind, Decimal("0.5"), Decimal("60000.1"), expected, TIME)]


@pytest.mark.parametrize("word", ["", "None", "null", "NaN", "NULL", "nan"])
@pytest.mark.parametrize("place", [0, 200], ids=["in the first line", "far below"])
def test_an_average_price_may_be_missing(house: Warehouse, word: str, place: int) -> None:
    rows = [f"BTC,SELL,LIMIT,IOC,0.5,60000.1,60010.2,FILLED,0.5,0.5,{TIME + n},30005.1" for n in range(300)]
    rows[place] = f"BTC,SELL,LIMIT,IOC,0.5,60000.1,{word},FILLED,0.5,0.5,{TIME + place},30005.1"
    write(house.data / "forceOrder_2024-08-17.csv", text(rows))
    house.load()
    assert house.query("select count(*), count(average_price), count(order_type) from raw.binance_liquidations") == [
        (300, 299, 300)
    ]


def test_a_price_must_not_be_missing(house: Warehouse) -> None:
    rows = [f"BTC,SELL,LIMIT,IOC,0.5,60000.1,60010.2,FILLED,0.5,0.5,{TIME + n},1" for n in range(200)]
    rows[77] = f"BTC,SELL,LIMIT,IOC,0.5,None,60010.2,FILLED,0.5,0.5,{TIME + 77},1"
    write(house.data / "forceOrder_2024-08-17.csv", text(rows))
    house.load(expect=1)
    assert house.query("select line_number, reason from ops.rejected_rows") == [
        (78, "price cannot be read, or not without losing digits: None")
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        pytest.param("Symbol,Side,Time,Quantity,Fee,Price", "unknown columns Fee", id="a column nobody knows"),
        pytest.param("Symbol,Side,Time,Time,Quantity,Price", "two columns for time", id="a column twice"),
        pytest.param("Symbol,Side,Order Type,Time,Quantity,type", "no column for price", id="no price"),
    ],
)
def test_a_header_that_cannot_be_trusted_is_refused_with_its_reason(
    house: Warehouse, header: str, message: str
) -> None:
    write(house.data / "forceOrder_2024-08-17.csv", text([f"BTCUSDT,SELL,{TIME},{TIME},0.5,60000.1"], header))
    house.load(expect=1)
    ((found,),) = house.query("select error_message from ops.ingestion_files where status = 'failed'")
    assert message in found


def test_a_recording_ends_when_it_ends_unless_its_name_says_when(house: Warehouse) -> None:
    rows = [f"BTCUSDT,SELL,LIMIT,{TIME + day * 86_400_000},0.5,60000.1" for day in range(12)]
    header = "Symbol,Side,Order Type,Time,Quantity,Price"
    write(house.data / "forceOrder_2024-08-17.csv", text(rows, header))
    house.load()
    assert house.query("select rows_loaded, last_time::varchar from ops.ingestion_files") == [
        (12, "2024-08-28 00:00:01")
    ]
    # A day of slack at both ends, for recorders that live in another time zone.
    write(house.data / "forceOrder_2024-08-17_2024-08-27.csv", text([*rows, rows[-1].replace("SELL", "BUY")], header))
    write(house.data / "forceOrder_2024-08-17_to_2024-08-20.csv", text([*rows[:4], *rows[4:6]], header))
    house.load(expect=1)
    assert house.query(
        "select period_end::varchar, rows_loaded, rows_rejected from ops.ingestion_files where period_end is not null "
        "order by 1"
    ) == [("2024-08-21 00:00:00", 5, 1), ("2024-08-28 00:00:00", 13, 0)]
