"""Bills, the ledger, and what is spent of a limit."""
