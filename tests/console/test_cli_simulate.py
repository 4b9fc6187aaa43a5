"""opsdeck simulate: only into an invented business, and exactly what it reports."""

import asyncio
import signal
from collections.abc import Iterator

import psycopg
import pytest

from db.source import invent_business
from tests.console.command import opsdeck, running, until
from tests.databases import copied
from tests.db.seed import CUSTOMER, add_customer, add_key


@pytest.fixture(scope="module")
def invented(server_dsn: str, migrated_template: str) -> Iterator[str]:
    """One for all: each test looks at what came to be since it began."""
    with copied(server_dsn, migrated_template) as dsn:
        asyncio.run(invent_business(dsn, customers=40, rate=1, seed=3))
        yield dsn


def log(dsn: str) -> tuple[int, int, int]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*), coalesce(sum(repeat), 0), count(DISTINCT xid) FROM haproxy_raw_logs"
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def test_a_database_of_real_customers_is_refused_and_nothing_is_written(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    complaint = opsdeck(dsn, "simulate", "--rate", "100", "--seconds", "1").complained(1)
    assert "simul" in complaint or "invent" in complaint
    assert log(dsn) == (0, 0, 0)


def test_it_writes_exactly_what_it_reports(invented: str) -> None:
    before = log(invented)
    result = opsdeck(invented, "simulate", "--seconds", "2", "--rate", "500", "--seed", "5", "--json")
    assert (result.code, result.err) == (0, "")
    done = result.json
    after = log(invented)
    assert done["rows"] == 1000
    assert tuple(now - then for now, then in zip(after, before, strict=True)) == (
        done["rows"],
        done["requests"],
        done["batches"],
    )


def test_it_ends_in_order_when_told_to(invented: str) -> None:
    before = log(invented)[0]
    with running(invented, "simulate", "--rate", "300") as simulator:
        until(lambda: log(invented)[0] > before, 15, "it writes nothing")
        assert simulator.end(signal.SIGTERM, 5) == 0
    assert "wrote " in "".join(simulator.err)
    assert f"{log(invented)[0] - before:,} rows" in "".join(simulator.err)


def test_a_standard_input_that_is_at_its_end_ends_it(invented: str) -> None:
    with running(invented, "simulate", "--rate", "300", "--until-eof") as simulator:  # its input is /dev/null
        assert simulator.end(seconds=10) == 0
    assert opsdeck(invented, "simulate", "--rate", "300", "--until-eof").code == 0  # and here a closed pipe
