"""`backfill` and `plan` against the replay server: pages, limits, what is kept, what is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loaders import warehouse
from loaders.datasets import Series
from loaders.ingest.load import Request
from loaders.progress import Lines, TransferLines
from loaders.queries import completeness, gaps
from loaders.runs import backfill as backfilling
from loaders.runs import fetch as fetching
from loaders.runs import pipeline, source_plan, sourcing
from loaders.runs.backfill import BackfillResult
from loaders.runs.fetch import FetchResult
from loaders.runs.source_plan import SourcePlan
from loaders.runs.sourcing import SourceRequest
from loaders.selection import Selection
from loaders.sources.binance_rest import BinanceRest
from loaders.sources.http import Client
from tests.support import archive, replay
from tests.support.replay import Replay, status
from tests.support.warehouse import Warehouse

NOW = datetime(2026, 7, 4, 9, 2, 30, tzinfo=UTC)
DATA = Path(__file__).parents[4] / "shared" / "data"


def selection(*symbols: str, **more: Any) -> Selection:
    return Selection(symbols=frozenset(symbols), **more)


@dataclass
class Place:
    """A replay server and a warehouse that asks it."""

    server: Replay
    warehouse: Warehouse

    def request(self, wanted: Selection | None = None) -> SourceRequest:
        """What is asked for; without a selection what is there."""
        return SourceRequest((self.warehouse.data,), wanted or Selection())

    def backfill(self, wanted: Selection | None = None, *, dry_run: bool = False) -> BackfillResult:
        """A backfill in this process."""
        return backfilling.backfill(
            self.warehouse.settings,
            self.warehouse.path,
            self.request(wanted),
            Lines(),
            dry_run=dry_run,
            now=self.server.now,
        )

    def fetch(self, wanted: Selection | None = None) -> FetchResult:
        """A fetch in this process."""
        return fetching.fetch(
            self.warehouse.settings, self.warehouse.path, self.request(wanted), TransferLines(), now=self.server.now
        )

    def plan(self, wanted: Selection | None = None) -> SourcePlan:
        """What comes from where."""
        return source_plan.make(
            self.warehouse.settings, self.warehouse.path, self.request(wanted), print, now=self.server.now
        )

    def times(self, table: str, column: str) -> list[datetime]:
        """Different times of a raw table."""
        return [time for (time,) in self.warehouse.query(f"select distinct {column} from raw.{table} order by 1")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    server = Replay(NOW)
    with replay.serve(server) as address:
        yield Place(server, Warehouse(tmp_path, **replay.settings_for(address)))


def grid(start: str, end: str) -> list[datetime]:
    """Five-minute times as the tables hold them, `end` excluded."""
    times = archive.steps(datetime.fromisoformat(start), datetime.fromisoformat(end), 5)
    return list(times)


def test_a_new_symbol_from_a_day_to_now_without_gap_or_unfinished_candle(place: Place) -> None:
    result = place.backfill(selection("BTCUSDT", start=archive.day("2026-06-20")))
    assert result.exit_status == 0
    assert place.times("binance_klines", "open_time") == grid("2026-06-20T00:00", "2026-07-04T09:00")
    # The snapshot of 09:00 is there, the candle that opened then is still forming.
    assert place.times("binance_metrics", "create_time") == grid("2026-06-20T00:00", "2026-07-04T09:05")
    assert len(place.times("binance_funding_rates", "calc_time")) == 14 * 3 + 2
    assert place.warehouse.query("select count(*), count(distinct open_time) from raw.binance_klines") == [(4140, 4140)]
    place.warehouse.consistent()
    # 4,140 candles are three pages of 1,500, 4,141 snapshots nine of 500.
    assert (len(place.server.asked("/fapi/v1/klines")), len(place.server.asked("openInterest"))) == (3, 9)


def test_the_same_once_more_asks_nothing(place: Place) -> None:
    place.backfill(selection("BTCUSDT", start=archive.day("2026-07-03")))
    before = place.warehouse.contents()
    place.server.log.clear()
    assert place.backfill().attempts == []
    assert place.server.log == []
    assert place.warehouse.contents() == before


def test_a_rebuild_needs_no_network(place: Place) -> None:
    place.backfill(selection("BTCUSDT", start=archive.day("2026-07-03")))
    before = place.warehouse.contents()
    place.warehouse.path.unlink()
    place.server.log.clear()
    place.warehouse.load()
    assert place.server.log == []
    after = place.warehouse.contents()
    assert after == before


def test_later_runs_go_on_where_the_last_row_is(place: Place) -> None:
    place.backfill(selection("BTCUSDT", start=archive.day("2026-07-04")))
    place.server.now = NOW + timedelta(minutes=10)
    place.server.log.clear()
    result = place.backfill()
    assert [(one.series.dataset, one.present) for one in result.attempts] == [("klines", 2), ("metrics", 2)]
    # A page asks for no more than it needs, which weighs less.
    assert place.server.asked("klines") == [line for line in place.server.asked("klines") if line.endswith("limit=2")]


def test_what_the_exchange_has_not_published_yet_is_asked_for_again(place: Place) -> None:
    late = NOW.replace(minute=0, second=0)
    place.server.absent = lambda symbol, at: at == late
    wanted = selection("BTCUSDT", start=archive.day("2026-07-04"), datasets=frozenset({"metrics"}))
    place.backfill(wanted)
    assert place.times("binance_metrics", "create_time")[-1] == grid("2026-07-04T08:55", "2026-07-04T09:00")[0]
    place.server.absent = lambda symbol, at: False
    place.backfill()
    assert place.times("binance_metrics", "create_time")[-1] == late.replace(tzinfo=None)


#: What the commands ask of a build, and all below it.
GAPS = ("--select", "+data_gaps", "+data_completeness", "+klines_5m")


def test_from_an_empty_folder_to_no_fillable_gap(place: Place, tmp_path: Path) -> None:
    """Fetch, load, build, gaps, backfill, gaps; then the same again, which asks for listings alone."""
    gap = archive.day("2026-07-02").replace(hour=7)
    lost = archive.day("2026-07-02").replace(hour=9)

    def keep(at: datetime) -> bool:
        return not (gap <= at < gap + timedelta(minutes=20) or lost <= at < lost + timedelta(minutes=10))

    root = tmp_path / "published"
    for day in ("2026-07-01", "2026-07-02", "2026-07-03"):
        place.server.publish(archive.klines(root, "BTCUSDT", day, keep=keep), root)
        place.server.publish(archive.metrics(root, "BTCUSDT", day, keep=keep), root)
    place.server.absent = lambda symbol, at: lost <= at < lost + timedelta(minutes=10)
    assert len(place.fetch(selection("BTCUSDT")).wanted) == 6
    place.warehouse.load()
    place.warehouse.build_untested(*GAPS)
    assert _gaps(place) == [(dataset, missing, None, True) for dataset in ("klines", "metrics") for missing in (4, 2)]
    place.backfill()
    # The build has not seen it yet; nothing is left to ask for.
    found = {(dataset, missing): (attempt, fillable) for dataset, missing, attempt, fillable in _gaps(place)}
    assert found == {
        (dataset, missing): outcome
        for dataset in ("klines", "metrics")
        for missing, outcome in ((4, ("filled", False)), (2, ("not to be had", False)))
    }
    for is_built in (False, True):
        if is_built:
            place.warehouse.build_untested(*GAPS)
        before = (place.warehouse.contents(), sorted(place.warehouse.data.rglob("*")))
        place.server.log.clear()
        assert (place.fetch().wanted, place.warehouse.load().totals.files_loaded, place.backfill().attempts) == (
            [],
            0,
            [],
        )
        assert place.server.log == place.server.asked("^/listing")
        assert (place.warehouse.contents(), sorted(place.warehouse.data.rglob("*"))) == before
    assert _gaps(place) == [("klines", 2, "not to be had", False), ("metrics", 2, "not to be had", False)]
    sources = "select distinct source from marts.klines_5m where open_time >= '2026-07-02 07:00' and open_time < {end}"
    assert place.warehouse.query(sources.format(end="'2026-07-02 07:20'")) == [("rest",)]
    with warehouse.reader(place.warehouse.path) as connection:
        report = completeness.find(connection, Selection(), {"BTC": "TIER1"}, NOW.replace(tzinfo=None))
    assert [(one.tier, one.asset, one.dataset, one.interval, one.gaps, one.advice) for one in report] == [
        ("TIER1", "BTC", dataset, "5m", 1, "none: the exchange has none") for dataset in ("klines", "metrics")
    ]
    assert [one.expected - one.present for one in report] == [2, 2]
    # A later archive file takes precedence.
    place.server.publish(archive.klines(root, "BTCUSDT", "2026-07-02"), root, day=5)
    assert [one.reason for one in place.fetch().wanted] == ["changed in the archive"]
    place.warehouse.load()
    place.warehouse.build_untested(*GAPS)
    assert place.warehouse.query(sources.format(end="'2026-07-03'")) == [("klines_5m",)]


@pytest.mark.usefixtures("forked_dbt")
def test_a_run_without_dates_goes_from_the_last_row_to_now(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive has whole days, the exchange what came since; what is published reaches the last closed candle."""
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    # The steps of a run know no other clock.
    now = place.server.now = datetime.now(UTC)
    days = [f"{now - timedelta(days=ago):%Y-%m-%d}" for ago in (3, 2, 1)]
    archive.klines(place.warehouse.data, "BTCUSDT", days[0])
    archive.metrics(place.warehouse.data, "BTCUSDT", days[0])
    place.warehouse.load()
    for day in days[1:]:
        place.server.publish(archive.klines(tmp_path / "published", "BTCUSDT", day), tmp_path / "published")
        place.server.publish(archive.metrics(tmp_path / "published", "BTCUSDT", day), tmp_path / "published")
    target = tmp_path / "marts.duckdb"
    done = pipeline.run(
        place.warehouse.settings,
        place.warehouse.path,
        Request((place.warehouse.data,), Selection()),
        target,
        Lines(),
        say=print,
        sources=pipeline.SOURCE_STEPS,
    )
    assert {step.name: step.outcome for step in done.steps} == dict.fromkeys(
        ("fetch", "backfill", "check", "load", "build", "validate", "publish", "report"), "ok"
    )
    with duckdb.connect(str(target), read_only=True) as connection:
        candles = [time for (time,) in connection.execute("select open_time from klines_5m order by 1").fetchall()]
    closed = now - timedelta(minutes=now.minute % 5, seconds=now.second, microseconds=now.microsecond)
    assert candles == grid(days[0], f"{closed:%Y-%m-%dT%H:%M}")
    assert len(place.server.asked("/fapi/v1/klines")) == 1


def _gaps(place: Place) -> list[tuple[str, int, str | None, bool]]:
    with warehouse.reader(place.warehouse.path) as connection:
        found = gaps.find(connection, Selection(), NOW.replace(tzinfo=None))
    return [(gap.dataset, gap.missing, gap.attempt, gap.fillable) for gap in found]


def test_open_interest_older_than_thirty_days_is_not_asked_for(place: Place) -> None:
    result = place.backfill(selection("BTCUSDT", start=archive.day("2026-05-01"), datasets=frozenset({"metrics"})))
    assert place.times("binance_metrics", "create_time")[0] == datetime.fromisoformat("2026-06-04T09:35")
    assert [one.outcome for one in result.attempts] == ["filled"]
    assert len(place.server.asked("openInterest")) == 18


def test_an_unknown_symbol_is_told(place: Place) -> None:
    result = place.backfill(selection("NONEUSDT", start=archive.day("2026-07-01"), datasets=frozenset({"klines"})))
    assert [(one.outcome, one.answer) for one in result.attempts] == [
        ("not to be had", "refused: Invalid symbol. (-1121)")
    ]
    assert result.exit_status == 0


def test_an_exchange_that_does_not_answer_leaves_what_came_and_the_other_one(place: Place) -> None:
    kraken = selection("XBTUSD", datasets=frozenset({"ohlcvt"}), intervals=frozenset({"1h"}))
    place.backfill(kraken)
    place.server.now = NOW + timedelta(hours=2)
    place.server.fault("openInterest", status(503), times=1000)
    wanted = selection("BTCUSDT", "XBTUSD", start=archive.day("2026-07-03"))
    result = place.backfill(wanted)
    outcomes = {(one.series.exchange, one.series.dataset): one.outcome for one in result.attempts}
    assert outcomes == {
        ("binance", "klines"): "filled",
        ("binance", "metrics"): "failed",
        ("binance", "fundingRate"): "filled",
        ("kraken", "ohlcvt"): "filled",
    }
    assert result.exit_status == 75
    # A failed attempt is made again.
    place.server.faults.clear()
    assert place.backfill().exit_status == 0
    assert place.times("binance_metrics", "create_time") == grid("2026-07-03T00:00", "2026-07-04T11:05")


def test_a_clock_that_is_ahead_stores_no_candle_that_has_not_closed(place: Place) -> None:
    place.server.now = NOW - timedelta(minutes=7)
    backfilling.backfill(
        place.warehouse.settings,
        place.warehouse.path,
        place.request(selection("BTCUSDT", start=archive.day("2026-07-04"), datasets=frozenset({"klines"}))),
        Lines(),
        now=NOW,
    )
    assert place.times("binance_klines", "open_time")[-1] == datetime.fromisoformat("2026-07-04T08:50")


def test_no_limit_is_passed_and_few_requests_are_more_than_needed(tmp_path: Path) -> None:
    """30 days of ten symbols: the server counts the weight and would ban."""
    symbols = [f"C{number}USDT" for number in range(10)]
    server = Replay(NOW, symbols=frozenset(symbols))
    with replay.serve(server) as address:
        place = Place(server, Warehouse(tmp_path, **replay.settings_for(address)))
        wanted = Selection(symbols=frozenset(symbols), start=archive.day("2026-06-05"))
        with sourcing.sources(place.warehouse.settings, print) as opened:
            attempts = backfilling.needs(place.warehouse.path, place.request(wanted), opened, NOW)
            planned = sum(len(opened.rest["binance"].pages(one.series, [(one.start, one.end)])) for one in attempts)
    candles = (29 * 288 + 9 * 12) / 1500
    snapshots = (29 * 288 + 9 * 12 + 1) / 500
    assert planned == 10 * (-(-candles // 1) + -(-snapshots // 1) + 1)


def test_weights_are_kept_within_the_server_s_limit(tmp_path: Path) -> None:
    server = Replay(NOW, weight_limit=200, minute_seconds=1.0)
    with (
        replay.serve(server) as address,
        Client("Binance REST", address, Warehouse(tmp_path, **replay.settings_for(address)).settings) as client,
    ):
        rest = BinanceRest(client, minute_seconds=1.0, weight_a_minute=200)
        series = Series("binance", "klines", "um", "last", "NONEUSDT", "5m")
        start = archive.day("2026-01-01")
        for _ in range(60):
            with pytest.raises(Exception, match="Invalid symbol"):
                rest.read(series, (start, start + timedelta(minutes=5 * 1500)))
    assert (server.bans, len(server.log)) == (0, 60)


KRAKEN = {"datasets": frozenset({"ohlcvt"}), "intervals": frozenset({"1h"})}


def test_kraken_s_newest_candles_under_its_long_name_without_the_last_and_the_empty(place: Place) -> None:
    quiet = datetime(2026, 7, 1, 3, tzinfo=UTC)
    place.server.absent = lambda symbol, at: at == quiet
    result = place.backfill(selection("XXBTZUSD", **KRAKEN))
    times = place.times("kraken_ohlcvt", "timestamp")
    assert len(times) == 719 - 1
    assert times[-1] == NOW.replace(hour=8, minute=0, second=0, tzinfo=None)
    assert quiet.replace(tzinfo=None) not in times
    assert [(one.series.symbol, one.outcome) for one in result.attempts] == [("XBTUSD", "filled")]
    assert place.warehouse.query("select distinct pair, interval_minutes from raw.kraken_ohlcvt") == [("XBTUSD", 60)]


@pytest.mark.parametrize("error", ["EGeneral:Too many requests", "EAPI:Rate limit exceeded", "EService:Unavailable"])
def test_kraken_s_passing_errors_inside_a_200_are_waited_out(place: Place, error: str) -> None:
    place.server.fault("OHLC", status(200, json.dumps({"error": [error]}).encode()), times=2)
    assert place.backfill(selection("XBTUSD", **KRAKEN)).attempts[0].outcome == "filled"
    assert len(place.server.asked("OHLC")) == 3


def test_an_unknown_pair_is_told(place: Place) -> None:
    result = place.backfill(selection("NONEUSD", **KRAKEN))
    assert [(one.outcome, one.answer) for one in result.attempts] == [("not to be had", "EQuery:Unknown asset pair")]


def test_kraken_has_no_candles_of_twelve_hours(place: Place) -> None:
    wanted = selection("XBTUSD", datasets=frozenset({"ohlcvt"}), intervals=frozenset({"12h"}))
    assert place.backfill(wanted).attempts == []
    assert place.server.log == []


@pytest.mark.skipif(not DATA.is_dir(), reason="the real records are not here")
def test_a_recorded_answer_of_kraken(place: Place) -> None:
    recorded = json.loads((DATA / "kraken/rest/OHLC.json").read_text())
    rows = next(rows for name, rows in recorded["result"].items() if name != "last")
    place.server.kraken_answer = recorded
    place.server.now = datetime.fromtimestamp(rows[-1][0] + 30, UTC)
    wanted = selection("XBTUSD", datasets=frozenset({"ohlcvt"}), intervals=frozenset({"1m"}))
    place.backfill(wanted)
    expected = [(datetime.fromtimestamp(row[0], UTC).replace(tzinfo=None), row[7]) for row in rows[:-1] if row[7]]
    assert place.warehouse.query('select "timestamp", trades from raw.kraken_ohlcvt order by 1') == expected


def test_following_survives_drops_and_a_busy_warehouse(place: Place) -> None:
    place.backfill(selection("BTCUSDT", start=archive.day("2026-07-04")))
    told: list[str] = []
    builds = warehouse.write_lock(place.warehouse.path)
    after: list[Callable[[], Any]] = [
        # The exchange is away for a round.
        lambda: place.server.fault("fapi|futures", replay.cut(), times=8),
        # Somebody builds during the next one.
        lambda: builds.__enter__(),
        lambda: builds.__exit__(None, None, None),
        lambda: None,
    ]

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 320
        place.server.now += timedelta(seconds=seconds)
        after.pop(0)()

    backfilling.follow(
        place.warehouse.settings,
        place.warehouse.path,
        place.request(),
        Lines,
        told.append,
        rounds=5,
        sleep=sleep,
        clock=lambda: place.server.now,
    )
    end = place.server.now.replace(second=0, tzinfo=None)
    assert place.times("binance_klines", "open_time")[-1] == end - timedelta(minutes=5)
    assert place.times("binance_metrics", "create_time") == grid("2026-07-04T00:00", f"{end + timedelta(minutes=5)}")
    assert any("busy" in line for line in told)
    # One file for each series and day, beside the first backfill's.
    assert len(list((place.warehouse.data / "rest").rglob("rest-*T000000Z-20260705T000000Z.csv"))) == 2
    place.warehouse.consistent()


def test_the_plan_says_what_fetch_and_backfill_then_do(place: Place, tmp_path: Path) -> None:
    """On disk: June's last day; in the archive: July's first; the rest from REST; older trades from nobody."""
    root = tmp_path / "published"
    archive.klines(place.warehouse.data, "BTCUSDT", "2026-06-30")
    place.server.publish(archive.klines(root, "BTCUSDT", "2026-07-01"), root)
    archive.agg_trades(place.warehouse.data, "BTCUSDT", "2026-06-30", 1)
    made = place.plan()
    assert [
        (part.series.dataset, part.where.value, f"{part.start:%m-%d %H}", f"{part.end:%m-%d %H}") for part in made.parts
    ] == [
        ("aggTrades", "disk", "06-30 00", "07-01 00"),
        ("aggTrades", "nobody", "07-01 00", "07-04 09"),
        ("klines", "disk", "06-30 00", "07-01 00"),
        ("klines", "archive", "07-01 00", "07-02 00"),
        ("klines", "rest", "07-02 00", "07-04 09"),
    ]
    source_plan.write_list(made, tmp_path / "list.tsv")
    names = [line.split("\t")[0].rpartition("/")[2] for line in (tmp_path / "list.tsv").read_text().splitlines()]
    assert names == [f"BTCUSDT-aggTrades-2026-07-0{day}.zip" for day in (1, 2, 3, 4)]
    assert [one.file.name for one in place.fetch().wanted] == ["BTCUSDT-5m-2026-07-01.zip"]
    result = place.backfill()
    assert [(f"{one.start:%m-%d %H}", f"{one.end:%m-%d %H}") for one in result.attempts] == [("07-02 00", "07-04 09")]
    assert {part.where.value for part in place.plan().parts if part.series.dataset == "klines"} == {"disk"}


def test_what_kraken_does_not_serve_is_listed_by_its_quarters(place: Place) -> None:
    at = archive.milliseconds(archive.day("2026-01-10")) // 1000
    archive.write(place.warehouse.data / "Kraken_OHLCVT" / "XBTUSD_60.csv", [f"{at},1,2,0.5,1.5,3,4"])
    place.warehouse.load()
    made = place.plan()
    assert [part.where.value for part in made.parts] == ["disk", "nobody", "rest"]
    assert [one.name for one in made.downloads] == ["Kraken_OHLCVT_Q1_2026.zip", "Kraken_OHLCVT_Q2_2026.zip"]
