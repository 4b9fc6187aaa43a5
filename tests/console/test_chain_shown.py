"""What the console shows of the chain, with a simulated node beside it; without one nothing of it is there."""

from grpclib.const import Status
from pydantic import SecretStr

from console.settings import Profile, Settings
from db.chain.reader import ChainReader
from db.chain.simulated.ledger import CHAIN_ID, Ledger
from db.chain.simulated.node import Node, serving
from db.chain.values import Digest, ObjectId
from db.database import Database
from db.source import JOBS, EscrowChain, Source
from tests.console.conftest import CUSTOMER, OTHER_CUSTOMER, SUSPENDED
from tests.console.screens import Operator, WatchedDeck, console, hint, operator_at, query
from tests.console.test_billing import confirm
from tests.console.test_cli_chain import hold
from tests.db.chain.world import ACCOUNT, PACKAGE, USER, event, quick

STUCK = Digest(bytes([5]) * 32)
STRAY = Digest(bytes([6]) * 32)


async def settle_on_screen(deck: Operator, dsn: str) -> None:
    """A conflict is accepted and an event of nobody assigned, on the way there from what needs a look."""
    query(
        dsn,
        """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)
           VALUES (%s, %s, 'charge', 0.91, now())""",
        CUSTOMER, str(STUCK),
    )  # fmt: skip
    await deck.press("shift+tab", "end")
    await deck.until(lambda: "escrow events" in deck.line("›"), "the line of the events")
    await deck.press("enter")
    await deck.sees("answers: simulated, has checkpoints 0 to 4", "1 unmatched, 1 mirrored", "! unmatched")
    await deck.press("ctrl+g")
    await deck.sees(
        "▲ conflict", "1 unmatched, 1 conflict, 1 mirrored", "up to checkpoint 2 of 4", "▲ failed: ChargeEvent"
    )
    await deck.say("/", "0x" + "ab" * 20)
    await deck.sees("account: this is an Ethereum (EVM) address")
    await deck.press("escape")
    await deck.say("/", "conflict")
    await deck.until(lambda: "conflict" in deck.line("›") and "! un" not in deck.text, "the conflict alone")
    await deck.press("enter")
    await deck.sees("the chain", "escrow mirror", "▲ $0.91", "stands for no event")
    assert "$0.90" in deck.line("› the chain")
    assert {"Accept", "Keep"} < set(deck.footer.split())
    assert "Assign" not in deck.footer
    await deck.press("ctrl+y")
    await deck.sees("Accept ChargeEvent of $0.90 as the chain has it", "charge of $0.91 for customer")
    await confirm(deck, "ledger: + charge of $0.90", "is mirrored")
    await deck.sees("stands for this event", "accept-chain by", "$0.90")
    await deck.sees_no("▲ $0.91")
    assert "Accept" not in deck.footer
    await deck.press("escape")
    await deck.sees("No event like that.")
    await deck.press("ctrl+l")
    await deck.sees("! unmatched")
    await deck.press("enter")
    await deck.sees("0.000001 USDC", "no customer has this escrow account")
    await deck.press("ctrl+x")
    await confirm(deck, "Dismiss DepositEvent of 0.000001 USDC", "is dismissed")
    await deck.sees("dismiss-event by", "Reopen")
    await deck.press("ctrl+u")
    await confirm(deck, "dismissed → unmatched", "waits again: unmatched")
    await deck.sees("reopen-event by", "Assign")
    await deck.press("ctrl+n")
    await deck.type("nobody")
    await deck.press("enter")
    await deck.sees("give a customer's id")
    await deck.press("ctrl+u")
    await deck.type(str(OTHER_CUSTOMER))
    await deck.press("enter")
    await confirm(deck, f"Assign DepositEvent of 0.000001 USDC to customer {OTHER_CUSTOMER}", "is on the books of")
    await deck.sees("assign-event by")
    assert not {"Assign", "Dismiss"} & set(deck.footer.split())
    await deck.say(":", f"event {STUCK}:0")
    await deck.say(":", f"event {STUCK}:0")  # the same once more, above itself
    await deck.sees("accept-chain by")
    await deck.say(":", "event nothing")
    await deck.sees("event: give the 43 or 44 characters")
    await deck.press("escape", "escape")
    await deck.say(":", "overview")
    await deck.sees_no("escrow events on no books")


def paid(dsn: str, cents: int, digest: Digest) -> str:
    """A bill of CUSTOMER that carries the digest."""
    found = query(
        dsn,
        """INSERT INTO billing_records (customer_id, billing_period_start, billing_period_end, amount_usd_cents, status,
                                        type, tx_digest)
           VALUES (%s, '2025-01-01', timestamptz '2025-02-01' + make_interval(secs => %s), %s, 'paid', 'charge', %s)
           RETURNING id""",
        CUSTOMER, cents, cents, str(digest),
    )  # fmt: skip
    return str(found[0][0])


async def test_the_account_on_the_chain_stands_beside_the_books(business: str) -> None:
    query(business, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", ACCOUNT, CUSTOMER)
    async with console(business) as deck:
        await deck.say(":", str(CUSTOMER))
        await deck.sees("balance")
        assert "chain not configured" in deck.line("on chain")
        await deck.say(":", "chain")
        await deck.sees("not configured: nothing is asked of any chain; set target in", "No event like that.")
        assert "Read" not in deck.footer
    ledger = Ledger()
    ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=120_000_000)])
    ledger.commit(USER, [event("DepositEvent", account_id="0x" + "77" * 32, amount=1)])
    hold(ledger, ACCOUNT, 120_000_000)
    ledger.objects[ACCOUNT].previous = next(iter(ledger.transactions))
    node = Node(ledger)
    database = Database(business)
    await database.open()
    async with serving(node) as port:
        reader = ChainReader(quick(port, breaker_failures=1, breaker_s=0.3, chain_id=CHAIN_ID))
        chain = EscrowChain(reader, (ObjectId(PACKAGE),))
        source = Source(database, chain=chain)
        job = next(job for job in JOBS if job.name == "sync-chain")
        assert (await source.run_job(job)).counts == {"events": 2, "mirrored": 1, "unmatched": 1}
        ledger.commit(USER, [event("ChargeEvent", account_id=ACCOUNT, amount=90)], digest=STUCK)
        ledger.commit(USER, [event("ChargeEvent", account_id=ACCOUNT)])
        settings = Settings("default", Profile(), SecretStr(business), False)
        async with operator_at(WatchedDeck(source, settings), size=(120, 40), connected=True) as deck:
            await deck.sees("escrow events on no books: 0 in conflict, 1 of no known customer")
            node.faults.delay_s = 0.0
            await settle_on_screen(deck, business)
            node.faults.delay_s = 2.0
            await deck.say(":", str(CUSTOMER))
            await deck.sees("asking the node …", "$123.45, but the ledger sums to $119.10")
            node.faults.delay_s = 0.0
            await deck.sees("▲ cached balance $4.35 too high: it is not the sum of the ledger")
            await deck.sees("should say $119.10: ledger $119.10, cached $123.45, mirror $119.10")
            assert "holds $120.00, $119.10 less charges" in deck.line("on chain")
            await deck.press("ctrl+g")
            await confirm(deck, "cached balance: $123.45 → $119.10", "come to $119.10 now")
            await deck.sees("adjust-to-chain by", "none: the books say the same")
            assert "Adjust" not in deck.footer
            new = ObjectId("0x" + "99" * 32)
            hold(ledger, ACCOUNT, 0, upgraded_to=new)
            hold(ledger, new, 120_000_000)
            hint(business, "customers")
            await deck.sees("▲ the account was upgraded", str(new), "Follow")
            await deck.press("ctrl+y")
            await confirm(deck, "It holds 120.000000 USDC", "The escrow account of customer")
            await deck.sees("follow-upgrade by", "holds $120.00")
            await deck.say(":", str(OTHER_CUSTOMER))
            await deck.sees(f"0x{'77' * 32}")
            await deck.press("e")
            await deck.sees(f"chain customer:{OTHER_CUSTOMER}", "mirrored")
            # What is pasted behind `:` leads to the customer who has the account, or to the event, also one of nobody.
            await deck.say(":", str(new))
            await deck.sees(f"customer {CUSTOMER}")
            query(
                business,
                """INSERT INTO console.chain_event (tx_digest, event_index, checkpoint, tx_index, at, type, fields,
                                                    account_id, outcome)
                   VALUES (%s, 0, 9, 0, now(), '0xab::escrow::RefundEvent', '{}', '0x' || repeat('78', 32),
                           'unmatched')""",
                STRAY.raw,
            )  # fmt: skip
            await deck.say(":", str(STRAY))
            await deck.sees(f"event {str(STRAY)[:8]}…:0", "RefundEvent", "! unmatched")
            await deck.press("escape")
            await deck.say(":", "0x" + "78" * 32)
            await deck.sees(f"event {str(STRAY)[:8]}…:0")
            await deck.say(":", str(SUSPENDED))
            await deck.sees("no deposit yet")
            assert "on chain" not in deck.text, "it has no account there"
            # Bills: what the chain says of their digests.
            await deck.say(":", f"bill {paid(business, 90, STUCK)}")
            await deck.sees("on chain", "verified: the chain has the charge of $0.90 in checkpoint 3")
            await deck.say(":", f"bill {paid(business, 91, STUCK)}")
            await deck.sees("mismatch: the transaction charges the customer's account $0.90, not $0.91")
            await deck.say(":", f"bill {paid(business, 92, Digest(bytes(32)))}")
            await deck.sees("unknown: no node has the transaction")
            await deck.say(":", "overview")
            await deck.sees("sync-chain failed: ")
            node.faults.answers = [(Status.UNAVAILABLE, "gone")] * 1000
            await deck.say(":", str(CUSTOMER))
            hint(business, "control")
            await deck.sees("▲ chain does not answer", "not asked for")
            node.faults.answers.clear()  # it is asked again without anybody coming back
            await deck.sees_no("not asked for")
            hint(business, "control")
            await deck.sees_no("chain does not answer")
            assert "$120.00" in deck.line("on chain")
            ledger.chain_id, right = "another", ledger.chain_id
            await reader.close()  # as a connection that breaks
            hint(business, "customers")
            await deck.sees("▲ wrong chain", "is of chain simulated (another), not of")
            ledger.chain_id = right
        await source.close()
    await database.close()
