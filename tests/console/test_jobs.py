"""Running a job from the console: what it would do, what it did, and that others see it."""

import getpass
from pathlib import Path

import pytest
from pydantic import SecretStr

from console.settings import Profile, Settings
from console.words import pace_words
from db.database import Database
from db.source import Pace
from tests.console.conftest import CUSTOMER
from tests.console.screens import WatchedDeck, console, locked, operator_at, query
from tests.db.seed import add_request
from tests.db.suiftly.jobs.publishing import Press, press
from tests.db.suiftly.jobs.publishing import business as vault_business


@pytest.fixture
async def vault(dsn: str, database: Database, tmp_path: Path) -> Press:
    """One version of MA."""
    vault_business(dsn)
    made = press(dsn, database, tmp_path)
    await made.published()
    return made


@pytest.mark.parametrize(
    ("pace", "words"),
    [
        (Pace("rows", 12_300, 50_000, 3.0), "12,300 of 50,000 rows · 4,100/s · 10 s left"),
        (Pace("rows", 12_300, 50_000, 3.0, since_s=1.0), "12,300 of 50,000 rows · 4,100/s · 9 s left"),
        (Pace("hours", 2, 50, 4.0), "2 of 50 hours · 30/min · 96 s left"),
        (Pace("parts", 10, 4_000, 2.0), "10 of 4,000 parts · 5/s · 13 min left"),
        # What is not known is not said: how many there are, how fast it is, how long it takes longer than it told.
        (Pace("rows", 12_300, None, 3.0), "12,300 rows · 4,100/s"),
        (Pace("rows", 50_100, 50_000, 10.0), "50,100 rows · 5,010/s"),
        (Pace("rows", 50_000, 50_000, 10.0), "50,000 of 50,000 rows · 5,000/s"),
        (Pace("rows", 12_300, 50_000, 3.0, since_s=60.0), "12,300 of 50,000 rows · 4,100/s"),
        (Pace("rows", 0, 50_000, 30.0), "0 of 50,000 rows"),
        (Pace("rows", 300, 50_000, 0.2), "300 of 50,000 rows"),
    ],
)
def test_of_a_pace_is_said_what_is_known(pace: Pace, words: str) -> None:
    assert pace_words(pace) == words


async def test_a_dry_run_says_what_it_would_do_and_a_run_does_it(business: str) -> None:
    for _ in range(3):
        add_request(business, customer_id=CUSTOMER)
    metered = "SELECT coalesce(sum(request_count), 0)::int FROM usage_records"
    before = query(business, metered)[0][0]
    async with console(business) as deck:
        await deck.say(":", "jobs")
        await deck.sees("aggregate-usage", "never run", "No run is on record.")
        await deck.down_to("aggregate-usage")
        await deck.press("ctrl+e")
        await deck.sees("(dry run) would count 3 rows")
        assert query(business, metered)[0][0] == before
        await deck.press("ctrl+r")
        await deck.sees("aggregate-usage: succeeded", "counted 3 rows")
        assert query(business, metered)[0][0] == before + 3
    assert query(business, "SELECT outcome, dry_run FROM console.job_run ORDER BY started_at") == [
        ("succeeded", True),
        ("succeeded", False),
    ]


async def test_asking_a_job_to_stop_that_does_not_run_says_so(business: str) -> None:
    async with console(business) as deck:
        await deck.say(":", "jobs")
        await deck.sees("never run")
        await deck.press("ctrl+x")
        await deck.sees("It is not running.")


async def test_a_read_only_console_cannot_run_a_job(business: str) -> None:
    async with console(business, read_only=True) as deck:
        await deck.say(":", "jobs")
        await deck.sees("aggregate-usage", "read-only")
        assert "Dry run" not in deck.footer
        await deck.press("ctrl+r")
        await deck.never_sees("succeeded", for_s=0.5)


async def test_the_history_is_narrowed_an_error_read_whole_and_a_run_repeated(business: str) -> None:
    error = "the log could not be read: " + "because " * 20 + "of the disk"
    query(
        business,
        """INSERT INTO console.job_run (run_id, job, os_user, started_at, finished_at, outcome, message)
           SELECT gen_random_uuid(), job, 'cron', now() - age, now() - age, outcome, message FROM (VALUES
               ('clean-up', 'failed', %s, interval '9 days'), ('clean-up', 'succeeded', 'fine', '8 days'),
               ('roll-up-traffic', 'succeeded', 'rolled', '5 seconds')) AS v (job, outcome, message, age)""",
        error,
    )
    query(  # by cron, on another machine
        business,
        """INSERT INTO console.job_run (run_id, job, os_user, unit, done, total, spent_s)
           VALUES (gen_random_uuid(), 'calculate-bills', 'cron', 'customers', 500, 2000, 50)""",
    )
    query(  # more than a page of them
        business,
        """INSERT INTO console.job_run (run_id, job, os_user, started_at, finished_at, outcome, message)
           SELECT gen_random_uuid(), 'sync-chain', 'cron', now() - n * interval '10 d', now(), 'succeeded', 'run ' || n
           FROM generate_series(1, 150) n""",
    )
    async with console(business) as deck:
        await deck.say(":", "jobs")
        await deck.sees("rolled", "late", "in ")
        await deck.sees("cron: 500 of 2,000 customers · 10/s · 2 min left")
        await deck.down_to("calculate-bills")
        await deck.press("ctrl+x")
        await deck.until(
            lambda: f"{getpass.getuser()} asked it to stop" in deck.prose, "everybody sees that it was asked"
        )
        await deck.press("tab", "end")
        await deck.sees("run 97")  # the first of the next page
        await deck.press("end")
        await deck.sees("run 150")
        await deck.press("shift+tab")
        await deck.say("/", "clean-up lost")
        await deck.sees("'lost' is neither a job nor an outcome")
        await deck.press("escape")
        await deck.say("/", "clean-up failed")
        await deck.sees("history of clean-up failed")
        await deck.sees_no("rolled")
        await deck.press("tab", "home")
        await deck.until(lambda: error in deck.prose, "the whole error")
        await deck.press("ctrl+r")
        await deck.sees("Run clean-up", "deleted for good")
        await deck.press("x", "tab", "enter", "ctrl+l")
        await deck.sees("clean-up: succeeded")


async def test_a_vault_that_warns_is_published_all_the_same_with_the_number_typed_and_a_reason(vault: Press) -> None:
    query(vault.dsn, "UPDATE customers SET status = 'closed' WHERE customer_id IN (1, 2)")
    settings = Settings("default", Profile(), SecretStr(vault.dsn), read_only=False)
    async with operator_at(WatchedDeck(vault.source, settings)) as deck:
        await deck.say(":", "jobs")
        await deck.sees("Dry run")
        await deck.down_to("generate-ma-vault")
        assert "Publish anyway" not in deck.footer
        await deck.press("ctrl+r")
        await deck.sees("Run generate-ma-vault")
        await deck.press("tab", "enter")
        await deck.sees("failed", "^g Publish anyway")
        await deck.press("ctrl+g")
        await deck.sees("2 of 4 customers would vanish", "2 customers gone, 4 keys", "Type 2 to go on.")
        await deck.type("they left")
        await deck.press("tab", "2", "tab", "tab", "enter")
        await deck.sees("published version 2: 2 customers gone")
    assert set(vault.content()["customers"]) == {"3", "5"}


async def test_leaving_over_a_running_job_is_asked_for_twice(business: str) -> None:
    async with console(business) as deck:
        await deck.say(":", "jobs clean-up")
        async with locked(business, "refresh_tokens"):
            await deck.sees("history of clean-up")
            await deck.down_to("clean-up")
            await deck.press("ctrl+r")
            await deck.sees("Cancel")
            await deck.press("tab", "enter")
            await deck.sees("running")
            await deck.press("q")
            await deck.sees("clean-up runs here", "Once more to leave")
            assert deck.app.is_running
            await deck.press("q")
            await deck.until(lambda: not deck.app.is_running, "it left")
    assert query(business, "SELECT outcome FROM console.job_run") == [("cancelled",)]


async def test_a_third_job_waits_so_that_a_change_still_finds_a_connection(business: str) -> None:
    async with console(business) as deck:
        await deck.say(":", "jobs")
        async with locked(business, "console.capture_state"):
            for job in ("aggregate-usage", "roll-up-traffic", "maintain-partitions"):
                await deck.say(":", f"jobs {job}")
                await deck.down_to(job)
                await deck.press("ctrl+r")
            await deck.sees("2 jobs run here; it begins when one of them has ended.")
        await deck.sees("maintain-partitions: succeeded")
