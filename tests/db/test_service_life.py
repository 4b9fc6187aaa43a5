"""Long processes leave their life in service_status."""

from typing import Any

import psycopg
import pytest

from db.database import Database
from db.service_life import recorded_life


def _lives(dsn: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT service_name, status, completed_at IS NOT NULL, error_message FROM service_status ORDER BY id"
        ).fetchall()


async def test_start_and_end_are_on_record(dsn: str, database: Database) -> None:
    async with recorded_life(database, "simulator"):
        assert _lives(dsn) == [("simulator", "running", False, None)]
        with psycopg.connect(dsn) as connection:  # it runs for days: vacuum must not wait for it
            [held] = connection.execute(
                """SELECT a.backend_xmin FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                   WHERE l.locktype = 'advisory' AND a.datname = current_database()"""
            ).fetchall()
            assert held == (None,)
    assert _lives(dsn) == [("simulator", "stopped", True, None)]


async def test_an_error_is_named_without_its_text(dsn: str, database: Database) -> None:
    with pytest.raises(ValueError, match="secret"):
        async with recorded_life(database, "simulator"):
            raise ValueError("secret")
    assert _lives(dsn) == [("simulator", "error", True, "ValueError")]


async def test_who_died_is_told_from_who_still_runs(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO service_status (service_name) VALUES ('simulator'), ('other')")
    async with recorded_life(database, "simulator"), recorded_life(database, "simulator"):
        assert _lives(dsn) == [
            ("simulator", "crashed", True, "its process ended without a word"),
            ("other", "running", False, None),
            ("simulator", "running", False, None),
            ("simulator", "running", False, None),
        ]
