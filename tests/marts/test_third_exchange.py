"""Candles of an exchange that nobody has thought of yet: eight files, four of them new, and nothing else.

A copy of the project is given an exchange whose symbol and dataset have the names of Binance's. It lands beside it,
gets its own candles, gaps and days, and can be forgotten alone; Binance's marts do not see it.
"""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support import archive
from tests.support.warehouse import PROJECT, Warehouse

DAY = "2024-03-02"

#: Files that the candles of a new exchange add, and what they change in others: (what stands there, what comes behind).
NEW = {
    "loaders/datasets/newex.py": '''"""Candles of an exchange: `newex-{SYMBOL}-{interval}.csv`, no header, seconds."""

from __future__ import annotations

import re

from loaders.datasets.base import INTERVALS, SYMBOL, Column, FileLayout, Identity, Kind

_NAME = re.compile(rf"newex-(?P<symbol>{SYMBOL.pattern})-(?P<interval>{'|'.join(INTERVALS)})[.]csv")

CANDLES = FileLayout(
    name="newexCandles",
    exchange="newex",
    dataset="klines",
    table="newex_candles",
    columns=(
        Column("open_time", Kind.EPOCH),
        *(Column(name, Kind.DECIMAL) for name in ("open", "high", "low", "close", "volume")),
    ),
    key=("open_time",),
    time="open_time",
    checks=(("open_time is not a multiple of the interval", "{aligned}"),),
)


def identify(name: str) -> tuple[str, Identity] | None:
    """Layout and identity of a file of this exchange."""
    if match := _NAME.fullmatch(name):
        return CANDLES.name, Identity(
            "newex", CANDLES.dataset, "spot", "last", match["symbol"], match["interval"], None, None
        )
    return None
''',
    "models/staging/newex/_newex__sources.yml": """version: 2

sources:
  - name: raw_newex
    schema: raw
    description: Candles as the exchange publishes them.
    tables:
      - name: newex_candles
        description: One row per market, symbol, interval, open time and file.
        config:
          meta:
            exchange: newex
            dataset: klines
            key: [market, symbol, interval, open_time]
            time: open_time
            file: "'newex-' || symbol || '-' || interval || '.csv'"
        columns:
          - {name: market, data_type: VARCHAR, description: Market.}
          - {name: symbol, data_type: VARCHAR, description: Symbol.}
          - {name: interval, data_type: VARCHAR, description: Length of the candle.}
          - {name: open_time, data_type: TIMESTAMP, description: Start of the candle.}
          - {name: open, data_type: "DECIMAL(18, 8)", description: First price.}
          - {name: high, data_type: "DECIMAL(18, 8)", description: Highest price.}
          - {name: low, data_type: "DECIMAL(18, 8)", description: Lowest price.}
          - {name: close, data_type: "DECIMAL(18, 8)", description: Last price.}
          - {name: volume, data_type: "DECIMAL(38, 8)", description: Quantity traded.}
          - {name: file_id, data_type: BIGINT, description: File.}
""",
    "models/staging/newex/stg_newex__candles.sql": """with

source as (

    {{ one_row_per_key('raw_newex', 'newex_candles') }}

),

renamed as (

    select
        'newex' as exchange,
        market,
        'last' as kline_type,
        symbol,
        interval,
        open,
        high,
        low,
        close,
        volume,
        open_time,
        file_id
    from source

)

select * from renamed
""",
    "models/staging/newex/_newex__models.yml": """version: 2

models:
  - name: stg_newex__candles
    description: One row per market, symbol, interval and open time.
    config:
      meta:
        key: [market, symbol, interval, open_time]
""",
}
CHANGED = {
    "loaders/datasets/__init__.py": [
        ("from loaders.datasets.names import identify\n", "from loaders.datasets.newex import CANDLES\n"),
        ("OHLCVT, LEVELS", ", CANDLES"),
    ],
    "loaders/datasets/names.py": [
        ("import INTERVALS, SYMBOL, Identity, Market, NameRefused\n", "from loaders.datasets import newex\n"),
        ('    contradicts it.\n    """\n', "    if found := newex.identify(name):\n        return found\n"),
    ],
    "macros/landing/landed_tables.sql": [
        ("        ('raw_kraken', 'kraken_ohlcvt'),\n", "        ('raw_newex', 'newex_candles'),\n"),
    ],
    "models/intermediate/market/int_candles.sql": [
        (
            "    ('stg_binance__klines', 'klines', []),\n",
            "    ('stg_newex__candles', 'klines', [\n"
            "        'close_time', 'quote_volume', 'trade_count', 'taker_buy_volume', 'taker_buy_quote_volume',\n"
            "    ]),\n",
        ),
    ],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project that knows of one exchange more."""
    assert len(NEW) + len(CHANGED) <= 8
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("loaders", "macros", "models", "seeds", "tests/dbt"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, folder / name)
    for name, text in NEW.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name, replacements in CHANGED.items():
        changed = (folder / name).read_text(encoding="utf-8")
        for before, added in replacements:
            assert changed.count(before) == 1, (name, before)
            changed = changed.replace(before, before + added)
        (folder / name).write_text(changed, encoding="utf-8")
    return folder


def test_candles_of_a_third_exchange_touch_eight_files(tmp_path: Path, project: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.project = project
    warehouse.environment = {"LOADERS_PROJECT_DIR": str(project), "PYTHONPATH": str(project)}
    archive.klines(warehouse.data, "AAAUSDT", DAY, keep=lambda time: time.hour != 7)
    start = archive.day(DAY)
    times = [start + timedelta(minutes=5 * step) for step in range(288) if not 24 <= step < 36]
    archive.write(
        warehouse.data / "newex-AAAUSDT-5m.csv",
        [f"{archive.milliseconds(time) // 1000},10,11,9,10.5,1" for time in times],
    )
    warehouse.run(sys.executable, "-m", "loaders", "load", "--data-dir", str(warehouse.data))
    only = ("--resource-type", "seed", "--resource-type", "model", "--select")
    warehouse.dbt("build", *only, "+candles", "+klines_5m", "+data_gaps", "+data_completeness")

    assert warehouse.query("select exchange, count(*), min(low) from marts.candles group by all order by all") == [
        ("binance", 276, warehouse.query("select min(low) from raw.binance_klines")[0][0]),
        ("newex", 276, 9),
    ]
    midnight = datetime.fromisoformat(DAY)
    assert warehouse.query(
        "select exchange, dataset, market, gap_start, missing, suggested_file from marts.data_gaps order by all"
    ) == [
        (
            *("binance", "klines", "um", midnight + timedelta(hours=7), 12),
            f"data/futures/um/daily/klines/AAAUSDT/5m/AAAUSDT-5m-{DAY}.zip",
        ),
        ("newex", "klines", "spot", midnight + timedelta(hours=2), 12, "newex-AAAUSDT-5m.csv"),
    ]
    assert warehouse.query("select exchange, expected, present from marts.data_completeness order by all") == [
        ("binance", 288, 276),
        ("newex", 288, 276),
    ]
    assert warehouse.query("select count(*), min(low) > 50 from marts.klines_5m") == [(276, True)]

    warehouse.run(sys.executable, "-m", "loaders", "forget", "--exchange", "newex", "--symbol", "AAAUSDT")
    assert warehouse.query("select count(*) from raw.newex_candles") == [(0,)]
    assert warehouse.query("select exchange, count(*) from ops.ingestion_files group by all") == [("binance", 1)]
