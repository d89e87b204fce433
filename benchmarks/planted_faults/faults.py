"""The faults, each a function that plants it in a copy of the good archive."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.planted_faults import edits
from benchmarks.planted_faults.archive import (
    DAY_MS,
    DAYS,
    ETH,
    FIRST,
    HOUR_MS,
    LAST,
    MIDDLE,
    PLACE,
    STEP_MS,
    Place,
    Rows,
    write_csv,
)
from loaders.runs import sample


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: its name, what it is, and what plants it. `behind`: in the warehouse; `project`: in a copy of that."""

    name: str
    description: str
    plant: Callable[[Place], object]
    behind: bool = False
    project: bool = False


FAULTS: dict[str, Fault] = {}


def fault(says: str, *, behind: bool = False, project: bool = False) -> Callable[[Callable[[Place], object]], None]:
    """Enters a function as a fault of its name."""

    def enter(plant: Callable[[Place], object]) -> None:
        name = plant.__name__
        FAULTS[name] = Fault(name, says, plant, behind, project)

    return enter


# Files that are there twice, or not at all


@fault("the same file in another folder, too")
def doubled_file(place: Place) -> None:
    copy = place.data / "copies" / place.candles("ETHUSDT", MIDDLE).name
    copy.parent.mkdir()
    shutil.copy(place.candles("ETHUSDT", MIDDLE), copy)


@fault("the same file as zip and as csv")
def zip_beside_csv(place: Place) -> None:
    edits.pack(place.candles("ETHUSDT", MIDDLE))


@fault("a zip that is cut off, and the good csv beside it")
def cut_zip_beside_csv(place: Place) -> None:
    edits.cut(edits.pack(place.candles("ETHUSDT", MIDDLE)))


@fault("a monthly file that agrees with the daily ones")
def monthly_beside_daily(place: Place) -> None:
    edits.monthly(place, lambda rows: None)


@fault("a monthly file that has another close than the daily one")
def monthly_against_daily(place: Place) -> None:
    edits.monthly(place, lambda rows: edits.scale(rows[288 + PLACE], 1.0001, 4))


@fault("a day's candles under the name of the next day")
def file_of_another_day(place: Place) -> None:
    shutil.copy(place.candles("ETHUSDT", FIRST), place.candles("ETHUSDT", MIDDLE))


@fault("a day without its file of candles")
def missing_day(place: Place) -> None:
    place.candles("ETHUSDT", MIDDLE).unlink()


@fault("a day without its file of trades")
def missing_day_of_trades(place: Place) -> None:
    shutil.move(place.trades(MIDDLE), place.trades(FIRST))
    edits.edit(place.trades(FIRST), edits.day_earlier)


@fault("snapshots end on the first day, candles go on")
def stopped_series(place: Place) -> None:
    for day in (MIDDLE, LAST):
        place.metrics("ETHUSDT", day).unlink()


@fault("candles end on the first day, snapshots go on")
def stopped_candles(place: Place) -> None:
    for day in (MIDDLE, LAST):
        place.candles("ETHUSDT", day).unlink()


@fault("files of a header without rows")
def empty_series(place: Place) -> None:
    for day in DAYS:
        edits.edit(place.metrics("ETHUSDT", day), lambda rows: rows.clear())


@fault("a file of no bytes")
def empty_file(place: Place) -> None:
    place.candles("ETHUSDT", LAST).write_bytes(b"")


# Files that are damaged


@fault("a zip that is cut off")
def truncated_zip(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    edits.cut(edits.pack(path))
    path.unlink()


@fault("a gzip file that is cut off")
def truncated_gzip(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    packed = path.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    edits.cut(packed)


@fault("a csv that is cut off within a line")
def truncated_csv(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    path.write_bytes(path.read_bytes()[:15_000].rsplit(b",", 3)[0])


@fault("a csv that is cut off within its last number")
def truncated_number(place: Place) -> None:
    path = place.metrics("ETHUSDT", LAST)
    edits.edit(path, lambda rows: rows[-1].__setitem__(7, "1.12345678"))
    path.write_bytes(path.read_bytes()[:-4])


@fault("a web page with the name of a csv")
def web_page(place: Place) -> None:
    place.candles("ETHUSDT", MIDDLE).write_text("<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n")


@fault("a header once more in the middle")
def header_in_the_middle(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.insert(PLACE, sample.KLINE_COLUMNS.split(",")))


@fault("UTF-16 instead of UTF-8")
def utf_16(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    path.write_bytes(path.read_text().encode("utf-16"))


@fault("NUL bytes where the disk lost a block")
def nul_bytes(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    content = bytearray(path.read_bytes())
    content[8192:12288] = bytes(4096)
    path.write_bytes(content)


# Rows that are missing, doubled or out of order


@fault("a candle is missing")
def missing_candle(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.pop(PLACE))


@fault("an hour is missing on the day of a clock change")
def clock_change_hour(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.__delitem__(slice(12, 24)))


@fault("a day written in local time, on the day of a clock change")
def local_time(place: Place) -> None:
    def shift(rows: Rows) -> None:
        for number, row in enumerate(rows):
            edits.later(row, HOUR_MS if number < 12 else 2 * HOUR_MS)
        edits.within(rows, MIDDLE)

    edits.edit(place.candles("ETHUSDT", MIDDLE), shift)


@fault("rows that are there twice")
def duplicate_rows(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: rows.extend([*rows[PLACE : PLACE + 12]]))


@fault("two rows of one time, with other prices")
def contradictory_rows(place: Place) -> None:
    def contradict(rows: Rows) -> None:
        rows.append([*rows[PLACE]])
        edits.scale(rows[-1], 1.001, 1, 2, 3, 4)

    edits.edit(place.candles("ETHUSDT", MIDDLE), contradict)


@fault("a hundred trades are missing")
def missing_trades(place: Place) -> None:
    edits.edit(place.trades(LAST), lambda rows: rows.__delitem__(slice(5000, 5100)))


@fault("the last trades of five minutes are missing, and no candles are there but those of trades")
def missing_trades_of_candles(place: Place) -> None:
    for interval in ("1m", "5m"):
        place.candles("BTCUSDT", LAST, interval).unlink()

    def tear(rows: Rows) -> None:
        steps = [int(row[5]) // STEP_MS for row in rows]
        edge = next(place for place in range(5000, len(rows)) if steps[place] != steps[place - 1])
        del rows[edge - 20 : edge]

    edits.edit(place.trades(LAST), tear)


@fault("a trade's number is there again, with another quantity")
def repeated_trade(place: Place) -> None:
    edits.edit(place.trades(LAST), lambda rows: rows.insert(5001, edits.scaled(rows[5000], 2, 2)))


@fault("the next day's trades bear numbers of the day before")
def numbers_of_another_day(place: Place) -> None:
    def renumber(rows: Rows) -> None:
        for row in rows[:100]:
            row[0] = str(int(row[0]) - 5000)

    edits.edit(place.trades(LAST), renumber)


@fault("the rows of a file of trades in reverse")
def trades_out_of_order(place: Place) -> None:
    edits.edit(place.trades(LAST), lambda rows: rows.reverse())


@fault("two trades have each other's time")
def times_against_numbers(place: Place) -> None:
    def swap(rows: Rows) -> None:
        rows[2000][5], rows[9000][5] = rows[9000][5], rows[2000][5]

    edits.edit(place.trades(LAST), swap)


# Times


@fault("all times an hour late")
def shifted_hour(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.each(rows, edits.later, HOUR_MS))


@fault("all times an hour late, the day cut to its bounds")
def shifted_hour_within_the_day(place: Place) -> None:
    def shift(rows: Rows) -> None:
        for row in rows:
            edits.later(row, HOUR_MS)
        edits.within(rows, MIDDLE)

    edits.edit(place.candles("ETHUSDT", MIDDLE), shift)


@fault("microseconds instead of milliseconds")
def another_unit(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.each(rows, edits.in_unit, "000"))


@fault("microseconds from the middle of the file on")
def unit_that_changes(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.each(rows[144:], edits.in_unit, "000"))


@fault("nanoseconds")
def unknown_unit(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.each(rows, edits.in_unit, "000000"))


@fault("one time outside the file's period")
def time_outside_the_period(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.later(rows[PLACE], 40 * DAY_MS))


@fault("candles between the steps of their grid")
def times_off_the_grid(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.later(rows[PLACE], 60_000))


# Values of candles


@fault("header and rows have high and low in another order than the archive")
def swapped_columns_with_header(place: Place) -> None:
    path = place.candles("ETHUSDT", MIDDLE)
    edits.edit(path, lambda rows: edits.swap(rows, 2, 3), header=sample.KLINE_COLUMNS.replace("high,low", "low,high"))


@fault("high and low swapped, without a header")
def swapped_high_and_low(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.swap(rows, 2, 3), header="")


@fault("open and volume swapped, without a header")
def swapped_open_and_volume(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.swap(rows, 1, 5), header="")


@fault("open and close swapped, without a header")
def swapped_open_and_close(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.swap(rows, 1, 4), header="")


@fault("volume and quote volume swapped, without a header")
def swapped_volumes(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.swap(rows, 5, 7), header="")


@fault("a candle whose high is below its low")
def high_below_low(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.swap(rows[PLACE : PLACE + 1], 2, 3))


@fault("a negative price")
def negative_price(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], -1, 3))


@fault("a negative volume")
def negative_volume(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], -1, 5))


@fault("takers bought more than was traded")
def taker_volume_above_volume(place: Place) -> None:
    edits.edit(
        place.candles("ETHUSDT", MIDDLE), lambda rows: rows[PLACE].__setitem__(9, str(float(rows[PLACE][5]) + 1))
    )


@fault("a volume with a shifted decimal")
def shifted_decimal_of_volume(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], 10, 5))


@fault("a candle of ten times the price")
def price_times_ten(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], 10, 1, 2, 3, 4))


@fault("a day of ten times the price")
def day_times_ten(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", LAST), lambda rows: edits.each(rows, edits.scale, 10, 1, 2, 3, 4))


@fault("a high with a shifted decimal")
def shifted_decimal(place: Place) -> None:
    edits.edit(place.candles("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], 10, 2))


@fault("another symbol's candles")
def prices_of_another_symbol(place: Place) -> None:
    shutil.copy(place.candles("BTCUSDT", MIDDLE), place.candles("ETHUSDT", MIDDLE))


@fault("candles of another symbol that costs as much")
def prices_of_a_similar_symbol(place: Place) -> None:
    edits.write_other_walk(place.candles("ETHUSDT", MIDDLE))


@fault("the spot market's candles")
def prices_of_spot(place: Place) -> None:
    steps = sample.of_day(sample.candles(sample.walk(ETH, DAYS), 5, FIRST), MIDDLE)
    write_csv(place.candles("ETHUSDT", MIDDLE), "", [sample.spot_row(ETH, candle) for candle in steps])


@fault("a mark price of a tenth")
def mark_price_with_a_shifted_decimal(place: Place) -> None:
    edits.edit(
        place.candles("BTCUSDT", MIDDLE, kind="markPriceKlines"), lambda rows: edits.scale(rows[PLACE], 0.1, 1, 2, 3, 4)
    )


@fault("mark prices a tenth too low, all days")
def mark_prices_of_another_symbol(place: Place) -> None:
    for day in DAYS:
        edits.edit(
            place.candles("BTCUSDT", day, kind="markPriceKlines"),
            lambda rows: edits.each(rows, edits.scale, 0.9, 1, 2, 3, 4),
        )


# Sources that disagree


@fault("a five-minute candle has another close than its minutes")
def minutes_against_five_minutes(place: Place) -> None:
    edits.edit(place.candles("BTCUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], 1.005, 2, 4))


@fault("a trade of a hundred times the quantity that the candles count")
def volume_against_trades(place: Place) -> None:
    edits.edit(place.trades(LAST), lambda rows: edits.scale(rows[5000], 100, 2))


@fault("a trade at another price than the candles know")
def price_against_trades(place: Place) -> None:
    edits.edit(place.trades(LAST), lambda rows: edits.scale(rows[5000], 1.03, 1))


@fault("Kraken's hours count more trades than its day")
def coarse_against_fine_in_trades(place: Place) -> None:
    edits.edit(place.kraken(60), lambda rows: edits.scale(rows[30], 2, 6))


@fault("Kraken's day has another high than its hours")
def coarse_against_fine_in_price(place: Place) -> None:
    edits.edit(place.kraken(1440), lambda rows: edits.scale(rows[1], 1.02, 2))


@fault("a row of Kraken's hours is missing, the day counts its trades")
def missing_kraken_hour(place: Place) -> None:
    edits.edit(place.kraken(60), lambda rows: rows.pop(30))


# Snapshots


@fault("a snapshot of zero")
def zero_open_interest(place: Place) -> None:
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], 0, 2, 3))


@fault("blank snapshots")
def blank_open_interest(place: Place) -> None:
    def blank(rows: Rows) -> None:
        for row in rows[PLACE : PLACE + 3]:
            row[2:4] = ["", ""]

    edits.edit(place.metrics("ETHUSDT", MIDDLE), blank)


@fault("a day of snapshots, all zero")
def day_of_zeros(place: Place) -> None:
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: edits.each(rows, edits.scale, 0, 2, 3))


@fault("a negative open interest")
def negative_open_interest(place: Place) -> None:
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], -1, 2))


@fault("a snapshot with a shifted decimal, contracts and value")
def open_interest_times_ten(place: Place) -> None:
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], 10, 2, 3))


@fault("a snapshot with a shifted decimal, contracts alone")
def contracts_times_ten(place: Place) -> None:
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: edits.scale(rows[PLACE], 10, 2))


@fault("labels five minutes early, as some files have them")
def early_labels(place: Place) -> None:
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: edits.each(rows, edits.label, -5))


@fault("labels five minutes late, as no file has them")
def late_labels(place: Place) -> None:
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: edits.each(rows, edits.label, 5))


@fault("snapshots an hour late, the day cut to its bounds")
def snapshots_an_hour_late(place: Place) -> None:
    def shift(rows: Rows) -> None:
        for row in rows:
            edits.label(row, 60)
        rows[:] = [row for row in rows if row[0].startswith(str(MIDDLE))]

    edits.edit(place.metrics("ETHUSDT", MIDDLE), shift)


@fault("another symbol's snapshots")
def snapshots_of_another_symbol(place: Place) -> None:
    shutil.copy(place.metrics("BTCUSDT", MIDDLE), place.metrics("ETHUSDT", MIDDLE))


@fault("another symbol's snapshots under this one's name")
def renamed_snapshots(place: Place) -> None:
    shutil.copy(place.metrics("BTCUSDT", MIDDLE), place.metrics("ETHUSDT", MIDDLE))
    edits.edit(place.metrics("ETHUSDT", MIDDLE), lambda rows: [row.__setitem__(1, "ETHUSDT") for row in rows])


# Behind the loaders' back: the warehouse was good, and somebody worked in it

_AT = f"symbol = 'ETHUSDT' and open_time = '{MIDDLE} 08:20'"


@fault("raw candles are gone, the ledger knows of them", behind=True)
def raw_rows_deleted(place: Place) -> None:
    place.change(
        f"delete from raw.binance_klines where symbol = 'ETHUSDT' and open_time between '{MIDDLE} 08:00' and "
        f"'{MIDDLE} 09:00'"
    )


@fault("raw snapshots are there twice", behind=True)
def raw_rows_doubled(place: Place) -> None:
    place.change(
        "insert into raw.binance_metrics select * from raw.binance_metrics where symbol = 'ETHUSDT' "
        f"and create_time between '{MIDDLE} 08:00' and '{MIDDLE} 09:00'"
    )


@fault("raw rows of no file", behind=True)
def raw_rows_of_nobody(place: Place) -> None:
    place.change(
        "insert into raw.binance_klines select * replace (file_id + 1000000 as file_id, "
        f"open_time + interval '30 days' as open_time) from raw.binance_klines where {_AT}"
    )


@fault("a raw candle has another close", behind=True)
def raw_row_altered(place: Place) -> None:
    place.change(f"update raw.binance_klines set close = low where {_AT}")


@fault("a candle of the marts has another volume", behind=True)
def mart_candle_altered(place: Place) -> None:
    place.change(f"update marts.klines_5m set volume = volume + 1 where {_AT}")


@fault("a candle of the marts is gone", behind=True)
def mart_candle_deleted(place: Place) -> None:
    place.change(f"delete from marts.klines_5m where {_AT}")


@fault("a snapshot of the marts has another value", behind=True)
def mart_snapshot_altered(place: Place) -> None:
    place.change(
        "update marts.open_interest_5m set open_interest_usd = open_interest_usd * 2 "
        f"where symbol = 'ETHUSDT' and snapshot_at = '{MIDDLE} 08:20'"
    )


@fault("a candle's side is the other one", behind=True)
def mart_side_altered(place: Place) -> None:
    place.change(
        "update marts.candles_with_side set inferred_side = if(inferred_side = 'long', 'short', 'long') "
        f"where symbol = 'ETHUSDT' and inferred_side is not null and cast(open_time as date) = '{MIDDLE}'"
    )


@fault("levels have another liquidation price", behind=True)
def mart_level_altered(place: Place) -> None:
    place.change(
        "update marts.liquidation_levels set liquidation_price = liquidation_price * 0.999 "
        "where symbol = 'ETHUSDT' and side = 'long' and leverage = 10"
    )


@fault("the map holds ten times as much in a bin", behind=True)
def mart_map_altered(place: Place) -> None:
    place.change(
        "update marts.liquidation_map set volume_usd = volume_usd * 10, cumulative_volume_usd = "
        "cumulative_volume_usd * 100 where symbol = 'ETHUSDT' and leverage = 10"
    )


@fault("an old step of the heatmap holds ten times as much", behind=True)
def mart_heatmap_altered(place: Place) -> None:
    place.change(
        "update marts.liquidation_heatmap set volume_usd = volume_usd * 10 "
        f"where symbol = 'ETHUSDT' and bucket_at = '{MIDDLE} 09:00'"
    )


@fault("a gap is taken out of data_gaps, and its candle out of the marts", behind=True)
def gap_hidden(place: Place) -> None:
    place.change(
        f"delete from marts.klines_5m where {_AT}",
        "delete from marts.data_gaps",
        f"update marts.data_completeness set present = present - 1, expected = expected - 1 where day = '{MIDDLE}'",
    )


# Reference data


@fault("weights of the leverages that do not sum to 1", project=True)
def wrong_leverage_weight(place: Place) -> None:
    edits.replace_text(place.project / "seeds/leverage_weights.csv", "\n10,0.30", "\n10,0.80")


@fault("a margin rate with a shifted decimal", project=True)
def wrong_bracket(place: Place) -> None:
    rate = "\nETHUSDT,2024-10-01,2,50000,600000,{},100,"
    edits.replace_text(place.project / "seeds/margin_brackets.csv", rate.format("0.005"), rate.format("0.05"))


@fault("a threshold that is missing", project=True)
def missing_threshold(place: Place) -> None:
    path = place.project / "seeds/quality_thresholds.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("high_low,")))
