"""The warehouse file: connections and transactions, its schema, the ledger, and what state the last build left."""

from loaders.warehouse.connection import (
    Warehouse,
    holder_of,
    lock_of,
    locked,
    opening_trouble,
    reader,
    require_lock_file,
    require_own_lock,
    require_usable,
    scratch_of,
    write_lock,
    writer,
)
from loaders.warehouse.transactions import transaction

__all__ = [
    "Warehouse",
    "holder_of",
    "lock_of",
    "locked",
    "opening_trouble",
    "reader",
    "require_lock_file",
    "require_own_lock",
    "require_usable",
    "scratch_of",
    "transaction",
    "write_lock",
    "writer",
]
