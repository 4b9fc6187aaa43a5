"""What the chain says decides: bills are paid by transactions that happened, books come to what accounts hold."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
from grpclib.const import Status

from db.chain.reader import ChainReader
from db.chain.simulated.ledger import Ledger
from db.chain.simulated.node import Node, serving
from db.chain.units import Cents
from db.chain.values import Digest, ObjectId
from db.database import Database
from db.operations import Outcome
from db.source import JOBS, AdjustToChain, EscrowChain, FollowUpgrade, Operation, PayBill, Receipt, Source
from tests.console.test_cli_chain import hold
from tests.db.chain.world import ACCOUNT, OTHER_ACCOUNT, PACKAGE, SERVICE, USER, event, quick
from tests.db.seed import add_customer
from tests.db.suiftly.books import ANN, execute, rows

SYNC = next(job for job in JOBS if job.name == "sync-chain")


class World:
    """Customer 1 with three bills of $30.00 and $100 in its account, customer 2, and a node."""

    def __init__(self, dsn: str, database: Database, port: int, node: Node) -> None:
        self.dsn = dsn
        self.node = node
        self.ledger = node.ledger
        chain = EscrowChain(ChainReader(quick(port)), (ObjectId(PACKAGE),), charges_move_usdc=True)
        self.source = Source(database, ANN, chain=chain)
        self.unlinked = Source(database, ANN)

    def bills(self) -> list[UUID]:
        return [row["id"] for row in rows(self.dsn, "SELECT id FROM billing_records ORDER BY billing_period_start")]

    async def pay(self, bill: UUID, digest: Digest, *, unverified: bool = False) -> Receipt:
        operation = PayBill(bill, 1, digest=str(digest), unverified=unverified)
        return await self.source.perform(operation, "as the chain shows")

    def charge(self, cents: int, account: ObjectId = ACCOUNT, *, times: int = 1, error: str | None = None) -> Digest:
        events = [event("ChargeEvent", account_id=account, amount=cents)] * times
        return self.ledger.commit(SERVICE, events, error=error)


@pytest.fixture
async def world(dsn: str, database: Database) -> AsyncIterator[World]:
    for customer, account in ((1, ACCOUNT), (2, OTHER_ACCOUNT)):
        add_customer(dsn, customer)
        execute(dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", account, customer)
    for month in (5, 6, 7, 8):
        execute(
            dsn,
            """INSERT INTO billing_records
                   (customer_id, billing_period_start, billing_period_end, amount_usd_cents, status, type)
               VALUES (1, make_timestamptz(2026, %s, 1, 0, 0, 0), make_timestamptz(2026, %s, 1, 0, 0, 0), 3000,
                       'pending', 'charge')""",
            month, month + 1,
        )  # fmt: skip
    node = Node(Ledger())
    async with serving(node) as port:
        world = World(dsn, database, port, node)
        yield world
        await world.source.close()


async def test_a_digest_counts_as_paid_only_if_it_charged_this_account_this_amount(world: World) -> None:
    first, second, third, fourth = world.bills()
    good, twice = world.charge(3000), world.charge(3000, times=2)
    for bad, words in (
        (world.charge(3000, error="MoveAbort 3"), "the transaction failed: MoveAbort 3"),
        (world.charge(3000, OTHER_ACCOUNT), "charges the customer's account nothing, not $30.00"),
        (world.charge(2999), "charges the customer's account $29.99, not $30.00"),
    ):
        # Saying that it is not verified does not help against what the chain does say.
        refused = await world.pay(first, bad, unverified=True)
        assert refused.outcome is Outcome.REFUSED
        assert "the chain does not say that this bill was paid: " in refused.message
        assert words in refused.message
    before = rows(world.dsn, "SELECT * FROM billing_records ORDER BY id")
    world.node.faults.hidden = {good}
    for unknown, words in (
        (good, "no node has the transaction, which may be older than what they keep (127.0.0.1:"),
        (Digest(bytes(32)), "no node has the transaction"),
    ):
        refused = await world.pay(first, unknown)
        assert refused.outcome is Outcome.REFUSED
        assert words in refused.message
        assert "is unknown" in refused.message
        assert "The bill stays as it is; if you know it otherwise, say so with --unverified" in refused.message
    world.node.faults.hidden = set()
    world.node.faults.answers = [(Status.UNAVAILABLE, "gone")] * 3
    assert "the chain could not be asked: " in (await world.pay(first, good)).message
    assert rows(world.dsn, "SELECT * FROM billing_records ORDER BY id") == before

    preview = await world.source.preview(PayBill(first, 1, digest=str(good)))
    assert f"Digest {good}: the chain has the charge of $30.00 in checkpoint 1." in preview.consequences
    # It is asked again when it is done: what was verified at the preview may be gone by then.
    world.node.faults.hidden = {good}
    late = await world.source.perform(PayBill(first, 1, digest=str(good), version=preview.version), "it was shown")
    assert late.outcome is Outcome.REFUSED
    world.node.faults.hidden = set()
    paid = await world.pay(first, good)
    assert paid.done, paid.message
    assert paid.message.endswith("is now paid; the chain has the charge of $30.00 in checkpoint 1")
    assert "it pays 1 other bill(s) already" in (await world.pay(second, good)).message
    assert (await world.pay(second, twice)).done
    assert (await world.pay(third, twice)).done, "it has two such charges"
    world.node.faults.answers = [(Status.UNAVAILABLE, "gone")] * 3
    operation = PayBill(fourth, 1, digest=str(Digest(bytes(32))), unverified=True)
    assert operation.shell.endswith(" --unverified")
    told = await world.source.perform(operation, "seen in an explorer")
    assert told.done, told.message
    assert "not verified: the chain could not be asked" in told.message
    row = rows(world.dsn, "SELECT after FROM console.audit WHERE outcome = 'done' ORDER BY seq DESC LIMIT 1")[0]
    assert row["after"][f"bill:{fourth}"]["chain"].startswith("not verified: the chain could not be asked")


async def test_without_a_chain_the_receipt_says_that_nothing_was_checked(world: World) -> None:
    bill = world.bills()[0]
    paid = await world.unlinked.perform(PayBill(bill, 1, digest=str(Digest(bytes(32)))), "as the wallet shows")
    assert paid.done
    assert paid.message.endswith("is now paid; not checked on chain: none is configured")
    refused = await world.unlinked.perform(AdjustToChain(1), "try")
    assert refused.message.startswith("the account cannot be read: chain not configured")


async def test_books_are_adjusted_to_the_account_once_and_only_when_nothing_is_open(world: World) -> None:
    source, dsn = world.source, world.dsn
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 7000 WHERE customer_id = 1")
    world.ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=100_005_000)])
    hold(world.ledger, ACCOUNT, 125_005_000)  # made with $25 that nobody told of

    async def refused(words: str, operation: AdjustToChain | None = None) -> None:
        receipt = await source.perform(operation or AdjustToChain(1), "as the chain shows")
        assert (receipt.outcome, words in receipt.message) == (Outcome.REFUSED, True), receipt.message
        assert rows(dsn, "SELECT FROM ledger_entries WHERE tx_hash IS NULL") == []

    await refused("the account's last transaction is not in the inbox: run `opsdeck chain sync` first")
    stray = world.ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=2_000_000)])
    execute(
        dsn,
        "INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)"
        " VALUES (2, %s, 'deposit', 3, now())",
        str(stray),
    )
    await source.run_job(SYNC)
    await refused("1 event(s) of the account wait for a decision")
    assert (await source.escrow_books.inbox()).late is None
    execute(dsn, "UPDATE console.chain_cursor SET updated_at = now() - interval '61 min'")
    assert (await source.escrow_books.inbox()).late == "the chain was last read 61 min ago: nobody runs sync-chain"
    execute(dsn, "UPDATE console.chain_event SET outcome = 'dismissed', note = 'no' WHERE outcome = 'conflict'")
    world.node.faults.answers = [(Status.UNAVAILABLE, "gone")] * 3
    await refused("the account cannot be read: ")
    await refused("the chain comes to $125.00, not to $1.00", AdjustToChain(1, to=Cents(100)))
    shown = await source.preview(AdjustToChain(1))
    assert shown.changes == (
        "ledger: $100.00 → $125.00, by a credit of $25.00", "cached balance: $70.00 → $125.00",
    )  # fmt: skip
    assert "holds $125.005, $125.005 less charges; $125.005 is expected." in shown.consequences[0]
    assert "The mirror says $100.005 and stays." in shown.consequences[0]
    assert any(line.startswith("The ledger is $25.00 too low: ") for line in shown.consequences)
    # Another login has to agree to more than $50.00; the approval is for this sum.
    execute(dsn, "INSERT INTO console.second_person (action, above, expires_after) VALUES (%s, 5000, '1 h')",
            AdjustToChain.action)  # fmt: skip
    asked = await source.perform(AdjustToChain(1, version=shown.version), "as the chain shows")
    assert "It takes a second person" in asked.message
    assert rows(dsn, "SELECT command FROM console.approval") == [{"command": "opsdeck chain adjust 1 --to 125.00"}]
    execute(dsn, "UPDATE console.second_person SET above = 100000")
    # The account moved since it was shown, then the books did.
    world.ledger.objects[ACCOUNT].fields["balance_usdc"] = "126005000"
    moved = await source.perform(AdjustToChain(1, version=shown.version), "as the chain shows")
    assert moved.outcome is Outcome.STALE
    hold(world.ledger, ACCOUNT, 125_005_000)
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 7001 WHERE customer_id = 1")
    assert (await source.perform(AdjustToChain(1, version=shown.version), "shown")).outcome is Outcome.STALE
    informed = await AdjustToChain(1).informed(source.database, source.chain)
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 7000 WHERE customer_id = 1")
    async with source.database.reading() as connection:
        with pytest.raises(Exception, match="moved since they were compared"):
            await replace(informed).preview(connection)

    done = await source.perform(AdjustToChain(1, version=shown.version), "the deposit of its creation")
    assert done.done, done.message
    assert done.message == "The books of customer 1 come to $125.00 now, as the chain does"
    assert rows(
        dsn, "SELECT type, amount_usd_cents AS c, description AS d FROM ledger_entries WHERE tx_hash IS NULL"
    ) == [{"type": "credit", "c": 2500, "d": "Adjusted to the chain: the deposit of its creation"}]
    assert rows(dsn, "SELECT current_balance_usd_cents AS c FROM customers WHERE customer_id = 1") == [{"c": 12500}]
    audit = rows(dsn, "SELECT before, after FROM console.audit WHERE outcome = 'done' ORDER BY seq DESC LIMIT 1")[0]
    assert audit["before"]["customer:1"] == {"ledger_usd_cents": 10_000, "current_balance_usd_cents": 7000}
    again = await source.perform(AdjustToChain(1), "as the chain shows")
    assert "ledger and cached balance come to $125.00 already" in again.message
    assert [one.books.ledger_cents async for one in source.escrow_books.checked(1)] == [12_500]


async def test_an_upgrade_is_followed_to_the_account_of_the_same_wallet(world: World) -> None:
    source, dsn = world.source, world.dsn
    between, new = ObjectId("0x" + "66" * 32), ObjectId("0x" + "77" * 32)
    world.ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=100_000_000)])
    upgrade = event("AccountUpgraded", old_account_id=ACCOUNT, new_account_id=new, user_address=USER)
    # Even where the new account is said to be made, what it holds came from the old one.
    creation = event("AccountCreated", account_id=new, user_address=USER)
    hold(world.ledger, new, 100_000_000)
    world.ledger.commit(USER, [creation, upgrade], objects=[world.ledger.objects[new]])
    world.ledger.commit(USER, [event("DepositEvent", account_id=new, amount=5_000_000)])
    hold(world.ledger, ACCOUNT, 0)

    async def refused(words: str, operation: Operation | None = None) -> None:
        receipt = await source.perform(operation or FollowUpgrade(1), "as the contract says")
        assert (receipt.outcome, words in receipt.message) == (Outcome.REFUSED, True), receipt.message

    await refused("was not upgraded: there is nothing to follow")
    await refused("no escrow account is on record for customer 3", FollowUpgrade(3))
    assert "chain not configured" in (await world.unlinked.perform(FollowUpgrade(1), "try")).message
    hold(world.ledger, ACCOUNT, 0, upgraded_to=between)
    await refused(f"the account {between} cannot be read: the node 127.0.0.1:")
    hold(world.ledger, between, 0, upgraded_to=ACCOUNT)
    await refused("which goes on for ever")
    hold(world.ledger, between, 0, upgraded_to=new)
    hold(world.ledger, new, 105_000_000, user_address=SERVICE)
    await refused("which belongs to another wallet")
    hold(world.ledger, new, 105_000_000)
    execute(dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = 2", new)
    await refused("is on record for customer 2; correct that first")
    execute(dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = 2", OTHER_ACCOUNT)
    assert (await source.run_job(SYNC)).counts == {"events": 4, "mirrored": 1, "unmatched": 1, "noted": 2}
    # Books are never brought to what an account holds that is empty since its upgrade.
    await refused("the account was upgraded: `opsdeck chain follow 1` first", AdjustToChain(1))
    [drift] = [drift async for one in source.escrow_books.checked(1) for drift in one.drifts]
    assert drift.cause.startswith(f"it was upgraded and goes on as {between}: ")

    shown = await source.preview(FollowUpgrade(1))
    assert shown.changes == (f"escrow account: {ACCOUNT} → {new}",)
    assert "It holds 105.000000 USDC and belongs to the same wallet." in shown.consequences
    assert "1 event(s) of it wait, and follow with the next `opsdeck chain sync`." in shown.consequences
    await refused(f"goes on as {new}, not as {between}", FollowUpgrade(1, to=between))
    latest = ObjectId("0x" + "88" * 32)
    hold(world.ledger, new, 0, upgraded_to=latest)
    hold(world.ledger, latest, 105_000_000)
    stale = await source.perform(FollowUpgrade(1, version=shown.version), "as shown")
    assert stale.outcome is Outcome.STALE
    hold(world.ledger, new, 105_000_000)
    done = await source.perform(FollowUpgrade(1, to=new, version=shown.version), "as the contract says")
    assert done.message == f"The escrow account of customer 1 is {new} now"
    assert (await source.run_job(SYNC)).counts == {"mirrored": 1}
    execute(dsn, "UPDATE customers SET current_balance_usd_cents = 10500 WHERE customer_id = 1")
    assert [one.drifts async for one in source.escrow_books.checked(1)] == [()], "all of it is on the books, once"
