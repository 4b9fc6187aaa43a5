"""Events that wait for somebody: found by outcome, shown beside the books, and settled once, with a reason."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from db.chain.reader import ChainReader
from db.chain.simulated.ledger import Ledger
from db.chain.simulated.node import Node, serving
from db.chain.values import Digest, ObjectId
from db.database import Database
from db.operations import Outcome
from db.source import (
    AcceptChain,
    AssignEvent,
    DismissEvent,
    EventId,
    KeepBooks,
    Operation,
    ReopenEvent,
    Source,
    parse_event_search,
)
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.escrow.events import OPEN, OUTCOMES, EventSearch
from db.suiftly.jobs.sync_chain import SyncChain
from tests.db.chain.world import ACCOUNT, OTHER_ACCOUNT, PACKAGE, SERVICE, USER, event, quick
from tests.db.seed import add_customer, wallet
from tests.db.suiftly.books import ANN, execute, rows

STRANGE = ObjectId("0x" + "77" * 32)
MADE = ObjectId("0x" + "88" * 32)
CONFLICT = Digest(bytes([9]) * 32)
PAIR = Digest(bytes([8]) * 32)
INBOX = """SELECT account_id AS a, kind, outcome, customer_id AS c, note, tx_id IS NOT NULL AS e,
                  ledger_id IS NOT NULL AS l FROM console.chain_event"""


class World:
    """Events of every outcome but noted: 1 and 2 have accounts, 3 and 4 have none."""

    def __init__(self, dsn: str, database: Database) -> None:
        self.dsn = dsn
        self.source = Source(database, ANN)
        self.ledger = Ledger()
        add = self.ledger.commit
        self.recorded = add(USER, [event("DepositEvent", account_id=ACCOUNT, amount=5_000_000)])
        deposits = [event("DepositEvent", account_id=STRANGE, amount=units) for units in (1_000_000, 2_005_000)]
        self.pair = add(USER, [*deposits, event("ChargeEvent", account_id=OTHER_ACCOUNT, amount=7)])
        self.later = add(USER, [event("ChargeEvent", account_id=STRANGE, amount=30)])
        self.unknown = add(USER, [event("RefundEvent", account_id=STRANGE, amount=1)])
        add(SERVICE, [event("ChargeEvent", account_id=ACCOUNT, amount=90)], digest=CONFLICT)

    async def sync(self) -> dict[str, int]:
        async with serving(Node(self.ledger)) as port:
            reader = ChainReader(quick(port))
            run = await Source(self.source.database, ANN, chain=EscrowChain(reader, (ObjectId(PACKAGE),))).run_job(
                SyncChain()
            )
            await reader.close()
        assert run.outcome == "succeeded", run.message
        return {name: count for name, count in run.counts.items() if name != "events"}

    def inbox(self, where: str = "true") -> list[dict[str, Any]]:
        return rows(self.dsn, f"{INBOX} WHERE {where} ORDER BY checkpoint, tx_index, event_index")

    def ledger_of(self, customer: int) -> list[tuple[str, int]]:
        found = rows(
            self.dsn,
            """SELECT type, amount_usd_cents AS cents FROM ledger_entries WHERE customer_id = %s
               ORDER BY created_at, amount_usd_cents DESC""",
            customer,
        )
        return [(row["type"], row["cents"]) for row in found]

    def escrow_of(self, customer: int) -> list[tuple[str, Decimal, str | None]]:
        found = rows(self.dsn, "SELECT * FROM escrow_transactions WHERE customer_id = %s ORDER BY tx_id", customer)
        return [(row["tx_type"], row["amount"], row["asset_type"]) for row in found]

    def book(self, digest: Digest, customer: int, dollars: str, cents: int | None = None) -> None:
        """A charge as a billing backend writes it."""
        execute(
            self.dsn,
            """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)
               VALUES (%s, %s, 'charge', %s, '2026-01-01')""",
            customer, digest.raw.hex(), dollars,
        )  # fmt: skip
        if cents is not None:
            execute(
                self.dsn,
                """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash)
                   VALUES (%s, 'charge', %s, %s)""",
                customer, -cents, str(digest),
            )  # fmt: skip

    async def done(self, operation: Operation) -> str:
        """Does what was previewed."""
        preview = await self.source.preview(operation)
        receipt = await self.source.perform(operation.at_version(preview.version), "as the support ticket says")
        assert receipt.done, receipt
        return receipt.message

    async def refused(self, operation: Operation) -> str:
        receipt = await self.source.perform(operation, "as the support ticket says")
        assert receipt.outcome is Outcome.REFUSED, receipt
        return receipt.message


@pytest.fixture
async def world(dsn: str, database: Database) -> World:
    for customer in (1, 2, 3, 4):
        add_customer(dsn, customer)
    for customer, account in ((1, ACCOUNT), (2, OTHER_ACCOUNT)):
        execute(dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", account, customer)
    world = World(dsn, database)
    world.book(CONFLICT, 1, "0.91", 91)
    await world.sync()
    return world


async def test_events_are_found_by_what_became_of_them_and_shown_beside_the_books(world: World) -> None:
    async def found(words: str) -> list[str]:
        search, names = parse_event_search(words), list[str]()
        page = await world.source.escrow_events.page(search, limit=2)
        while True:
            names += [f"{row.name} {row.amount}" for row in page.rows]
            if page.complete:
                return names
            page = await world.source.escrow_events.page(search, after=page.rows[-1], limit=2)

    strange = ["RefundEvent None", "ChargeEvent $0.30", "DepositEvent 2.005000 USDC", "DepositEvent 1.000000 USDC"]
    assert await found("") == ["ChargeEvent $0.90", *strange]
    assert await found("conflict") == ["ChargeEvent $0.90"]
    assert await found("mirrored") == ["ChargeEvent $0.07", "DepositEvent 5.000000 USDC"]
    assert await found(STRANGE.upper().replace("X", "x")) == strange
    assert await found(f"{world.pair.raw.hex()} unmatched") == strange[2:]
    assert await found(str(world.pair)) == [*["ChargeEvent $0.07"], *strange[2:]]
    assert await found("customer:1") == ["ChargeEvent $0.90", "DepositEvent 5.000000 USDC"]
    assert len(await found("all")) == 7
    detail = await world.source.escrow_events.find(EventId(CONFLICT, 0))
    assert detail is not None
    assert (detail.event.customer_id, detail.fields["amount"]) == (1, "90")
    assert detail.event.note == "the books have under this digest: charge of $0.91 for customer 1"
    assert [
        (row.book, row.kind, row.amount, row.stands_for, set(row.differences(detail.event))) for row in detail.books
    ] == [
        ("escrow", "charge", Decimal("0.91"), None, {"amount"}),
        ("ledger", "charge", Decimal("0.91"), None, {"amount"}),
    ]
    mirrored = await world.source.escrow_events.find(EventId(world.pair, 2))
    assert mirrored is not None
    assert [(row.book, row.stands_for, row.differences(mirrored.event)) for row in mirrored.books] == [
        ("escrow", 2, frozenset()), ("ledger", 2, frozenset()),
    ]  # fmt: skip
    assert await world.source.escrow_events.find(EventId(CONFLICT, 1)) is None


async def test_an_event_is_assigned_as_if_the_account_had_been_known(world: World) -> None:
    operation = AssignEvent(EventId(world.pair, 0), customer_id=3)
    assert operation.shell == f"opsdeck chain assign {world.pair}:0 --customer 3"
    preview = await world.source.preview(operation)
    assert preview.title == "Assign DepositEvent of 1.000000 USDC to customer 3"
    assert preview.changes == (
        "unmatched → mirrored", f"escrow account of customer 3: none → {STRANGE}", "escrow mirror: + deposit of $1.00",
        "ledger: + deposit of $1.00",
    )  # fmt: skip
    assert preview.consequences[:2] == (
        "1 other event(s) of the transaction come with it.",
        "1 other event(s) of the account follow with the next `opsdeck chain sync`.",
    )
    refusals = {
        "is in conflict, not unmatched; accept the chain's": AssignEvent(EventId(CONFLICT, 0), customer_id=3),
        "moves no money that opsdeck can read": AssignEvent(EventId(world.unknown, 0), customer_id=3),
        "there is no customer 99": AssignEvent(EventId(world.pair, 0), customer_id=99),
        "there is no event": AssignEvent(EventId(world.pair, 7), customer_id=3),
        "is mirrored, not unmatched": AssignEvent(EventId(world.recorded, 0), customer_id=3),
    }
    for words, wrong in refusals.items():
        assert words in await world.refused(wrong)
    # Whose it is changes between looking and doing.
    execute(world.dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = 4", STRANGE)
    assert "on record for customer 4" in await world.refused(operation.at_version(preview.version))
    execute(world.dsn, "UPDATE customers SET escrow_contract_id = NULL WHERE customer_id = 4")
    execute(world.dsn, "UPDATE customers SET status = 'suspended' WHERE customer_id = 3")
    stale = await world.source.perform(operation.at_version(preview.version), "as shown")
    assert stale.outcome is Outcome.STALE
    assert world.ledger_of(3) == []
    # Two at once, for two customers: one has it.
    both = await asyncio.gather(
        *(world.source.perform(AssignEvent(EventId(world.pair, n), customer_id=c), "mine") for n, c in ((0, 3), (1, 4)))
    )
    assert sorted(receipt.outcome.value for receipt in both) == ["done", "refused"]
    mine, event_id = (3, EventId(world.pair, 0)) if both[0].done else (4, EventId(world.pair, 1))
    assert world.ledger_of(mine) == [("deposit", 200), ("deposit", 100)]
    assert world.escrow_of(mine) == [("deposit", Decimal(1), "USDC"), ("deposit", Decimal("2.005"), "USDC")]
    assert await world.sync() == {"mirrored": 1}
    assert world.ledger_of(mine) == [("deposit", 200), ("deposit", 100), ("charge", -30)]
    assert "is mirrored, not unmatched" in await world.refused(AssignEvent(EventId(world.pair, 0), customer_id=mine))
    record = await world.source.audit.of((event_id.subject,))
    assert [(row.action, row.outcome) for row in record if row.outcome == "done"] == [("assign-event", "done")]
    balances = rows(world.dsn, "SELECT DISTINCT current_balance_usd_cents AS cents FROM customers")
    assert balances == [{"cents": 12345}]


async def test_an_account_of_somebody_else_is_not_assigned_and_a_second_one_stays_off_the_record(world: World) -> None:
    made = [
        world.ledger.commit(USER, [event("AccountCreated", account_id=MADE, user_address=wallet(2))]),
        world.ledger.commit(USER, [event("DepositEvent", account_id=MADE, amount=4_000_000)]),
    ]
    await world.sync()
    foreign = AssignEvent(EventId(made[1], 0), customer_id=3)
    assert "made by the wallet of customer 2; correct" in await world.refused(foreign)
    # Customer 2 has another account on record: the event alone becomes its own.
    own = AssignEvent(EventId(made[1], 0), customer_id=2)
    preview = await world.source.preview(own)
    assert preview.changes[0] == "unmatched → mirrored"
    assert f"Customer 2 keeps the account {OTHER_ACCOUNT}: only this event is assigned." in preview.consequences
    await world.done(own)
    assert world.ledger_of(2) == [("charge", -7), ("deposit", 400)]
    accounts = rows(world.dsn, "SELECT escrow_contract_id AS a FROM customers WHERE customer_id = 2")
    assert accounts == [{"a": OTHER_ACCOUNT}]
    # One assigned so may still be in conflict with what is there.
    world.book(world.later, 2, "0.31")
    assert "is in conflict with the books of customer 2" in await world.done(
        AssignEvent(EventId(world.later, 0), customer_id=2)
    )
    assert "on the books of customer 2" in await world.refused(AssignEvent(EventId(world.pair, 0), customer_id=3))


async def test_a_conflict_is_settled_for_the_chain(world: World) -> None:
    operation = AcceptChain(EventId(CONFLICT, 0))
    preview = await world.source.preview(operation)
    assert preview.changes == (
        "conflict → mirrored",
        "escrow: charge of $0.91 for customer 1 → charge of $0.90 for customer 1",
        "ledger: + credit of $0.91 for customer 1, which takes back the charge",
        "ledger: + charge of $0.90 for customer 1",
    )
    execute(world.dsn, "UPDATE escrow_transactions SET amount = 0.92 WHERE amount = 0.91")
    stale = await world.source.perform(operation.at_version(preview.version), "as shown")
    assert (stale.outcome, world.ledger_of(1)) == (Outcome.STALE, [("deposit", 500), ("charge", -91)])
    assert "escrow: charge of $0.92 for customer 1 → charge of $0.90" in await world.done(operation)
    assert world.escrow_of(1) == [("charge", Decimal("0.90"), "USDC"), ("deposit", Decimal(5), "USDC")]
    assert sorted(world.ledger_of(1)) == [("charge", -91), ("charge", -90), ("credit", 91), ("deposit", 500)]
    [settled] = world.inbox("kind = 'charge' AND customer_id = 1")
    assert (settled["outcome"], settled["e"], settled["l"]) == ("mirrored", True, True)
    assert settled["note"].endswith("; the chain is accepted: as the support ticket says")
    assert "is mirrored, not in conflict" in await world.refused(operation)
    assert (await world.sync()) == {}
    detail = await world.source.escrow_events.find(EventId(CONFLICT, 0))
    assert detail is not None
    assert {(row.book, row.kind, row.stands_for, row.taken_back) for row in detail.books} == {
        ("escrow", "charge", 0, False), ("ledger", "charge", None, True), ("ledger", "charge", 0, False),
        ("ledger", "credit", None, True),
    }  # fmt: skip


async def test_a_conflict_is_settled_for_the_books_and_what_is_nobodys_is_dismissed(world: World) -> None:
    # Two charges of one transaction, of which the books have neither right: each is settled against its own row.
    both = [event("ChargeEvent", account_id=account, amount=11) for account in (ACCOUNT, OTHER_ACCOUNT)]
    world.ledger.commit(SERVICE, both, digest=PAIR)
    for customer, dollars in ((2, "0.22"), (1, "0.12")):
        execute(
            world.dsn,
            """INSERT INTO escrow_transactions (customer_id, tx_digest, event_seq, tx_type, amount, timestamp)
               VALUES (%s, %s, %s, 'charge', %s, now())""",
            customer, str(PAIR), customer, dollars,
        )  # fmt: skip
    assert (await world.sync())["conflict"] == 2
    keep = KeepBooks(EventId(PAIR, 0))
    preview = await world.source.preview(keep)
    assert preview.changes == ("conflict → dismissed", "stays: in the escrow mirror a charge of $0.12 for customer 1")
    assert preview.consequences[-1] == "1 other row(s) under this digest stand for no event, and stay as they are."
    assert "the books keep in the escrow mirror a charge of $0.12" in await world.done(keep)
    await world.done(AcceptChain(EventId(PAIR, 1)))
    amounts = [row[1] for row in (*world.escrow_of(1), *world.escrow_of(2))]
    assert sorted(amounts)[:3] == [Decimal("0.07"), Decimal("0.11"), Decimal("0.12")]
    assert ("charge", -11) in world.ledger_of(2)
    assert "is dismissed, not in conflict" in await world.refused(keep)
    assert "reopen it first: the books have under this digest: " in await world.refused(DismissEvent(EventId(PAIR, 0)))
    # Whoever becomes a customer later does not get what was dismissed.
    for operation in (DismissEvent(EventId(world.later, 0)), DismissEvent(EventId(world.unknown, 0))):
        assert (await world.source.preview(operation)).changes == ("unmatched → dismissed",)
        await world.done(operation)
    assert "not unmatched; accept the chain's version, or keep" in await world.refused(
        DismissEvent(EventId(CONFLICT, 0))
    )
    execute(world.dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = 3", STRANGE)
    assert await world.sync() == {"mirrored": 2, "cents_below": 1}
    assert world.ledger_of(3) == [("deposit", 200), ("deposit", 100)]
    dismissed = world.inbox(f"outcome = 'dismissed' AND account_id = '{STRANGE}'")
    assert [row["note"] for row in dismissed] == [
        "no customer has this escrow account; dismissed: as the support ticket says",
        "opsdeck does not know events of the type RefundEvent; dismissed: as the support ticket says",
    ]
    # Taken back, each waits again for what it waited for; the account is somebody's by now.
    later = ReopenEvent(EventId(world.later, 0))
    assert later.shell == f"opsdeck chain reopen {world.later}:0"
    assert (await world.source.preview(later)).changes == ("dismissed → unmatched",)
    await world.done(later)
    assert "is unmatched, not dismissed; assign it" in await world.refused(later)
    await world.done(ReopenEvent(EventId(world.unknown, 0)))
    assert await world.sync() == {"mirrored": 1}
    assert world.ledger_of(3)[-1] == ("charge", -30)
    assert "waits again: conflict" in await world.done(ReopenEvent(EventId(PAIR, 0)))
    await world.done(AcceptChain(EventId(PAIR, 0)))
    assert sorted(row[1] for row in world.escrow_of(1))[:1] == [Decimal("0.11")], "the row that was kept is set right"
    assert "is mirrored, not dismissed" in await world.refused(ReopenEvent(EventId(PAIR, 0)))


def test_an_event_and_a_search_are_read_in_every_form() -> None:
    for spelling in CONFLICT.spellings:
        assert EventId.parse(f" {spelling}:12 ") == EventId(CONFLICT, 12)
    assert EventId.parse(str(EventId(CONFLICT, 0))) == EventId(CONFLICT, 0)
    for text, words in (
        ("0x" + "ab" * 20 + ":0", "event: this is an Ethereum"),
        ("0x" + "ab" * 20, "event: this is an Ethereum"),
        (str(CONFLICT), "event: give DIGEST:INDEX"),
        (f"{CONFLICT}:-1", "event: give DIGEST:INDEX"),
        (f"{CONFLICT}:x", "event: give DIGEST:INDEX"),
        ("nothing:0", "event: give the 43 or 44 characters"),
        ("", "event: give the 43 or 44 characters"),
    ):
        with pytest.raises(ValueError, match=words):
            EventId.parse(text)
    assert parse_event_search("") == EventSearch(OPEN)
    assert parse_event_search("open customer:7") == EventSearch(OPEN, 7)
    assert parse_event_search("7") == EventSearch(OUTCOMES, 7)
    assert parse_event_search("noted dismissed") == EventSearch(("noted", "dismissed"))
    assert parse_event_search(str(CONFLICT)).named == "09" * 32
    for text, words in (
        ("0x" + "ab" * 20, "account: this is an Ethereum"),
        ("customer:0", "search events by open | all"),
        ("whatever", "search events by open | all"),
        ("0x12", "account: give 0x and 64 hex digits"),
    ):
        with pytest.raises(ValueError, match=words.replace("|", r"\|")):
            parse_event_search(text)
