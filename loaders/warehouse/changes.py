"""What changed in the warehouse since a moment: files by the ledger's log, marts by dbt's log of rebuilds.

Both logs are numbered. A moment is the last number of each, and what changed after it is known without looking at any
row that did not.
"""

from __future__ import annotations

from dataclasses import dataclass

from loaders.warehouse.readiness import RunQuery, has_table, number

# Of fewer, it takes no time to tell what changed.
_MANY_FILES = 5_000


@dataclass(frozen=True, slots=True)
class Moment:
    """The last change of `ops.ingestion_changes` and the last rebuild of `state.rebuilds`, 0 before the first."""

    change_id: int
    rebuild_id: int


def present(read: RunQuery) -> Moment:
    """The moment of the warehouse as it is."""
    ledger, state = (("ops", "ingestion_changes"), "change_id"), (("state", "rebuilds"), "rebuild_id")
    return Moment(
        *(
            number(read(f"select coalesce(max({column}), 0) from {schema}.{table}"))
            if has_table(read, schema, table)
            else 0
            for (schema, table), column in (ledger, state)
        )
    )


def changed_files(since: Moment) -> str:
    """SQL of the numbers of files that were landed, replaced or forgotten since."""
    return f"""
        with

        named as (

            select distinct file_id from ops.ingestion_changes
            where change_id > {since.change_id}

        )

        select file_id from named

        union

        -- The change names the revision that came; the one that went has the same name in the ledger.
        select gone.file_id
        from ops.ingestion_files as came
        semi join named on came.file_id = named.file_id
        inner join ops.ingestion_files as gone
            on
                gone.status = 'replaced'
                and came.dataset = gone.dataset
                and came.exchange is not distinct from gone.exchange
                and came.market is not distinct from gone.market
                and came.kline_type is not distinct from gone.kline_type
                and came.symbol is not distinct from gone.symbol
                and came."interval" is not distinct from gone."interval"
                and came.period_start is not distinct from gone.period_start
                and came.period_end is not distinct from gone.period_end
    """


def changed_datasets(since: Moment) -> str:
    """SQL of the exchanges and datasets of these files."""
    return f"select distinct exchange, dataset from ops.ingestion_changes where change_id > {since.change_id}"


def changed_series(since: Moment) -> str:
    """SQL of each exchange's symbols with the earliest time, `rebuild_from`, that was landed or rebuilt since.

    A step of five minutes is taken off, as the rebuilds do: a snapshot belongs to the candle that ends with it.
    """
    return f"""
        select
            exchange,
            symbol,
            min(rebuild_from) as rebuild_from
        from (
            select
                exchange,
                symbol,
                time_bucket(interval '5 minutes', range_start) - interval '5 minutes' as rebuild_from
            from ops.ingestion_changes
            where change_id > {since.change_id}
            union all
            select
                exchange,
                symbol,
                rebuild_from
            from state.rebuilds
            where rebuild_id > {since.rebuild_id}
        ) as touched
        where symbol is not null
        group by exchange, symbol
    """


def is_most_touched(since: Moment) -> str:
    """SQL of whether most files, and many, are of symbols and times that were landed or rebuilt since."""
    return f"""
        select count(*) filter (where files.last_time >= touched.rebuild_from) > greatest(count(*) / 2, {_MANY_FILES})
        from ops.ingestion_files as files
        left join ({changed_series(since)}) as touched
            on
                files.exchange = touched.exchange
                and files.symbol = touched.symbol
        where files.status = 'loaded'
    """


def rebuilt_series(model: str, since: Moment) -> str:
    """SQL of each exchange's symbols with the earliest time from which a model's rows were rebuilt since."""
    return f"""
        select
            exchange,
            symbol,
            min(rebuild_from) as rebuild_from
        from state.rebuilds
        where model = '{model}' and rebuild_id > {since.rebuild_id}
        group by exchange, symbol
    """


def landed_series(since: Moment) -> str:
    """SQL of each exchange's symbols with the earliest time that was landed, replaced or forgotten since."""
    return f"""
        select
            exchange,
            symbol,
            min(range_start) as rebuild_from
        from ops.ingestion_changes
        where change_id > {since.change_id} and symbol is not null
        group by exchange, symbol
    """
