"""The one way anything is changed, tried with real concurrency and really killed backends."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from db.audit import Actor, Audit, AuditSearch
from db.changes import listen
from db.database import Connection, Database, Limits
from db.operations import Change, Outcome
from db.page import Page
from db.perform import perform
from db.suiftly.operations.customer_status import ResumeCustomer, SuspendCustomer
from db.suiftly.operations.revoke_keys import RevokeKeys
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_two_customers

ANN = Actor("ann", "198.51.100.7")
REASON = "leaked in a public repository"


@pytest.fixture
def keys(dsn: str) -> str:
    add_two_customers(dsn)
    return dsn


def states(dsn: str) -> dict[int, bool]:
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT api_key_fp, is_active FROM api_keys").fetchall())


async def record(database: Database, operation_id: UUID) -> Any:
    row = await Audit(database).find(operation_id)
    assert row is not None
    return row


async def test_a_revocation_and_its_reason_are_on_record(database: Database, keys: str) -> None:
    async with database.reading() as connection:
        preview = await RevokeKeys((42,)).preview(connection)
    assert preview.title == "Revoke key 0x0000002a"
    assert "keeps 2 other live keys" in preview.consequences[1]

    receipt = await perform(database, RevokeKeys((42,), version=preview.version), actor=ANN, reason=REASON)

    assert receipt.done
    assert states(keys) == {42: False, 43: True, 4294967295: True, 77: True}
    row = await record(database, receipt.operation_id)
    assert (row.action, row.outcome, row.os_user, row.ssh_source) == ("revoke-keys", "done", "ann", "198.51.100.7")
    assert row.db_role == psycopg.conninfo.conninfo_to_dict(keys)["user"]
    assert row.reason == REASON
    assert row.before["key:42"]["is_active"] is True
    assert row.after["key:42"]["is_active"] is False
    assert receipt.after == row.after
    assert receipt.at == row.at


async def test_many_keys_are_revoked_together_or_not_at_all(database: Database, keys: str) -> None:
    refused = await perform(database, RevokeKeys((42, 43, 999)), actor=ANN, reason=REASON)
    assert refused.outcome is Outcome.REFUSED
    assert "no key with fingerprint 0x000003e7" in refused.message
    assert states(keys)[42]
    done = await perform(database, RevokeKeys((42, 43, 4294967295)), actor=ANN, reason=REASON)
    assert done.done
    assert states(keys) == {42: False, 43: False, 4294967295: False, 77: True}


async def test_a_second_revocation_is_refused_and_says_by_whom(database: Database, keys: str) -> None:
    await perform(database, RevokeKeys((42,)), actor=ANN, reason=REASON)
    again = await perform(database, RevokeKeys((42,)), actor=Actor("bob", None), reason=REASON)
    assert again.outcome is Outcome.REFUSED
    assert "revoked already" in again.message
    assert "by ann" in again.message
    assert (await record(database, again.operation_id)).outcome == "refused"


async def test_a_key_of_another_customer_is_refused(database: Database, keys: str) -> None:
    receipt = await perform(database, RevokeKeys((77,), customer_id=CUSTOMER), actor=ANN, reason=REASON)
    assert receipt.outcome is Outcome.REFUSED
    assert f"belongs to customer {OTHER_CUSTOMER}" in receipt.message
    assert states(keys)[77]


@pytest.mark.parametrize("reason", ["", "  ", "ab", "x" * 501])
async def test_without_a_reason_nothing_happens(database: Database, keys: str, reason: str) -> None:
    receipt = await perform(database, RevokeKeys((42,)), actor=ANN, reason=reason)
    assert receipt.outcome is Outcome.REFUSED
    assert "reason" in receipt.message
    assert states(keys)[42]


async def test_a_row_that_changed_since_it_was_shown_is_stale(database: Database, keys: str) -> None:
    async with database.reading() as connection:
        preview = await RevokeKeys((42,)).preview(connection)
    with psycopg.connect(keys) as other:
        other.execute("UPDATE api_keys SET metadata = '{\"key_version\": 1}' WHERE api_key_fp = 42")
    receipt = await perform(database, RevokeKeys((42,), version=preview.version), actor=ANN, reason=REASON)
    assert receipt.outcome is Outcome.STALE
    assert states(keys)[42]
    assert (await record(database, receipt.operation_id)).outcome == "stale"


async def test_two_operators_revoke_one_key_at_once_and_one_of_them_does(database: Database, keys: str) -> None:
    async with database.reading() as connection:
        preview = await RevokeKeys((42,)).preview(connection)
    operation = RevokeKeys((42,), version=preview.version)
    receipts = await asyncio.gather(
        *(perform(database, operation, actor=Actor(name, None), reason=REASON) for name in ("ann", "bob"))
    )
    assert sorted(receipt.outcome.value for receipt in receipts) in (["done", "refused"], ["done", "stale"])


async def test_a_row_locked_by_someone_else_times_out_and_changes_nothing(dsn: str, keys: str) -> None:
    database = Database(dsn, limits=Limits(lock_s=0.2))
    await database.open()
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM api_keys WHERE api_key_fp = 42 FOR UPDATE")
        receipt = await perform(database, RevokeKeys((42,)), actor=ANN, reason=REASON)
    await database.close()
    assert receipt.outcome is Outcome.FAILED
    assert "lock timeout" in receipt.message
    assert receipt.message.endswith("Nothing was changed.")
    assert states(keys)[42]


async def test_a_read_only_console_changes_nothing(dsn: str, keys: str) -> None:
    database = Database(dsn, read_only=True)
    await database.open()
    receipt = await perform(database, RevokeKeys((42,)), actor=ANN, reason=REASON)
    await database.close()
    assert receipt.outcome is Outcome.REFUSED
    assert "read-only" in receipt.message
    assert states(keys)[42]


async def test_suspending_and_resuming_are_two_way_and_closed_is_not(database: Database, keys: str) -> None:
    assert (await perform(database, SuspendCustomer(CUSTOMER), actor=ANN, reason=REASON)).done
    twice = await perform(database, SuspendCustomer(CUSTOMER), actor=ANN, reason=REASON)
    assert twice.outcome is Outcome.REFUSED
    assert "suspended already" in twice.message
    assert (await perform(database, ResumeCustomer(CUSTOMER), actor=ANN, reason=REASON)).done
    with psycopg.connect(keys) as connection:
        connection.execute("UPDATE customers SET status = 'closed' WHERE customer_id = %s", (CUSTOMER,))
    closed = await perform(database, ResumeCustomer(CUSTOMER), actor=ANN, reason=REASON)
    assert closed.outcome is Outcome.REFUSED
    assert "cannot be undone" in closed.message
    unknown = await perform(database, SuspendCustomer(123), actor=ANN, reason=REASON)
    assert "there is no customer 123" in unknown.message


@dataclass(frozen=True, slots=True)
class _CutAtCommit(RevokeKeys):
    """Revokes, and loses its own backend: before COMMIT is sent, or as COMMIT is being carried out."""

    before_commit: bool = True

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        change = await RevokeKeys.apply(self, connection, actor, reason)
        if self.before_commit:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return change


async def test_a_backend_killed_before_commit_is_a_failure_that_changed_nothing(database: Database, keys: str) -> None:
    receipt = await perform(database, _CutAtCommit((42,)), actor=ANN, reason=REASON)
    assert receipt.outcome is Outcome.FAILED
    assert "Nothing was changed." in receipt.message
    assert states(keys)[42]
    assert (await record(database, receipt.operation_id)).outcome == "failed"


class _LosesTheAnswer(Database):
    """A network that delivers COMMIT or not, and in either case loses the answer."""

    delivered = True
    cut = False
    loss: type[psycopg.Error] = psycopg.OperationalError

    def writing(self, statement_s: float | None = None) -> Any:
        if self.cut:
            return Database.writing(self, statement_s)
        self.cut = True
        return self._writing_once(statement_s)

    def _writing_once(self, statement_s: float | None) -> Any:
        manager = Database.writing(self, statement_s)
        delivered, loss = self.delivered, self.loss

        class Once:
            async def __aenter__(self) -> Connection:
                self.connection = await manager.__aenter__()
                commit = self.connection.commit

                async def commit_and_lose() -> None:
                    if delivered:
                        await commit()
                    await self.connection.close()
                    raise loss("server closed the connection unexpectedly")

                self.connection.commit = commit_and_lose  # type: ignore[method-assign]
                return self.connection

            async def __aexit__(self, *caught: Any) -> Any:
                return await manager.__aexit__(*caught)

        return Once()


@pytest.mark.parametrize("delivered", [True, False])
async def test_a_commit_without_an_answer_is_settled_by_operation_id(dsn: str, keys: str, delivered: bool) -> None:
    database = _LosesTheAnswer(dsn)
    database.delivered = delivered
    await database.open()
    receipt = await perform(database, RevokeKeys((42,)), actor=ANN, reason=REASON)
    row = await record(database, receipt.operation_id)
    await database.close()
    assert states(keys)[42] is not delivered
    assert receipt.outcome is (Outcome.DONE if delivered else Outcome.FAILED)
    assert row.outcome == ("done" if delivered else "abandoned")
    if not delivered:
        assert "did not happen" in receipt.message


class _FailsOver(_LosesTheAnswer):
    """After the answer was lost, so many connections reach another server."""

    elsewhere: Database
    tries = 1000

    def writing(self, statement_s: float | None = None) -> Any:
        if self.cut and self.tries:
            self.tries -= 1
            return self.elsewhere.writing()
        return super().writing(statement_s)


@pytest.mark.parametrize(("other", "tries"), [("nowhere", 1000), ("in recovery", 1000), ("in recovery", 1)])
async def test_a_commit_is_uncertain_until_a_server_that_writes_can_tell(
    dsn: str, keys: str, other: str, tries: int
) -> None:
    recovering = make_conninfo(dsn, options="-c default_transaction_read_only=on")  # as a standby answers
    nowhere = "postgresql://nobody@/none?host=/nowhere"
    elsewhere = Database(nowhere if other == "nowhere" else recovering, limits=Limits(connect_s=0.3))
    database = _FailsOver(dsn, limits=Limits(connect_s=0.3))
    database.elsewhere, database.tries = elsewhere, tries
    for one in (elsewhere, database):
        await one.open()
    receipt = await perform(database, RevokeKeys((42,)), actor=ANN, reason=REASON, settle_s=0.5)
    for one in (elsewhere, database):
        await one.close()
    assert not states(keys)[42]
    if tries == 1:
        assert receipt.outcome is Outcome.DONE
        return
    assert receipt.outcome is Outcome.UNCERTAIN
    assert "may have happened" in receipt.message
    assert f"--operation {receipt.operation_id}" in receipt.message


async def test_what_fails_behind_the_commit_is_done_all_the_same(dsn: str, keys: str) -> None:
    database = _LosesTheAnswer(dsn)
    database.loss = psycopg.InterfaceError
    await database.open()
    receipt = await perform(database, RevokeKeys((42,)), actor=ANN, reason=REASON)
    await database.close()
    assert (receipt.outcome, states(keys)[42]) == (Outcome.DONE, False)


async def test_a_change_wakes_the_listeners_of_its_topic(database: Database, keys: str) -> None:
    hints = listen(database)
    assert await anext(hints) is None
    receipt = await perform(database, RevokeKeys((42,)), actor=ANN, reason=REASON)
    assert receipt.done
    assert await asyncio.wait_for(anext(hints), 5) == "keys"
    await hints.aclose()


async def test_the_record_is_read_newest_first_and_by_subject(database: Database, keys: str) -> None:
    first = await perform(database, RevokeKeys((42, 43)), actor=ANN, reason=REASON)
    second = await perform(database, SuspendCustomer(CUSTOMER), actor=ANN, reason=REASON)
    rows = (await Audit(database).page()).rows
    assert [row.operation_id for row in rows] == [second.operation_id, first.operation_id]
    found = await Audit(database).page(AuditSearch(subject="key:43"))
    assert [row.operation_id for row in found.rows] == [first.operation_id]
    assert await Audit(database).page(before=rows[-1].seq) == Page((), complete=True)
    assert replace(rows[0]).subjects == (f"customer:{CUSTOMER}",)
