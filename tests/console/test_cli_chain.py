"""opsdeck chain, from outside, against a simulated node over the wire."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from grpclib.const import Status

from db.chain.simulated.ledger import CHAIN_ID, Ledger, SimulatedObject
from db.chain.simulated.node import Node, serving
from db.chain.values import Digest, MoveType, ObjectId
from tests.console.command import Result, assert_utc, opsdeck
from tests.db.chain.world import ACCOUNT, ESCROW, OTHER_ACCOUNT, PACKAGE, SERVICE, USER, event
from tests.db.seed import add_customer
from tests.db.suiftly.books import execute, rows


@contextmanager
def answering(node: Node) -> Iterator[int]:
    """The node in a thread of its own, for commands that are processes; yields its port."""
    begun, over = Event(), Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        async with serving(node) as port:
            begun.set()
            await asyncio.to_thread(over.wait)

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(asyncio.run, serve())
        try:
            assert begun.wait(10)
            yield port
        finally:
            over.set()
            served.result(10)


def hold(ledger: Ledger, account: ObjectId, usdc: int, **more: object) -> None:
    """The account is there with so much, changed last by the newest transaction."""
    fields: dict[str, object] = {
        "user_address": USER,
        "balance_usdc": str(usdc),
        "spending_limit_usd_cents": "0",
        "current_period_charged_usd_cents": "0",
    }
    newest = next(reversed(ledger.transactions), None)
    ledger.objects[account] = SimulatedObject(
        account, MoveType.parse(f"{ESCROW}::Account"), fields | more, previous=newest
    )


def configured(folder: Path, dsn: str, port: int, more: str = "") -> dict[str, str]:
    """The environment of commands with a profile that names the node."""
    path = folder / "config.toml"
    path.write_text(
        f"[profiles.default]\ndsn = '{dsn}'\n[profiles.default.chain]\ntarget = '127.0.0.1:{port}'\ntls = false\n"
        f"packages = ['{PACKAGE}']\nrequests_per_s = 1000\n{more}"
    )
    return {"OPSDECK_CONFIG": str(path)}


@pytest.fixture
def two(dsn: str) -> str:
    for customer, account in ((1, ACCOUNT), (2, OTHER_ACCOUNT), (3, None)):
        add_customer(dsn, customer)
        execute(dsn, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", account, customer)
    return dsn


def test_without_a_chain_it_says_so(two: str) -> None:
    assert opsdeck(two, "chain", "status") == Result(0, "chain not configured\n", "", pytest.approx(0, abs=60))
    assert opsdeck(two, "chain", "status", "--json").json == {"configured": False}
    execute(two, "TRUNCATE console.job_run")
    assert opsdeck(two, "chain", "sync").complained(1).startswith("opsdeck: chain not configured; set target in the")
    assert rows(two, "SELECT FROM console.job_run") == [], "who reads it elsewhere is not told of a failure"
    assert "ok    chain        chain not configured" in opsdeck(two, "doctor").out
    assert opsdeck(two, "chain", "reconcile").complained(1).startswith("opsdeck: chain not configured; set target")


def test_the_chain_is_told_read_and_held_against_the_books(two: str, tmp_path: Path) -> None:
    ledger = Ledger()
    node = Node(ledger)
    with answering(node) as port:
        there = configured(tmp_path, two, port)

        def chain(*arguments: str) -> Result:
            return opsdeck(None, "chain", *arguments, **there)

        ledger.commit(USER, [event("AccountCreated", account_id=ACCOUNT, user_address=USER)])
        ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=100_005_000)])
        ledger.commit(SERVICE, [event("ChargeEvent", account_id=ACCOUNT, amount=3000)])
        hold(ledger, ACCOUNT, 100_005_000)  # as documented: the charge moved nothing
        hold(ledger, OTHER_ACCOUNT, 0)
        shown = chain("status")
        assert shown.code == 0
        assert [line.split(maxsplit=1) for line in shown.out.splitlines()[:3]] == [
            ["target", f"127.0.0.1:{port}"], ["reachable", "yes"], ["chain", f"simulated ({CHAIN_ID})"],
        ]  # fmt: skip
        assert "checkpoints      0 to 3" in shown.out
        assert "nothing yet; run `opsdeck chain sync`" in shown.out

        # Before anything was read the books of customer 1 are behind, and it is said why.
        early = chain("reconcile", "--customer", "1")
        assert early.code == 1
        assert early.out.count("the account's last transaction is not in the inbox: run `opsdeck chain sync`") == 3
        assert chain("sync").out.startswith("succeeded: mirrored 2 of 3 events")
        execute(two, "UPDATE customers SET current_balance_usd_cents = 0 WHERE customer_id = 2")
        execute(two, "UPDATE customers SET current_balance_usd_cents = 7000 WHERE customer_id = 1")
        sound = chain("reconcile")
        assert (sound.code, sound.out) == (0, "")
        assert sound.err == "2 accounts checked, 0 with differences; a charge does not move USDC\n"
        one = chain("reconcile", "--customer", "1").out.splitlines()[1].split()
        assert one == ["1", "$100.005", "$70.005", "$70.00", "$70.00", "$70.005", "nothing", "-", "-"]

        # Another cached balance, an account that is not there, a conflict, and the other model of charges.
        execute(two, "UPDATE customers SET current_balance_usd_cents = 7001 WHERE customer_id = 1")
        del ledger.objects[OTHER_ACCOUNT]
        drifted = chain("reconcile", "--json")
        assert drifted.code == 1
        assert_utc(drifted.json)
        assert [(of["books"]["customer_id"], of["expected_usd"], of["drifts"]) for of in drifted.json["accounts"]] == [
            (1, "70.00500000", [{"figure": "cached balance", "usd": "-0.01000000",
                            "cause": "it is not the sum of the ledger"}]),
            (2, None, [{"figure": "account", "usd": None,
                        "cause": f"the node 127.0.0.1:{port} does not know the object: deleted, never there, or of "
                                 "another chain"}]),
        ]  # fmt: skip
        stray = ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=2_000_000)])
        execute(
            two,
            "INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, timestamp)"
            " VALUES (2, %s, 'deposit', 3, now())",
            str(stray),
        )
        hold(ledger, ACCOUNT, 102_005_000)
        ledger.commit(USER, [event("DepositEvent", account_id="0x" + "77" * 32, amount=1)])
        assert "1 of no known customer; 1 in conflict" in chain("sync").out
        told = chain("status", "--json").json
        assert told["outcomes"] == {
            "mirrored": 2, "already_recorded": 0, "noted": 1, "unmatched": 1, "conflict": 1, "dismissed": 0,
        }  # fmt: skip
        assert (told["cursor"]["covered"], told["node"]["tip"], told["node"]["lowest"]) == (5, 5, 0)
        execute(two, "UPDATE customers SET current_balance_usd_cents = 7000 WHERE customer_id = 1")
        looked = opsdeck(None, "doctor", **there).out
        assert "ok    chain        simulated answers; read up to checkpoint 5 of 5\n" in looked
        assert looked.count("on no books") == 1
        conflict = chain("reconcile", "--customer", "1")
        assert (
            conflict.out.count("$2.00 too low")
            == conflict.out.count("in conflict or dismissed: they are on no books")
            == 3
        )
        hold(ledger, ACCOUNT, 70_005_000)
        execute(two, "UPDATE console.chain_event SET outcome = 'noted' WHERE outcome = 'conflict'")
        assert chain("reconcile", "--customer", "1").out.count("it fits with charges_move_usdc = true") == 3
        there = configured(tmp_path, two, port, "charges_move_usdc = true\n")
        assert chain("reconcile", "--customer", "1").code == 0
        execute(two, "UPDATE customers SET current_balance_usd_cents = 7001 WHERE customer_id = 1")
        sure = ("--reason", "as agreed", "--yes")
        assert "--to '70' is not a balance" in chain("adjust", "1", "--to", "70", *sure).complained(2)
        evm = "0x" + "ab" * 20
        assert "this is an Ethereum (EVM) address" in chain("adjust", evm, *sure).complained(2)
        assert "this is an Ethereum (EVM) address" in chain("follow", "1", "--to", evm, *sure).complained(2)
        assert "was not upgraded: there is nothing to follow" in chain("follow", "1", *sure).err
        assert "the chain comes to $70.00, not to $70.01" in chain("adjust", "1", "--to", "70.01", *sure).err
        adjusted = chain("adjust", "1", "--to", "70.00", *sure)
        assert adjusted.out.startswith("The books of customer 1 come to $70.00 now, as the chain does")
        assert "no escrow account is on record for customer 3" in chain("reconcile", "--customer", "3").complained(1)
        balances = rows(two, "SELECT current_balance_usd_cents AS cents FROM customers WHERE customer_id = 1")
        assert balances == [{"cents": 7000}], "corrected by the adjustment alone"

        # What was checked before the node stopped to answer is told.
        there = configured(tmp_path, two, port)
        for number in range(10, 70):
            add_customer(two, number)
        execute(
            two,
            "UPDATE customers SET escrow_contract_id = '0x' || lpad(customer_id::text, 64, '0') WHERE customer_id > 9",
        )
        node.faults.answers = [(Status.OK, "")] * 2 + [(Status.UNAUTHENTICATED, "no")]
        part = chain("reconcile", "--json")
        assert (part.code, len(part.json["accounts"]), part.json["complete"]) == (1, 50, False)
        assert part.json["trouble"].endswith(": no")

        settled_from_a_shell(two, chain, stray)
        stuck = ledger.commit(USER, [event("ChargeEvent", account_id=ACCOUNT)])
        assert chain("sync").code == 1
        stopped = f"failed: ChargeEvent (event 0 of transaction {stuck}): amount: missing"
        assert stopped in chain("status").out
        assert chain("status", "--json").json["stopped"] == stopped
        node.faults.answers = [(Status.UNAUTHENTICATED, "no")]
        refused = chain("status")
        assert (refused.code, "reachable        no: " in refused.out) == (1, True)
        assert "read up to       5" in refused.out


def settled_from_a_shell(dsn: str, chain: Callable[..., Result], stray: Digest) -> None:
    """Two events wait: a deposit of 2 on account 1, where the books have one of 3 for customer 2; and one of nobody."""
    execute(dsn, "UPDATE console.chain_event SET outcome = 'conflict' WHERE tx_digest = %s", stray.raw)
    listed = chain("events")
    assert listed.code == 0
    nobody, disputed = (line.split()[0] for line in listed.out.splitlines()[1:])
    assert disputed == f"{stray}:0"
    assert "0.000001 USDC" in listed.out
    first = chain("events", "--outcome", "all", "--limit", "1", "--json").json
    assert ([row["event"] for row in first["events"]], first["complete"]) == ([nobody], False)
    assert_utc(first)
    rest = chain("events", "--outcome", "all", "--after", nobody, "--json").json
    assert (len(rest["events"]), rest["complete"]) == (4, True)
    one = chain("event", f"0x{stray.raw.hex()}:0", "--json").json
    assert (one["amount"], one["fields"]["amount"]) == ({"unit": "usdc", "value": "2000000"}, "2000000")
    assert [(row["book"], row["differs"]) for row in one["books"]] == [("escrow", ["amount", "customer"])]
    assert "amount, customer" in chain("event", disputed).out
    why = ("--reason", "ticket 7", "--yes")
    assert "this is an Ethereum (EVM) address" in chain("dismiss", "0x" + "ab" * 20 + ":0", *why).complained(2)
    assert "--reason is missing" in chain("accept", disputed).complained(2)
    refused = chain("assign", nobody, "--customer", "99", *why)
    assert (refused.code, "there is no customer 99" in refused.err) == (1, True)
    assert "is unmatched, not in conflict; assign it" in chain("keep", nobody, *why).err
    assert "conflict → mirrored" not in chain("accept", disputed, *why).err
    assert "is mirrored, not in conflict" in chain("accept", disputed, *why).err
    done = chain("assign", nobody, "--customer", "3", *why, "--json").json
    assert (done["outcome"], done["after"]["customer:3"]) == ("done", {"escrow_contract_id": "0x" + "77" * 32})
    assert "is mirrored, not unmatched" in chain("dismiss", nobody, *why).err
    assert "is mirrored, not dismissed" in chain("reopen", nobody, *why).err
    assert chain("events").out.count("\n") == 1
