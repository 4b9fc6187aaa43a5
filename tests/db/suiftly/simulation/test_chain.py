"""The chain of the demo: it agrees with the books but for what is meant to differ, after a restart too, and goes on."""

import asyncio
import re
import socket

from db.chain.config import ChainConfig, Target
from db.chain.reader import ChainReader
from db.database import Database
from db.jobs.runner import run_job
from db.suiftly.escrow.books import EscrowBooks
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.jobs.sync_chain import SyncChain
from db.suiftly.simulation.chain import PACKAGE, simulated_chain
from tests.db.seed import add_customer
from tests.db.suiftly.books import ANN, execute, rows


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_books_and_chain_agree_but_for_what_differs_on_purpose(dsn: str, database: Database) -> None:
    for customer in range(1, 6):
        add_customer(dsn, customer)
    execute(
        dsn,
        """UPDATE customers SET current_balance_usd_cents = CASE customer_id WHEN 5 THEN 1816 ELSE 0 END,
               escrow_contract_id = '0x' || lpad(customer_id::text, 64, '7')""",
    )
    for number, (kind, amount, asset, cents, mist) in enumerate(
        (
            ("deposit", "25.5", "0xdb::usdc::USDC", 2550, None),
            ("charge", "12.34", None, -1234, None),
            ("deposit", "2", "0x2::sui::SUI", 500, 2_000_000_000),
        )
    ):
        digest = bytes([number + 1] * 32).hex()
        execute(
            dsn,
            """INSERT INTO escrow_transactions (customer_id, tx_digest, tx_type, amount, asset_type, timestamp)
               VALUES (5, %s, %s, %s, %s, now() - interval '1 day')""",
            digest, kind, amount, asset,
        )  # fmt: skip
        execute(
            dsn,
            """INSERT INTO ledger_entries
                   (customer_id, type, amount_usd_cents, tx_hash, amount_sui_mist, sui_usd_rate_cents)
               VALUES (5, %s, %s, %s, %s, %s)""",
            kind, cents, digest, mist, mist and 250,
        )  # fmt: skip
    port = free_port()
    reader = ChainReader(ChainConfig(Target("127.0.0.1", port), tls=False, requests_per_s=1000))
    chain = EscrowChain(reader, (PACKAGE,), charges_move_usdc=True)
    books = EscrowBooks(database, chain)
    for expected in (
        {"already_recorded": 1, "noted": 1, "conflict": 1, "unmatched": 3},
        {"already_recorded": 0, "noted": 0, "conflict": 0, "unmatched": 0},  # a restart tells nothing twice
    ):
        async with simulated_chain(dsn, port, seed=1):
            run = await run_job(database, SyncChain(chain), actor=ANN)
            assert (run.outcome, {name: run.counts.get(name, 0) for name in expected}) == ("succeeded", expected)
            info = await reader.service_info()
            assert info.chain == "simulated"

            async def told() -> dict[int, list[tuple[str, str, str]]]:
                await run_job(database, SyncChain(chain), actor=ANN)
                return {
                    found.books.customer_id: [
                        (drift.figure, drift.words, re.split(r",| 0x", drift.cause)[0]) for drift in found.drifts
                    ]
                    async for found in books.checked()
                }

            unknown = "perhaps the initial deposit"
            on_purpose = {
                1: [(figure, "$25.00 too low", unknown) for figure in ("ledger", "mirror", "cached balance")],
                2: [("cached balance", "$5.00 too high", "it is not the sum of the ledger")],
                3: [],
                4: [("account", "", "it was upgraded and goes on as")],
                5: [],
            }
            tip = info.tip
            async with asyncio.timeout(20):
                while (now := await told()) != on_purpose or tip == info.tip:
                    tip = (await reader.service_info()).tip  # it goes on
                    await asyncio.sleep(0.3)
            assert now == on_purpose
        await reader.close()
    brought = rows(dsn, "SELECT amount_usd_cents AS cents FROM ledger_entries WHERE customer_id = 3")
    assert brought == [{"cents": 4000}], "what the third account was made with"
