"""A simulated Suiftly: customers, thirty days of history, and gateways that write the request log.

Nothing here ever writes to a database whose customers were not invented by `populate` (table `console.simulation`).

The connections passed in should be in autocommit mode; otherwise committing is left to the caller.

- `populate(connection, customers, seed, now)`: customers, services, keys, sessions, control row, and the marker.
- `write_history(connection, now, seed)`: hourly usage, bills in every state, ledger, escrow, balances.
- `backfill(connection, minutes, rate, seed, now)`: the log from where the history ends until `now`.
- `simulate(dsn, rate, seconds, seed, stop=, report=)`: live traffic until told to stop; returns a `Progress`.
- `demo_secret(seed)`: the API secret the demo's keys are made with.
- `log_begin(now, minutes)`: the full UTC hour where history ends and the raw log begins.
"""

from db.suiftly.simulation.backfill import backfill
from db.suiftly.simulation.cast import log_begin
from db.suiftly.simulation.history import History, write_history
from db.suiftly.simulation.population import ExampleKey, Population, demo_secret, populate
from db.suiftly.simulation.simulator import Progress, simulate

__all__ = [
    "ExampleKey",
    "History",
    "Population",
    "Progress",
    "backfill",
    "demo_secret",
    "log_begin",
    "populate",
    "simulate",
    "write_history",
]
