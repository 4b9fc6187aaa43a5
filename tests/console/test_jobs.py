"""Running a job from the console: what it would do, what it did, and that others see it."""

from tests.console.conftest import CUSTOMER
from tests.console.screens import console, query
from tests.db.seed import add_request


async def test_a_dry_run_says_what_it_would_do_and_a_run_does_it(business: str) -> None:
    for _ in range(3):
        add_request(business, customer_id=CUSTOMER)
    metered = "SELECT coalesce(sum(request_count), 0)::int FROM usage_records"
    before = query(business, metered)[0][0]
    async with console(business) as deck:
        await deck.say(":", "jobs")
        await deck.sees("aggregate-usage", "never run", "No job was run yet.")
        while "› aggregate-usage" not in deck.text:
            await deck.press("down")
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
