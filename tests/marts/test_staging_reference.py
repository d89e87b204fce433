"""Staging against a plain reference: a dict, filled file by file, best file last.

Random archives (missing rows, overlaps of days and months, re-publications, headers, units, packing) are landed in
random batches and order; what the staging views give must be what the dict holds.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import warehouse
from tests.support.archive import KLINES, TRADES
from tests.support.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[2]
DAYS = (30, 31, 32)
HOURS = 24
ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class File:
    """A file as published: `days` it covers (one, or those of its month), and how it is written."""

    dataset: str
    days: tuple[int, ...]
    lacks: frozenset[int]
    revision: int
    header: bool
    microseconds: bool
    packed: bool

    @property
    def name(self) -> str:
        """File name without its ending, as the archive has it."""
        start = ORIGIN + timedelta(days=self.days[0] - 1)
        period = f"{start:%Y-%m-%d}" if len(self.days) == 1 else f"{start:%Y-%m}"
        return f"BTCUSDT-{'aggTrades' if self.dataset == 'aggTrades' else '1h'}-{period}"

    def keys(self) -> Iterator[int]:
        """Hours since the origin that have a row; for trades the number of the trade, too."""
        return (
            (day - 1) * HOURS + hour
            for day in self.days
            for hour in range(HOURS)
            if (day * HOURS + hour) % 31 not in self.lacks
        )

    def value(self, key: int) -> Decimal:
        """The price of a row: another one in each revision, so that a wrong choice shows."""
        return Decimal(100 + key) + Decimal(self.revision) / 8

    def content(self) -> bytes:
        """The CSV."""
        unit = 1000 if self.microseconds else 1
        lines = [KLINES if self.dataset == "klines" else TRADES] if self.header else []
        for key in self.keys():
            start = int((ORIGIN + timedelta(hours=key)).timestamp() * 1000)
            price = self.value(key)
            if self.dataset == "klines":
                end = (start + 3_600_000) * unit - 1
                lines.append(f"{start * unit},{price},{price},{price},{price},1.5,{end},150.25,3,0.5,50.125,0")
            else:
                lines.append(f"{key},{price},0.25,{key * 2},{key * 2 + 1},{(start + 1) * unit},true")
        return "".join(f"{line}\n" for line in lines).encode()

    def write(self, house: Warehouse) -> str:
        """Writes the file, in place of any earlier revision; returns its sha256."""
        length = "daily" if len(self.days) == 1 else "monthly"
        kind = "aggTrades/BTCUSDT" if self.dataset == "aggTrades" else "klines/BTCUSDT/1h"
        folder = house.data / "data/futures/um" / length / kind
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{self.name}.*"):
            old.unlink()
        content = self.content()
        if self.packed:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(zipfile.ZipInfo(f"{self.name}.csv"), content)
            content = buffer.getvalue()
        (folder / f"{self.name}{'.zip' if self.packed else '.csv'}").write_bytes(content)
        return hashlib.sha256(content).hexdigest()


periods = st.sampled_from([(30,), (31,), (32,), (30, 31)])
files = st.builds(
    File,
    dataset=st.sampled_from(["klines", "aggTrades"]),
    days=periods,
    lacks=st.frozensets(st.integers(0, 30), max_size=20),
    revision=st.integers(0, 7),
    header=st.booleans(),
    microseconds=st.booleans(),
    packed=st.booleans(),
)
batches = st.lists(st.lists(files, min_size=1, max_size=6), min_size=1, max_size=4)


def reference(present: dict[tuple[str, str], tuple[File, str]], dataset: str) -> dict[int, Decimal]:
    """What staging must hold: of each key the row of the shorter period, then of the lower hash."""
    chosen: dict[int, Decimal] = {}
    candidates = [(file, sha256) for file, sha256 in present.values() if file.dataset == dataset]
    for file, _ in sorted(candidates, key=lambda item: (len(item[0].days), item[1]), reverse=True):
        chosen.update({key: file.value(key) for key in file.keys()})  # noqa: SIM118
    return chosen


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The staging views' own SQL, as dbt makes them in an empty warehouse."""
    house = Warehouse(tmp_path_factory.mktemp("views"))
    names = [
        "base_ops__overlapping_files",
        "base_ops__superseded_ids",
        "base_ops__contested_files",
        "base_ops__better_files_with_gaps",
        "base_binance__klines",
        "base_binance__agg_trades",
        "stg_binance__klines",
        "stg_binance__agg_trades",
    ]
    house.dbt("run", "--select", *names)
    rows = house.query("select view_name, sql from duckdb_views() where schema_name = 'staging' order by view_oid")
    order = {name: place for place, name in enumerate(names)}
    return [sql for _, sql in sorted(rows, key=lambda row: order[row[0]])]


@settings(
    max_examples=int(os.environ.get("ARCHIVE_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(history=batches)
def test_staging_is_the_reference(views: list[str], history: list[list[File]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = Warehouse(Path(folder))
        present: dict[tuple[str, str], tuple[File, str]] = {}
        for batch in history:
            for file in batch:
                if not list(file.keys()):
                    continue
                present[file.dataset, file.name] = file, file.write(house)
            house.load()
        if not present:
            return
        with warehouse.reader(house.path) as connection:
            # The views name their warehouse, which is called the same here.
            for sql in views:
                connection.execute(
                    sql.replace("CREATE VIEW", "CREATE TEMP VIEW")
                    .replace("warehouse.staging.", "")
                    .replace("staging.", "")
                )
            for dataset, query in (
                ("klines", "select (epoch_ms(open_time) - $1) // 3600000, close from stg_binance__klines"),
                ("aggTrades", "select agg_trade_id, price from stg_binance__agg_trades where $1 > 0"),
            ):
                rows = connection.execute(query, [int(ORIGIN.timestamp() * 1000)]).fetchall()
                assert len({key for key, _ in rows}) == len(rows), "a key stands once"
                assert dict(rows) == reference(present, dataset)
