"""An expectation of Great Expectations that asks once.

Its own runs every query twice, for the rows and for their number; over hundreds of millions of rows that is felt.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation

#: Column of every row with the number of all of them, since Great Expectations fetches the first 200.
TOTAL = "unexpected_rows_in_all"


class ExpectNoRows(UnexpectedRowsExpectation):
    """Passes if the query gives no row. The query has a column `unexpected_rows_in_all`."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        rows = metrics["unexpected_rows_query.table"]
        total = int(rows[0][TOTAL]) if rows else 0
        shown = [{name: value for name, value in row.items() if name != TOTAL} for row in rows]
        return {"success": total == 0, "result": {"observed_value": total, "details": {"unexpected_rows": shown}}}
