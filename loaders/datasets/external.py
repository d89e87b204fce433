"""External levels: what other people's models, or vendors, say would be liquidated where.

A file `SYMBOL-levels-PROVIDER.csv`, with a period behind it (`-2024-03`, `-2024-03-01`) or without. Rows of one time
are one map snapshot, which stands until the provider's next time. Only the proportions within one count, so the volume
may have any unit. They are about Binance's markets: that is where they are judged.
"""

from __future__ import annotations

from loaders.datasets.base import Column, FileLayout, Kind

# A text in UTC, to the minute or finer, or a number since 1970 in seconds, milliseconds or microseconds.
_TIME = r"""case
    when regexp_full_match(time, '[0-9]{9,11}') then make_timestamp(try_cast(time as bigint) * 1000000)
    when regexp_full_match(time, '[0-9]{12,14}') then make_timestamp(try_cast(time as bigint) * 1000)
    when regexp_full_match(time, '[0-9]{15,16}') then make_timestamp(try_cast(time as bigint))
    when regexp_full_match(
        time, '[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+]00:?00)?'
    )
        then try_cast(
            regexp_replace(regexp_replace(replace(time, 'T', ' '), '(Z|[+]00:?00)$', ''), '^(.{16})$', '\1:00')
            as timestamp
        )
end"""

LEVELS = FileLayout(
    name="levels",
    exchange="binance",
    dataset="levels",
    table="external_levels",
    columns=(
        Column("time", Kind.TEXT),
        Column("symbol", Kind.TEXT),
        Column("side", Kind.TEXT),
        Column("price", Kind.DECIMAL),
        Column("volume", Kind.DECIMAL),
    ),
    derived=(("time", _TIME),),
    key=("time", "side", "price"),
    time="time",
    symbol_column="symbol",
    checks=(
        ("side is neither long nor short, the side that would be liquidated", "side in ('long', 'short')"),
        ("a price that cannot be (zero or negative)", "price > 0"),
        ("a negative volume", "volume >= 0"),
    ),
)
