"""What somebody needs who must act on an expectation that did not pass: of what, which days, which rows, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loaders.rendering import counted, near, wrapped
from loaders.validation.suites import Result, Suite

_SHOWN_CHARACTERS = 300
_NOT_ASKED = (
    "the error says why it could not be asked. Where a table or column is missing, `dbt build` makes it; where memory "
    "is, raise LOADERS_MEMORY_LIMIT."
)


def query_path(data_docs: Path, result: Result) -> Path:
    """Where the query lies that shows the rows."""
    return data_docs / "queries" / f"{result.table}.{result.expectation}.sql"


def write_queries(data_docs: Path, warehouse: Path, asked: Sequence[Suite], results: Sequence[Result]) -> None:
    """Writes the query of each expectation that did not pass, to be asked by any client."""
    queries = {
        (suite.table.full_name, expectation.name): expectation.sql
        for suite in asked
        for expectation in suite.expectations
    }
    for result in results:
        if result.status == "pass":
            continue
        target = query_path(data_docs, result)
        target.parent.mkdir(parents=True, exist_ok=True)
        head = f"-- {result.description}\n-- These rows say otherwise. To be asked of {warehouse}.\n"
        target.write_text(head + queries[result.table, result.expectation].strip() + ";\n", encoding="utf-8")


def line(result: Result, data_docs: Path | None) -> str:
    """What did not pass, how many rows of what and when, and where the query lies that shows them."""
    count = "could not be asked" if result.unexpected_rows is None else counted(result.unexpected_rows, "row")
    found = ", ".join(part for part in (count, result.about) if part)
    where = f" (query: {near(query_path(data_docs, result))})" if data_docs is not None else ""
    return f"{result.status} {result.table} {result.expectation}: {found}{where}"


def remedies(results: Sequence[Result]) -> list[str]:
    """What can be done about the results that did not pass, each remedy once."""
    tables: dict[str, list[str]] = {}
    for result in results:
        if result.status == "fail":
            tables.setdefault(result.remedy, []).append(result.table)
        elif result.status == "error":
            tables.setdefault(_NOT_ASKED, []).append(result.table)
    return [f"remedy for {', '.join(dict.fromkeys(names))}: {remedy}" for remedy, names in tables.items()]


def text(result: Result, data_docs: Path | None) -> str:
    """A result that did not pass as a paragraph for a terminal, with the first of its rows."""
    detail = result.detail or ""
    shown = detail if len(detail) <= _SHOWN_CHARACTERS else detail[: _SHOWN_CHARACTERS - 1] + "…"
    return "\n".join(
        [
            wrapped(line(result, data_docs), "    ", ""),
            wrapped(f"expected: {result.description}", "        ", "    "),
            wrapped(f"{'error' if result.status == 'error' else 'first'}: {shown}", "        ", "    "),
        ]
    )
