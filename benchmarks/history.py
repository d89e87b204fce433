"""A generated history of any length, put into a warehouse as landed files: candles and open interest by day.

The figures of the marts need years of history, and writing years of files only to land them again would measure the
loaders. So this writes what a load leaves behind (raw rows, ledger, changes) for each symbol and day, with the same
values for a day whatever else is landed. A walk of hashed steps: 0.12 % of price and 0.07 % of open interest in five
minutes, like BTCUSDT; open interest swings around its mean, loses about 0.08 e-folds a day to falls, and lacks a
snapshot now and then.
"""

import os
import subprocess
import sys
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
ORIGIN = "2022-01-01"

#: Prices and open interest of a symbol that wander, step by step; the same whenever they are asked for.
WALK = f"""
with walk as (
    select
        number,
        timestamp '{ORIGIN}' + interval '5 minutes' * number as open_time,
        sum((hash($symbol, number, 'price') % 2000001) / 1e6 - 1) over (order by number) * 0.0021 as drift,
        sum((hash($symbol, number, 'interest') % 2000001) / 1e6 - 1) over (
            order by number rows between 4000 preceding and current row
        ) * 0.0012 as swing,
        (hash($symbol, number, 'up') % 1001) / 1e6 as wick_up,
        (hash($symbol, number, 'down') % 1001) / 1e6 as wick_down
    from range($days * 288 + 1) as numbers (number)
),
prices as (
    select
        *,
        cast(40000 * exp(drift) as decimal(18, 1)) as price,
        cast(80000 * exp(swing) as decimal(18, 3)) as contracts
    from walk
),
pairs as (
    select *, lead(price) over (order by number) as next_price from prices
)
"""

LAND = f"""
create or replace temp table steps as
{WALK}
select
    number,
    open_time,
    price as open,
    next_price as close,
    cast(greatest(price, next_price) * (1 + wick_up) as decimal(18, 1)) as high,
    cast(least(price, next_price) * (1 - wick_down) as decimal(18, 1)) as low,
    contracts
from pairs
where next_price is not null and number >= $first_day * 288;

create or replace temp table days as
select
    unnest(['klines', 'metrics']) as dataset,
    date_trunc('day', open_time) as day,
    (select coalesce(max(file_id), 0) from ops.ingestion_files) + row_number() over (order by day, 1) as file_id
from (select distinct date_trunc('day', open_time) as open_time from steps) as found;

insert into raw.binance_klines by name
select
    'um' as market, 'last' as kline_type, $symbol as symbol, '5m' as interval, open_time,
    open, high, low, close, 100 as volume, open_time + interval '5 minutes' - interval '1 millisecond' as close_time,
    100 * close as quote_volume, 10 as count, 50 as taker_buy_volume, 50 * close as taker_buy_quote_volume, file_id
from steps
inner join days on days.dataset = 'klines' and days.day = date_trunc('day', open_time)
order by open_time;

insert into raw.binance_metrics by name
select
    'um' as market, $symbol as symbol, open_time as create_time,
    contracts as sum_open_interest, contracts * open as sum_open_interest_value, file_id
from steps
inner join days on days.dataset = 'metrics' and days.day = date_trunc('day', open_time)
where hash($symbol, number, 'gap') % 500 > 0
order by open_time;

insert into ops.ingestion_files by name
select
    file_id, 'benchmark' as job_id, 'binance' as exchange, dataset || '-' || strftime(day, '%Y-%m-%d') as path,
    1 as size_bytes, sha256(concat(dataset, $symbol, day)) as sha256, dataset, 'um' as market,
    case dataset when 'klines' then 'last' end as kline_type, $symbol as symbol,
    case dataset when 'klines' then '5m' end as interval, day as period_start, day + interval '1 day' as period_end,
    'archive' as origin, 'loaded' as status, 288 as rows_read, 288 as rows_loaded,
    day as first_time, day + interval '1435 minutes' as last_time
from days;

insert into ops.ingestion_changes by name
select
    (select coalesce(max(change_id), 0) from ops.ingestion_changes) + row_number() over (order by file_id) as change_id,
    'benchmark' as job_id, file_id, 'binance' as exchange, dataset, 'um' as market,
    case dataset when 'klines' then 'last' end as kline_type,
    $symbol as symbol, case dataset when 'klines' then '5m' end as interval, day as range_start,
    day + interval '1435 minutes' as range_end
from days;
"""


def land(warehouse: Path, symbol: str, first_day: int, days: int) -> None:
    """Lands the days from `first_day` on, up to `days` after 2022-01-01."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in duckdb.extract_statements(LAND):
            wanted = {"symbol": symbol, "first_day": first_day, "days": days}
            connection.execute(statement, {name: wanted[name] for name in statement.named_parameters})


def dbt(warehouse: Path, *arguments: str) -> str:
    """Runs dbt on that warehouse in a process of its own."""
    folder = warehouse.parent / "dbt"
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "LOADERS_WAREHOUSE": str(warehouse),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def new_warehouse(path: Path, symbols: list[str], days: int) -> Path:
    """A new warehouse with that many days of each symbol landed and nothing built but the seeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    dbt(path, "--quiet", "seed")
    for symbol in symbols:
        land(path, symbol, 0, days)
    return path
