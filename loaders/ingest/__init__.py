"""Files become rows of `raw`, and a line in the ledger: plan, insert, forget."""
