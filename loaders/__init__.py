"""Loaders that land exchange history files in a DuckDB warehouse.

The arrows run one way: `cli` → `runs` → what is done (`ingest`, `validation`, `delivery`) → what it works on (`files`,
`queries`, `warehouse`) → what a file is (`datasets`, `selection`) → `settings`, `progress`, `signals`, `errors`. A
linter of imports holds this (pyproject.toml).
"""
