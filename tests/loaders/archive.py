"""Small archive files for tests, and what a warehouse holds."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from loaders import warehouse
from loaders.ingest import load
from loaders.ingest.load import LoadResult, Request
from loaders.progress import Lines
from loaders.selection import Selection
from loaders.settings import Settings

KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
TRADES = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
FUNDING = "calc_time,funding_interval_hours,last_funding_rate"
ORDERS = (
    "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,last_fill_quantity,"
    "accumulated_fill_quantity"
)

STEP = 300_000
TABLES = (
    "binance_klines",
    "binance_agg_trades",
    "binance_metrics",
    "binance_funding_rates",
    "binance_liquidations",
    "kraken_ohlcvt",
    "external_levels",
)


def utc(*parts: int) -> datetime:
    """A time as the tables hold it: UTC, without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type,misc]


def day_ms(day: str) -> int:
    """Milliseconds at the start of a UTC day."""
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)


def kline(time_ms: int, price: int = 100, *, step: int = STEP, per_ms: int = 1) -> str:
    """A candle that opens at `time_ms`; `per_ms` 1000 writes microseconds."""
    close = (time_ms + step) * per_ms - 1
    return f"{time_ms * per_ms},{price}.0,{price + 2}.5,{price - 1}.25,{price}.5,10.5,{close},1055.2,7,4.5,452.1,0"


def klines(day: str, count: int = 288, price: int = 100) -> list[str]:
    """Rows of a five-minute file."""
    return [kline(day_ms(day) + step * STEP, price + step % 7) for step in range(count)]


def trades(day: str, count: int = 200, first: int = 1000) -> list[str]:
    """Rows of an aggTrades file."""
    return [
        f"{first + n},{100 + n % 5}.1,0.{n % 9 + 1},{2 * (first + n)},{2 * (first + n) + 1},{day_ms(day) + n * 1000},"
        f"{'true' if n % 2 else 'false'}"
        for n in range(count)
    ]


def metrics(day: str, count: int = 288, symbol: str = "BTCUSDT") -> list[str]:
    """Rows of a metrics file; some ratios are blank."""
    return [
        f"{day} {n // 12:02}:{n % 12 * 5:02}:00,{symbol},{1000 + n}.5,{100000 + n}.1234567890123456,,1.25,"
        f"{1 + n / 1000:.4f},0.5000"
        for n in range(count)
    ]


def text(rows: Sequence[str], header: str | None = None) -> str:
    """A file's content."""
    return "".join(f"{line}\n" for line in ([header] if header else []) + list(rows))


def write(path: Path, content: str | bytes) -> Path:
    """Writes a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_zip(path: Path, content: str | bytes, member: str | None = None) -> Path:
    """Writes an archive with one member, named as the archive names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed date, so that the same content makes the same archive.
        inside = zipfile.ZipInfo(member or path.stem + ".csv")
        inside.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(inside, content)
    return path


def write_gz(path: Path, content: str) -> Path:
    """Writes a gzipped file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()))
    return path


class House:
    """A temporary warehouse and the folder that is loaded into it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.path = folder / "warehouse.duckdb"
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(**{"batch_files": 4, **settings})

    def place(self, name: str, kind: str = "klines/BTCUSDT/5m", period: str = "daily") -> Path:
        """Where the archive would keep a USD-M file."""
        return self.data / "futures" / "um" / period / kind / name

    def load(self, *folders: Path, **request: Any) -> LoadResult:
        """Loads the folder, or those given."""
        wanted = Request(folders or (self.data,), request.pop("selection", Selection()), **{"retries": 0, **request})
        with warehouse.writer(self.settings, self.path, readable=wanted.folders) as opened:
            return load.load(opened, self.settings, wanted, Lines())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a read-only query."""
        with duckdb.connect(self.path, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Raw rows with what their file is, and the ledger, without ids, jobs and times of landing."""
        file = "f.dataset, f.symbol, f.interval, f.period_start, f.period_end"
        found = {
            table: self.query(
                f"select r.* exclude (file_id), {file} from raw.{table} r join ops.ingestion_files f using (file_id)"
                " where f.status = 'loaded' order by all"
            )
            for table in TABLES
        }
        for table in TABLES:
            assert self.query(f"select count(*) from raw.{table}") == [(len(found[table]),)], f"{table} has orphans"
        found["files"] = self.query(
            """
            select path, sha256, dataset, market, kline_type, symbol, "interval", period_start, status,
                rows_read, rows_loaded, rows_duplicate, rows_rejected, first_time, last_time, error_message
            from ops.ingestion_files
            order by all
            """
        )
        found["rejected"] = self.query("select line_number, line, reason from ops.rejected_rows order by all")
        return found

    def consistent(self) -> None:
        """Asserts what holds after any run: the ledger tells of exactly what is in raw, and of changes for it."""
        for table in TABLES:
            odd = self.query(
                f"""
                with
                counted as (select file_id, count(*) as rows from raw.{table} group by file_id),
                told as (
                    select file_id, rows_loaded as rows from ops.ingestion_files
                    where status = 'loaded' and file_id in (select file_id from raw.{table})
                )
                select * from counted full join told using (file_id)
                where counted.rows is distinct from told.rows
                """
            )
            assert odd == []
        assert (
            self.query(
                """
                with counted as (
                    select file_id, min(agg_trade_id) as low, max(agg_trade_id) as high
                    from raw.binance_agg_trades
                    group by file_id
                )
                select * from ops.ingestion_files as files left join counted using (file_id)
                where status = 'loaded' and (first_id, last_id) is distinct from (low, high)
                """
            )
            == []
        )
        assert (
            self.query(
                "select * from ops.ingestion_files where rows_read <> rows_loaded + rows_duplicate + rows_rejected"
            )
            == []
        )
        assert (
            self.query(
                'select dataset, market, kline_type, symbol, "interval", period_start, origin, provider'
                " from ops.ingestion_files where status = 'loaded' group by all having count(*) > 1"
            )
            == []
        )
        landed = self.query("select sum(rows_loaded) from ops.ingestion_files where status = 'loaded'")[0][0] or 0
        assert landed == sum(self.query(f"select count(*) from raw.{table}")[0][0] for table in TABLES)
        assert (
            self.query(
                "select file_id from ops.ingestion_files where status = 'loaded'"
                " and file_id not in (select file_id from ops.ingestion_changes)"
            )
            == []
        )
