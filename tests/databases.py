"""Databases of one test: copies of a template."""

import itertools
import os
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

_numbers = itertools.count(1)
_behind = ThreadPoolExecutor(1)
_drops: list[Future[None]] = []


def name_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])


@contextmanager
def copied(server_dsn: str, template: str = "template1") -> Generator[str]:
    """DSN of a copy. It is dropped while the next test runs: the server waits for connections to end, and for a
    checkpoint."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _tell(server_dsn, f'CREATE DATABASE {name} TEMPLATE "{template}"')
    try:
        yield urlsplit(server_dsn)._replace(path=f"/{name}").geturl()
    finally:
        _drops.append(_behind.submit(_tell, server_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


def all_dropped() -> None:
    """Waits for what is still being dropped. Raises what went wrong with any."""
    for drop in _drops:
        drop.result()


def _tell(server_dsn: str, statement: str) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(statement.encode())
