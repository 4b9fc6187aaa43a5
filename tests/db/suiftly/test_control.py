"""The flags: who wins when two change one, and an end that comes when nobody is there."""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from db.audit import Actor
from db.database import Database
from db.operations import Outcome
from db.perform import perform
from db.source import Source
from db.suiftly.control import Control, ControlField
from db.suiftly.jobs.clean_up import CleanUp
from db.suiftly.operations.set_maintenance import LONGEST, SetMaintenance
from tests.db.seed import add_request
from tests.db.suiftly.books import until_blocked

ANN, BOB = Actor("ann", None), Actor("bob", None)
HOUR = timedelta(hours=1)


def run(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode())


def pass_time(dsn: str) -> None:
    run(dsn, "UPDATE console.control_flag SET until = now() - interval '1 minute' WHERE until IS NOT NULL")


async def field(database: Database, name: str) -> ControlField:
    return next(one for one in await Control(database).fields() if one.name == name)


async def seen_by(source: Source, operation: SetMaintenance) -> SetMaintenance:
    return operation.at_version((await source.preview(operation)).version)


async def test_of_two_consoles_that_saw_the_same_flag_one_is_told_what_the_other_did(
    database: Database, dsn: str
) -> None:
    ann, bob = Source(database, ANN), Source(database, BOB)
    first = await seen_by(ann, SetMaintenance(on=True, lasts=2 * HOUR))
    second = await seen_by(bob, SetMaintenance(on=True))
    assert (await ann.perform(first, "moving the database")).outcome is Outcome.DONE
    late = await bob.perform(second, "so did I")
    assert late.outcome is Outcome.STALE
    assert "ann made it on until" in late.message
    assert "(moving the database)" in late.message
    told = await field(database, "maintenance_mode")
    assert told.value.startswith("on, until 2")
    assert told.entry is not None
    assert (told.entry.os_user, told.entry.reason) == ("ann", "moving the database")
    run(dsn, "UPDATE system_control SET maintenance_mode = false")
    assert (await field(database, "maintenance_mode")).entry is None, "ann did not turn it off"


async def test_what_another_program_set_is_not_overwritten_unseen(database: Database, dsn: str) -> None:
    source = Source(database, ANN)
    operation = await seen_by(source, SetMaintenance(on=True))
    run(dsn, "UPDATE system_control SET maintenance_mode = true")
    late = await source.perform(operation, "moving house")
    assert (late.outcome, "set by another program" in late.message) == (Outcome.STALE, True)
    again = await source.perform(SetMaintenance(on=True), "moving house")
    assert (again.outcome, "is on already" in again.message) == (Outcome.REFUSED, True)


async def test_a_maintenance_ends_at_its_time_once_whoever_comes_by(database: Database, dsn: str) -> None:
    await perform(database, SetMaintenance(on=True, lasts=HOUR), actor=ANN, reason="moving house")
    control = Control(database)
    assert await control.end_expired(BOB) is None
    pass_time(dsn)
    assert (await control.read()).maintenance_is_over
    ended = await asyncio.gather(*(control.end_expired(BOB) for _ in range(4)))
    assert sum(one is not None for one in ended) == 1
    now = await control.read()
    assert (now.maintenance_mode, now.maintenance_until) == (False, None)
    told = await field(database, "maintenance_mode")
    assert told.entry is not None
    assert (told.entry.action, told.entry.os_user, told.value) == ("end-maintenance", "bob", "off")


async def test_what_was_just_extended_is_neither_overwritten_nor_ended(database: Database, dsn: str) -> None:
    """Both that wait for the lock of who extends it see the new end, not the one from before they waited."""
    source = Source(database, BOB)
    for late in ("perform", "end"):
        await source.perform(SetMaintenance(on=True, lasts=HOUR), "moving house")
        pass_time(dsn)
        shorter = await seen_by(source, SetMaintenance(on=True, lasts=HOUR / 2))
        async with database.writing() as connection:
            await SetMaintenance(on=True, lasts=5 * HOUR).apply(connection, ANN, "it takes longer")
            other: asyncio.Task[Any] = asyncio.create_task(
                source.perform(shorter, "all but done") if late == "perform" else Control(database).end_expired(BOB)
            )
            await until_blocked(dsn, other)
        came = await other
        assert came is None or came.outcome is Outcome.STALE, came
        now = await Control(database).read()
        assert now.maintenance_until is not None
        assert now.maintenance_until - now.now > 4 * HOUR


async def test_a_run_of_any_job_ends_it_and_a_dry_run_does_not(database: Database, dsn: str) -> None:
    source = Source(database, BOB)
    await source.perform(SetMaintenance(on=True, lasts=HOUR), "moving house")
    pass_time(dsn)
    await source.run_job(CleanUp(), dry_run=True)
    assert (await source.control.read()).maintenance_mode
    await source.run_job(CleanUp())
    assert not (await source.control.read()).maintenance_mode


async def test_an_end_is_taken_back_by_turning_it_on_again_without_one(database: Database, dsn: str) -> None:
    for lasts in (HOUR, None):
        receipt = await perform(database, SetMaintenance(on=True, lasts=lasts), actor=ANN, reason="moving house")
        assert receipt.done, receipt.message
    pass_time(dsn)
    assert (await Control(database).read()).maintenance_mode


@pytest.mark.parametrize(
    "wrong", [{"on": False, "lasts": HOUR}, {"on": True, "lasts": timedelta()}, {"on": True, "lasts": 2 * LONGEST}]
)
def test_an_end_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="off has no end"):
        SetMaintenance(**wrong)  # type: ignore[arg-type]


async def test_how_the_log_is_kept_is_what_is_there(database: Database, dsn: str) -> None:
    add_request(dsn)
    keeping = await Control(database).keeping()
    assert keeping.retention == timedelta(days=2)
    assert (keeping.parts >= 1, keeping.overdue) == (True, 0)
    run(dsn, "UPDATE console.metering SET retention = interval '-4 days'")
    assert (await Control(database).keeping()).overdue >= 1
