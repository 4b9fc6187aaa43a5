"""opsdeck jobs: run, due, re-baseline, and what is refused."""

import signal
from uuid import UUID

import psycopg

from db.source import JOBS
from tests.console.command import opsdeck, running, until
from tests.db.seed import CUSTOMER, add_customer, add_request


def test_a_run_says_what_it_did(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_request(dsn, customer_id=CUSTOMER)
    dry = opsdeck(dsn, "jobs", "run", "aggregate-usage", "--dry-run")
    assert (dry.code, dry.out) == (0, "succeeded: would count 1 rows, 1 billable requests\n")
    run = opsdeck(dsn, "jobs", "run", "aggregate-usage", "--json").json
    assert {name: run[name] for name in ("job", "outcome", "dry_run")} == {
        "job": "aggregate-usage",
        "outcome": "succeeded",
        "dry_run": False,
    }
    assert run["counts"]["rows"] == 1
    assert {"started_at", "duration_s"} <= run.keys()


def test_due_jobs_run_once_in_their_period(dsn: str) -> None:
    runs = opsdeck(dsn, "jobs", "run", "--all-due", "--json").json["runs"]
    # No directory of vaults and no chain is configured, so there is nothing to do.
    unplaced = ("generate-ma-vault", "generate-mm-vault", "sync-chain")
    assert [run["job"] for run in runs] == [job.name for job in JOBS if job.name not in unplaced]
    assert opsdeck(dsn, "jobs", "run", "--all-due").out == "no job is due\n"
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE console.job_run SET started_at = started_at - interval '2 minutes' WHERE job = 'roll-up-traffic'"
        )
    again = opsdeck(dsn, "jobs", "run", "--all-due")
    assert again.out.startswith("roll-up-traffic: succeeded: ")
    assert again.out.count("\n") == 1


def test_the_history_says_when_it_was_cut_and_a_run_is_asked_to_stop(dsn: str) -> None:
    assert opsdeck(dsn, "jobs", "stop", "clean-up").err == "clean-up is not running\n"
    with psycopg.connect(dsn) as connection:
        for outcome in (None, "succeeded"):
            connection.execute(
                "INSERT INTO console.job_run (run_id, job, os_user, outcome, finished_at)"
                " VALUES (gen_random_uuid(), 'clean-up', 'ann', %(outcome)s,"
                " CASE WHEN %(outcome)s > '' THEN now() END)",
                {"outcome": outcome},
            )
    cut, whole, asked = (
        opsdeck(dsn, "jobs", *arguments)
        for arguments in (("history", "--limit", "1"), ("history", "--limit", "2"), ("stop", "clean-up", "--json"))
    )
    rest = opsdeck(dsn, "jobs", "history", "--limit", "1", *cut.goes_on)
    first, second = ({"running", "succeeded"} & set(one.out.split()) for one in (cut, rest))
    assert (first | second, len(first), rest.err) == ({"running", "succeeded"}, 1, "")
    assert "there is no run" in opsdeck(dsn, "jobs", "history", "--before", str(UUID(int=1))).complained(2)
    assert (cut.out.count("\n"), whole.out.count("\n"), whole.err) == (2, 3, "")
    assert (asked.code, asked.json) == (0, {"job": "clean-up", "asked": True})
    with psycopg.connect(dsn) as connection:
        stopped = connection.execute("SELECT outcome FROM console.job_run WHERE cancel_by IS NOT NULL").fetchall()
        actions = connection.execute("SELECT action, outcome FROM console.audit ORDER BY seq").fetchall()
    assert stopped == [(None,)]
    assert actions == [("stop-job", "refused"), ("stop-job", "done")]


def test_a_job_that_is_stopped_from_outside_says_so_and_it_is_on_record(dsn: str) -> None:
    with psycopg.connect(dsn) as other, psycopg.connect(dsn, autocommit=True) as record:
        other.execute("LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE")
        with running(dsn, "jobs", "run", "clean-up") as job:
            until(lambda: record.execute("SELECT FROM console.job_run").fetchall())
            assert job.end(signal.SIGTERM) == 130
            assert job.err == ["stopped; what was committed stays, see `opsdeck jobs history`\n"]
        assert record.execute("SELECT outcome FROM console.job_run").fetchall() == [("cancelled",)]


def test_a_restored_database_is_re_baselined_on_request_only(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_request(dsn, customer_id=CUSTOMER)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE console.capture_state SET system_identifier = 1")
    refused = opsdeck(dsn, "jobs", "run", "aggregate-usage")
    assert refused.code == 1
    assert "run `opsdeck jobs run aggregate-usage --rebaseline`" in refused.out
    done = opsdeck(dsn, "jobs", "run", "aggregate-usage", "--rebaseline")
    assert (done.code, done.out) == (
        0,
        "succeeded: recounted 1 hour(s): 1 record(s) raised, 0 kept above what the log proves\n",
    )
    assert "sound" in opsdeck(dsn, "jobs", "run", "aggregate-usage", "--rebaseline").out


def test_what_cannot_be_asked_for_is_refused(dsn: str) -> None:
    assert "clean-up is none of them" in opsdeck(dsn, "jobs", "run", "clean-up", "--rebaseline").complained(2)
    assert "--all-due" in opsdeck(dsn, "jobs", "run", "--all-due", "--dry-run").complained(2)
    assert "there is no job 'tidy'" in opsdeck(dsn, "jobs", "run", "tidy").complained(2)
    assert "there is no job 'tidy'" in opsdeck(dsn, "jobs", "stop", "tidy").complained(2)
    assert opsdeck(dsn, "jobs", "run").code == 2
    unplaced = opsdeck(dsn, "jobs", "run", "generate-ma-vault")
    assert (unplaced.code, unplaced.out) == (
        1,
        "failed: no vault directory is configured for this database; set vault_directory in its profile, or "
        "OPSDECK_VAULT_DIRECTORY beside OPSDECK_DATABASE_URL\n",
    )
