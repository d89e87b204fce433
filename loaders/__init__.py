"""Loaders that land exchange history files in a DuckDB warehouse.

The arrows run one way: `cli` → what it does (`loading`, `forgetting`, `preflight`, `status`, `demo`) → what it works
on (`discovery`, `planning`, `reading`, `landing`, `ledger`, `warehouse`) → what a file is (`datasets`).
"""
