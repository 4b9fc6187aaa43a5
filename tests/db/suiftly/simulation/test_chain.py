"""The chain of the demo: what it tells of the books, that a restart tells the same, and that it goes on."""

import asyncio
import socket

from db.chain.config import ChainConfig, Target
from db.chain.models import EventQuery
from db.chain.reader import ChainReader
from db.chain.units import Usdc
from db.chain.values import ObjectId
from db.database import Database
from db.jobs.runner import run_job
from db.suiftly.escrow import EscrowChain, read_account
from db.suiftly.jobs.sync_chain import SyncChain
from db.suiftly.simulation.chain import PACKAGE, simulated_chain
from tests.db.chain.world import ACCOUNT
from tests.db.seed import add_customer
from tests.db.suiftly.books import ANN, execute, rows


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_books_are_recognised_on_it_and_a_restart_tells_nothing_twice(dsn: str, database: Database) -> None:
    add_customer(dsn, 1)
    execute(dsn, "UPDATE customers SET escrow_contract_id = %s", ACCOUNT)
    for number, (kind, amount, asset) in enumerate(
        (("deposit", "25.5", "0xdb::usdc::USDC"), ("charge", "12.34", None), ("deposit", "2", "0x2::sui::SUI"))
    ):
        execute(
            dsn,
            """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, asset_type, timestamp)
               VALUES (1, %s, %s, %s, %s, now() - interval '1 day')""",
            str(bytes([number + 1] * 32).hex()), kind, amount, asset,
        )  # fmt: skip
    port = free_port()
    reader = ChainReader(ChainConfig(Target("127.0.0.1", port), tls=False, requests_per_s=1000))
    chain = EscrowChain(reader, (PACKAGE,))
    for expected in ({"already_recorded": 1, "conflict": 1, "unmatched": 3}, {}):
        async with simulated_chain(dsn, port, seed=1):
            run = await run_job(database, SyncChain(chain), actor=ANN)
            assert (run.outcome, {name: run.counts.get(name, 0) for name in expected}) == ("succeeded", expected)
            assert run.counts.get("events", 0) - run.counts.get("mirrored", 0) == sum(expected.values())
            assert (await reader.service_info()).chain == "simulated"
            found = await reader.object(ObjectId(ACCOUNT))
            assert found is not None
            assert read_account(found, (PACKAGE,)).balance >= Usdc(12345 * 10_000)
            info = await reader.service_info()
            await asyncio.sleep(1.2)
            assert (await reader.service_info()).tip > info.tip, "it goes on"
            page = await reader.events(EventQuery(chain.modules))
            told = [event.fields["amount"] for event in page.events]
            assert told[:5] == ["4200", "2500000", "15000000", "25500000", "1235"], "a cent more than the books have"
        await reader.close()
    assert len(rows(dsn, "SELECT FROM escrow_transactions")) >= 3
