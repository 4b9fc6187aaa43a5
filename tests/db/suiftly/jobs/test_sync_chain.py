"""The escrow of the chain on the books: once each, whatever breaks, and never over what somebody else wrote."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from grpclib.const import Status

from db.chain.config import Target
from db.chain.errors import ChainError
from db.chain.reader import ChainReader
from db.chain.simulated.ledger import Ledger, SimulatedObject
from db.chain.simulated.node import Faults, Node, serving
from db.chain.values import Digest, MoveType, ObjectId
from db.database import Database
from db.jobs.history import JobRun
from db.jobs.job import Run
from db.jobs.runner import run_job
from db.source import Source
from db.suiftly.billing.ledger import Ledger as LedgerOf
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.jobs.sync_chain import SyncChain
from tests.db.chain.world import ACCOUNT, OTHER_ACCOUNT, PACKAGE, SERVICE, USER, event, quick
from tests.db.seed import add_customer
from tests.db.suiftly.books import ANN, execute, rows

ESCROW_ROWS = """SELECT customer_id AS c, tx_digest AS d, event_seq AS seq, tx_type AS t, amount AS a,
                        asset_type AS asset, timestamp AS at
                 FROM escrow_transactions ORDER BY timestamp, event_seq, customer_id"""
LEDGER_ROWS = """SELECT customer_id AS c, type AS t, amount_usd_cents AS cents, created_at AS at FROM ledger_entries
                 ORDER BY created_at, amount_usd_cents"""
INBOX = """SELECT checkpoint AS cp, event_index AS i, kind, outcome, customer_id AS c, note, rest_usdc AS rest,
                  tx_id IS NOT NULL AS escrow, ledger_id IS NOT NULL AS ledger
           FROM console.chain_event ORDER BY checkpoint, tx_index, event_index"""


ANSWERS = (Status.OK, Status.OK, Status.UNAVAILABLE, Status.PERMISSION_DENIED)


async def _nothing(progress: str) -> None:
    await asyncio.sleep(0)


class World:
    """A ledger with a node in front of it, an archive when one is asked for, and the job that reads them."""

    def __init__(self, dsn: str, database: Database, stack: AsyncExitStack) -> None:
        self.dsn = dsn
        self.database = database
        self.ledger = Ledger()
        self.node = Node(self.ledger)
        self._stack = stack
        self.chain: EscrowChain

    async def begin(self, start: int = 0, **changes: Any) -> None:
        port = await self._stack.enter_async_context(serving(self.node))
        reader = ChainReader(quick(port, **changes))
        self._stack.push_async_callback(reader.close)
        self.chain = EscrowChain(reader, (ObjectId(PACKAGE),), start)

    async def archive(self, ledger: Ledger, faults: Faults | None = None) -> Node:
        node = Node(ledger, faults)
        port = await self._stack.enter_async_context(serving(node))
        reader = ChainReader(replace(self.chain.reader.config, archive=Target("127.0.0.1", port)))
        self._stack.push_async_callback(reader.close)
        self.chain = replace(self.chain, reader=reader)
        return node

    async def sync(self, *, dry_run: bool = False) -> JobRun:
        return await run_job(self.database, SyncChain(self.chain), actor=ANN, dry_run=dry_run)

    async def alone(self) -> str:
        """A run without the lock that keeps a second one away."""
        return await SyncChain(self.chain).run(Run(self.database, actor=ANN, dry_run=False, checkpoint=_nothing))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in rows(self.dsn, query)]

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in rows(self.dsn, INBOX)]

    def books(self) -> tuple[list[tuple[Any, ...]], ...]:
        return self.rows(ESCROW_ROWS), self.rows(LEDGER_ROWS), self.rows(INBOX)


@pytest.fixture
async def world(dsn: str, database: Database) -> AsyncIterator[World]:
    for customer, account in ((1, ACCOUNT), (2, OTHER_ACCOUNT)):
        add_customer(dsn, customer)
        execute(dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", account, customer)
    async with AsyncExitStack() as stack:
        world = World(dsn, database, stack)
        await world.begin()
        yield world


def second(number: int) -> datetime:
    return datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC)


def charge(cents: int, account: ObjectId = ACCOUNT) -> Any:
    return event("ChargeEvent", account_id=account, amount=cents)


def business(ledger: Ledger) -> list[Digest]:
    """A creation, a deposit of 100.005, charges of both customers in one transaction, a limit, a failure."""
    deposit = event("DepositEvent", account_id=ACCOUNT, amount=100_005_000)
    both = [charge(3000), charge(1, OTHER_ACCOUNT)]
    return [
        ledger.commit(USER, [event("AccountCreated", account_id=ACCOUNT, user_address=USER)]),
        ledger.commit(USER, [deposit]),
        ledger.commit(SERVICE, both),
        ledger.commit(USER, [event("LimitChangedEvent", account_id=ACCOUNT, new_limit=0)]),
        ledger.commit(SERVICE, [event("ChargeEvent", account_id=ACCOUNT, amount=7)], error="MoveAbort 3"),
    ]


async def test_events_come_onto_the_books_once_with_the_time_of_their_checkpoint(world: World) -> None:
    made = business(world.ledger)
    dry = await world.sync(dry_run=True)
    assert (dry.outcome, world.books()) == ("succeeded", ([], [], []))
    run = await world.sync()
    assert run.outcome == "succeeded"
    assert run.counts == dry.counts == {"events": 5, "mirrored": 3, "noted": 2, "cents_below": 1}
    assert run.message == "mirrored 3 of 5 events; 2 no money; 1 with a rest below a cent"
    assert world.rows(ESCROW_ROWS) == [
        (1, str(made[1]), 0, "deposit", Decimal("100.00500000"), "USDC", second(2)),
        (1, str(made[2]), 0, "charge", Decimal("30.00000000"), "USDC", second(3)),
        (2, str(made[2]), 1, "charge", Decimal("0.01000000"), "USDC", second(3)),
    ]
    assert world.rows(LEDGER_ROWS) == [
        (1, "deposit", 10_000, second(2)),
        (1, "charge", -3000, second(3)),
        (2, "charge", -1, second(3)),
    ]
    inbox = rows(world.dsn, INBOX)
    assert [(row["cp"], row["i"], row["kind"], row["outcome"], row["escrow"], row["ledger"]) for row in inbox] == [
        (1, 0, None, "noted", False, False),
        (2, 0, "deposit", "mirrored", True, True),
        (3, 0, "charge", "mirrored", True, True),
        (3, 1, "charge", "mirrored", True, True),
        (4, 0, None, "noted", False, False),
    ]
    assert (inbox[1]["rest"], inbox[1]["note"]) == (5000, "5000 millionths of a dollar are below a cent")
    standing = await LedgerOf(world.database).standing(1)
    assert standing is not None
    assert (standing.ledger_cents, standing.escrow_usd) == (7000, Decimal("70.005"))
    balances = world.rows("SELECT current_balance_usd_cents FROM customers")
    assert balances == [(12345,), (12345,)], "what is cached is for reconciliation to judge"
    before = world.books()
    again = await world.sync()
    assert (again.message, again.counts) == ("nothing new on the chain", {})
    # A cursor that is lost altogether: everything is read again, and nothing is written twice.
    execute(world.dsn, "DELETE FROM console.chain_cursor")
    await world.sync()
    assert world.books() == before
    # One of another server means nothing here: reading goes on behind what was covered.
    world.ledger.commit(USER, [event("WithdrawalEvent", account_id=ACCOUNT, amount=10_000)])
    execute(world.dsn, "UPDATE console.chain_cursor SET cursor = 'x'")
    run = await world.sync()
    assert (run.outcome, run.counts["mirrored"]) == ("succeeded", 1)
    assert world.rows(LEDGER_ROWS)[-1] == (1, "withdrawal", -1, second(6))


async def test_what_the_books_have_already_is_recognised_and_the_rest_is_a_conflict(world: World) -> None:
    digests = [Digest(bytes([number]) * 32) for number in range(6)]
    recorded, in_hex, ledger_only, other_amount, two, in_sui = digests
    for digest, event_ in (
        (recorded, event("DepositEvent", account_id=ACCOUNT, amount=5_000_000)),
        (in_hex, event("ChargeEvent", account_id=ACCOUNT, amount=70)),
        (ledger_only, event("ChargeEvent", account_id=ACCOUNT, amount=80)),
        (other_amount, event("ChargeEvent", account_id=ACCOUNT, amount=90)),
    ):
        world.ledger.commit(SERVICE, [event_], digest=digest)
    world.ledger.commit(SERVICE, [charge(11), charge(12, OTHER_ACCOUNT)], digest=two)
    world.ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=2_000_000)], digest=in_sui)
    for customer, text, kind, amount, asset in (
        (1, str(recorded), "deposit", "5", None),
        (1, in_hex.raw.hex(), "charge", "0.70", "USDC"),
        (1, str(other_amount), "charge", "0.91", "USDC"),
        (2, str(two), "charge", "0.12", "0xdb::usdc::USDC"),
        (1, str(in_sui), "deposit", "2", "0x2::sui::SUI"),
    ):
        execute(
            world.dsn,
            """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, asset_type, timestamp)
               VALUES (%s, %s, %s, %s, %s, '2026-01-01')""",
            customer, text, kind, amount, asset,
        )  # fmt: skip
    for cents, text in ((500, str(recorded)), (-80, f"0x{ledger_only.raw.hex()}")):
        execute(
            world.dsn,
            "INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash) VALUES (1, %s, %s, %s)",
            "deposit" if cents > 0 else "charge", cents, text,
        )  # fmt: skip
    world.node.faults.most_items = 1  # a page ends within the transaction of two
    run = await world.sync()
    assert run.counts == {"events": 7, "already_recorded": 3, "mirrored": 2, "conflict": 2}
    columns = ("cp", "i", "outcome", "escrow", "ledger", "note")
    found = [tuple(row[name] for name in columns) for row in rows(world.dsn, INBOX)]
    under = "the books have under this digest"
    assert found == [
        (1, 0, "already_recorded", True, True, None),
        (2, 0, "already_recorded", True, False, "the escrow mirror had it, the ledger has no such entry"),
        (3, 0, "mirrored", True, True, "the ledger had it already"),
        (4, 0, "conflict", False, False, f"{under}: charge of $0.91 for customer 1"),
        (5, 0, "mirrored", True, True, None),
        (5, 1, "already_recorded", True, False, "the escrow mirror had it, the ledger has no such entry"),
        (6, 0, "conflict", False, False, f"{under}: deposit of 2 of another coin for customer 1"),
    ]
    # The other charge of that transaction stood in the slot of the first one.
    assert [row[:3] for row in world.rows(ESCROW_ROWS) if row[1] == str(two)] == [(2, str(two), 0), (1, str(two), 1)]
    assert sorted(row[2] for row in world.rows(LEDGER_ROWS)) == [-80, -11, 500]


async def test_an_account_without_a_customer_waits_for_one(world: World) -> None:
    strange, made = ObjectId("0x" + "77" * 32), ObjectId("0x" + "88" * 32)
    world.ledger.commit(USER, [event("DepositEvent", account_id=strange, amount=1_000_000)])
    world.ledger.commit(USER, [event("AccountCreated", account_id=made, user_address=USER)])
    world.ledger.commit(USER, [event("DepositEvent", account_id=made, amount=2_000_000)])
    world.ledger.commit(USER, [event("RefundEvent", account_id=made, amount=2_000_000)])
    run = await world.sync()
    assert run.counts == {"events": 4, "noted": 1, "unmatched": 3}
    notes = [row["note"] for row in rows(world.dsn, INBOX) if row["outcome"] == "unmatched"]
    assert notes == [
        "no customer has this escrow account",
        "no customer has this escrow account",
        "opsdeck does not know events of the type RefundEvent",
    ]
    # The wallet that made the account becomes a customer: found without anybody writing the account down.
    add_customer(world.dsn, 3)
    execute(world.dsn, "UPDATE customers SET wallet_address = %s WHERE customer_id = 3", USER)
    for customer in (4, 5):
        add_customer(world.dsn, customer)
        execute(world.dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", strange, customer)
    run = await world.sync()
    assert run.counts == {"mirrored": 1}
    assert world.rows(LEDGER_ROWS) == [(3, "deposit", 200, second(3))]
    assert rows(world.dsn, INBOX)[0]["note"] == "the customers 4 and 5 have the same escrow account"
    execute(world.dsn, "UPDATE customers SET escrow_contract_id = NULL WHERE customer_id = 5")
    assert (await world.sync()).counts["mirrored"] == 1
    assert (await world.sync()).message == "nothing new on the chain"


def made(account: ObjectId, usdc: int) -> SimulatedObject:
    fields = {
        "user_address": USER,
        "balance_usdc": str(usdc),
        "spending_limit_usd_cents": "0",
        "current_period_charged_usd_cents": "0",
    }
    return SimulatedObject(account, MoveType.parse(f"{PACKAGE}::escrow::Account"), dict(fields))


async def test_the_deposit_that_an_account_is_made_with_comes_onto_the_books_once(world: World) -> None:
    accounts = [ObjectId(f"0x{number:064x}") for number in range(1, 6)]
    for number, account in enumerate(accounts):
        add_customer(world.dsn, 10 + number)
        execute(world.dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", account, 10 + number)
    brought, topped_up, empty, odd, elsewhere = accounts

    def creation(account: ObjectId, usdc: int, *others: Any) -> Digest:
        creation = event("AccountCreated", account_id=account, user_address=USER)
        return world.ledger.commit(USER, [creation, *others], objects=[made(account, usdc)])

    digest = creation(brought, 25_500_000)
    creation(topped_up, 9_000_000, event("DepositEvent", account_id=topped_up, amount=4_000_000))
    creation(empty, 0)
    creation(odd, 1_000_000, event("DepositEvent", account_id=odd, amount=4_000_000))
    world.ledger.commit(USER, [event("AccountCreated", account_id=elsewhere, user_address=USER)])
    # What the account holds later is no matter.
    world.ledger.objects[brought].fields["balance_usdc"] = "1"
    world.ledger.objects[brought].version += 1
    world.node.faults.refused[brought] = Status.UNAVAILABLE
    assert (await world.sync()).outcome == "failed", "it may be told the next time: nothing is noted as unknown"
    assert world.outcomes() == []
    world.node.faults.refused.clear()
    run = await world.sync()
    assert run.counts == {"events": 7, "mirrored": 4, "noted": 3}, run.message
    assert [row[:5] for row in world.rows(ESCROW_ROWS)] == [
        (10, str(digest), 0, "deposit", Decimal("25.50000000")),
        *[(11, row[1], seq, "deposit", Decimal(amount)) for row, seq, amount in zip(
            world.rows(ESCROW_ROWS)[1:3], (0, 1), ("5.00000000", "4.00000000"), strict=True)],
        (13, world.rows(ESCROW_ROWS)[3][1], 1, "deposit", Decimal("4.00000000")),
    ]  # fmt: skip
    assert [row[:3] for row in world.rows(LEDGER_ROWS)] == [
        (10, "deposit", 2550), (11, "deposit", 400), (11, "deposit", 500), (13, "deposit", 400),
    ]  # fmt: skip
    unknown = "initial deposit unknown"
    assert [row["note"] for row in rows(world.dsn, INBOX) if row["outcome"] == "noted"] == [
        "the account was made without a deposit",
        f"{unknown}: the account held less than its events tell",
        f"{unknown}: its transaction does not tell the account's version",
    ]
    before = world.books()
    execute(world.dsn, "DELETE FROM console.chain_cursor")
    await world.sync()
    assert world.books() == before
    # A node that no longer has the account as it was made: unknown, unless the archive has it.
    world.node.faults.no_history = True
    pruned, kept = ObjectId("0x" + "8" * 64), ObjectId("0x" + "9" * 64)
    creation(pruned, 7_000_000)
    await world.sync()
    assert f"{unknown}: the account as it was made cannot be read: " in rows(world.dsn, INBOX)[-1]["note"]
    await world.archive(world.ledger)
    creation(kept, 7_000_000)
    await world.sync()
    last = rows(world.dsn, INBOX)[-1]
    assert (last["kind"], last["outcome"], last["note"]) == (
        "deposit", "unmatched", "no customer has this escrow account",
    )  # fmt: skip


async def test_whatever_breaks_on_the_way_no_event_is_lost_or_twice(world: World) -> None:
    """A growing history, read by syncs that meet every fault there is, some of them several at once."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    expected: list[tuple[int, int]] = []
    failed = 0
    faults = world.node.faults
    faults.most_items = 4
    for _ in range(10):
        for number in range(chance.randrange(8)):
            charges = [(chance.choice((1, 2)), chance.randrange(1, 99)) for _ in range(chance.choice((0, 1, 1, 2, 5)))]
            expected += [(customer, -cents) for customer, cents in charges]
            events = [charge(cents, ACCOUNT if customer == 1 else OTHER_ACCOUNT) for customer, cents in charges]
            world.ledger.commit(SERVICE, events, same_checkpoint=number > 0 and chance.random() < 0.3)
        faults.break_after = chance.choice((None, 1, 2, 3))
        faults.scan_limit = chance.choice((None, 1, 3))
        faults.answers = [(chance.choice(ANSWERS), "no") for _ in range(chance.randrange(12))]
        if chance.random() < 0.2:
            execute(world.dsn, "UPDATE console.chain_cursor SET cursor = 'lost'")
        if chance.random() < 0.3:
            for result in await asyncio.gather(world.alone(), world.alone(), return_exceptions=True):
                failed += isinstance(result, ChainError)
                assert isinstance(result, str | ChainError)
        else:
            run = await world.sync()
            failed += run.outcome == "failed"
            assert not (run.message or "").startswith("a defect")
    assert failed, "it met some of the faults"
    faults.answers, faults.break_after = [], None
    last = await world.sync()
    assert last.outcome == "succeeded", last.message
    assert sorted((row[0], row[2]) for row in world.rows(LEDGER_ROWS)) == sorted(expected)
    assert len(world.rows(ESCROW_ROWS)) == len(expected)
    assert set(world.outcomes()) <= {"mirrored"}


async def test_two_at_once_write_each_event_once(world: World) -> None:
    """Without the job's lock, as after a connection that was lost: the cursor's row keeps them apart."""
    for number in range(40):
        world.ledger.commit(SERVICE, [charge(number + 1)])
    world.node.faults.most_items = 3
    await asyncio.gather(world.alone(), world.alone(), world.alone())
    assert sorted(row[2] for row in world.rows(LEDGER_ROWS)) == sorted(-number for number in range(1, 41))


async def test_a_gap_is_bridged_by_the_archive_or_said_and_never_skipped(world: World) -> None:
    for number in range(12):
        world.ledger.commit(SERVICE, [charge(number + 1)])
        if number == 3:
            assert (await world.sync()).counts["mirrored"] == 4
    # The node forgets; another one has everything.
    whole = replace(world.ledger)
    world.ledger.lowest = 9
    run = await world.sync()
    assert run.outcome == "failed"
    assert run.message == (
        "checkpoints 5 to 8 were not read, and the node begins with 9; no archive is configured. Nothing is skipped: "
        "configure an archive that has them, or start_checkpoint where nothing was read yet"
    )
    archive = await world.archive(whole)
    archive.ledger.lowest = 6
    assert "the archive begins with 6" in ((await world.sync()).message or "")
    archive.ledger.lowest = 0
    archive.ledger.tip = 7
    run = await world.sync()
    assert "the archive has come to 7 only" in (run.message or "")
    archive.ledger.tip = 12
    archive.faults.most_items = 1
    run = await world.sync()
    assert run.outcome == "succeeded", run.message
    assert [row[2] for row in world.rows(LEDGER_ROWS)] == [-number for number in range(1, 13)]
    assert archive.calls.count("ListEvents") > 3


async def test_what_the_node_drops_while_it_is_read_is_a_gap_too(world: World) -> None:
    for number in range(6):
        world.ledger.commit(SERVICE, [charge(number + 1)])

    def drop(method: str) -> None:
        if method == "ListEvents":
            world.ledger.lowest = 3

    world.node.faults.before = drop
    run = await world.sync()
    assert (run.outcome, world.rows(LEDGER_ROWS)) == ("failed", [])
    assert "checkpoints 0 to 2 were not read" in (run.message or "")


async def test_a_contract_that_began_later_is_read_from_there(world: World) -> None:
    for number in range(6):
        world.ledger.commit(SERVICE, [charge(number + 1)])
    world.ledger.lowest = 4
    assert "checkpoints 0 to 3 were not read" in ((await world.sync()).message or "")
    world.chain = replace(world.chain, start=5)
    assert (await world.sync()).counts["mirrored"] == 2
    world.chain = replace(world.chain, start=1)
    assert (await world.sync()).message == "nothing new on the chain", "what was read once stays read"


async def test_an_event_that_cannot_be_read_stops_right_there_and_is_named(world: World) -> None:
    made = business(world.ledger)
    fields = {"account_id": ACCOUNT, "amount": "3"}
    good, bad = event("ChargeEvent", **fields), event("ChargeEvent", account_id=ACCOUNT)
    stuck = world.ledger.commit(SERVICE, [good, bad])
    world.ledger.commit(SERVICE, [good])
    for _ in range(2):
        run = await world.sync()
        assert (run.outcome, run.message) == (
            "failed",
            f"ChargeEvent (event 1 of transaction {stuck}): amount: missing",
        )
        assert len(world.rows(ESCROW_ROWS)) == 3, "what came before is on the books, nothing of its transaction is"
    # A field that a node leaves out is the same, and so is a time that none tells.
    world.ledger.events[-2].fields["amount"] = "4"  # type: ignore[index]
    world.node.faults.hidden.add(stuck)
    assert f"no node tells the time of transaction {stuck}" in ((await world.sync()).message or "")
    world.node.faults.hidden.clear()
    assert (await world.sync()).counts["mirrored"] == 3
    assert made[2] != stuck


async def test_another_chain_is_refused_and_without_one_nothing_is_due(world: World, dsn: str) -> None:
    business(world.ledger)
    await world.sync()
    before = world.books()
    world.ledger.chain_id = "another"
    run = await world.sync()
    assert run.outcome == "failed"
    assert "the books mirror the chain" in (run.message or "")
    assert world.books() == before
    off = Source(world.database, ANN)
    assert "sync-chain" not in {run.job for run in await off.run_due_jobs()}
    with pytest.raises(ChainError, match="chain not configured; set target in the"):
        await off.run_job(SyncChain(world.chain))
