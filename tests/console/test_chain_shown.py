"""What the console shows of the chain, with a simulated node beside it; without one nothing of it is there."""

from grpclib.const import Status
from pydantic import SecretStr

from console.settings import Profile, Settings
from db.chain.reader import ChainReader
from db.chain.simulated.ledger import Ledger
from db.chain.simulated.node import Node, serving
from db.chain.values import ObjectId
from db.database import Database
from db.source import JOBS, EscrowChain, Source
from tests.console.conftest import CUSTOMER, OTHER_CUSTOMER
from tests.console.screens import WatchedDeck, console, hint, operator_at, query
from tests.console.test_cli_chain import hold
from tests.db.chain.world import ACCOUNT, PACKAGE, USER, event, quick


async def test_the_account_on_the_chain_stands_beside_the_books(business: str) -> None:
    query(business, "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", ACCOUNT, CUSTOMER)
    async with console(business) as deck:
        await deck.say(":", str(CUSTOMER))
        await deck.sees("balance")
        assert "on chain" not in deck.text
    ledger = Ledger()
    ledger.commit(USER, [event("DepositEvent", account_id=ACCOUNT, amount=120_000_000)])
    ledger.commit(USER, [event("DepositEvent", account_id="0x" + "77" * 32, amount=1)])
    hold(ledger, ACCOUNT, 120_000_000)
    ledger.objects[ACCOUNT].previous = next(iter(ledger.transactions))
    node = Node(ledger)
    database = Database(business)
    await database.open()
    async with serving(node) as port:
        chain = EscrowChain(ChainReader(quick(port, breaker_failures=1)), (ObjectId(PACKAGE),))
        source = Source(database, chain=chain)
        job = next(job for job in JOBS if job.name == "sync-chain")
        assert (await source.run_job(job)).counts == {"events": 2, "mirrored": 1, "unmatched": 1}
        node.faults.delay_s = 2.0
        settings = Settings("default", Profile(), SecretStr(business), False)
        async with operator_at(WatchedDeck(source, settings), size=(120, 40), connected=True) as deck:
            await deck.sees("escrow events on no books: 0 in conflict, 1 of no known customer")
            await deck.say(":", str(CUSTOMER))
            await deck.sees("asking the node …", "$123.45, but the ledger sums to $120.00")
            node.faults.delay_s = 0.0
            await deck.sees("cached balance -$3.45: the cached balance is not the sum")
            assert "$120.00" in deck.line("on chain")
            await deck.say(":", str(OTHER_CUSTOMER))
            await deck.sees("no deposit yet")
            assert "on chain" not in deck.text, "it has no account there"
            node.faults.answers = [(Status.UNAVAILABLE, "gone")]
            await deck.say(":", str(CUSTOMER))
            await deck.sees("not asked for")
            hint(business, "control")
            await deck.sees("▲ chain does not answer")
        await source.close()
    await database.close()
