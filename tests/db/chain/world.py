"""A simulated chain with an escrow package on it, and readers of it over the wire."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from db.chain.config import ChainConfig, Target
from db.chain.models import ChainEvent, EventPage, EventQuery
from db.chain.reader import ChainReader
from db.chain.simulated.ledger import Ledger
from db.chain.simulated.node import Faults, Node, serving
from db.chain.values import Address, MoveType, ObjectId

PACKAGE = f"0x{0xAB:064x}"
ESCROW = f"{PACKAGE}::escrow"
USER = Address("0x" + "11" * 32)
SERVICE = Address("0x" + "22" * 32)
ACCOUNT = ObjectId("0x" + "33" * 32)
OTHER_ACCOUNT = ObjectId("0x" + "55" * 32)


def event(name: str, **fields: object) -> tuple[MoveType, dict[str, object]]:
    """An event of the escrow module; numbers become strings, as u64 do."""
    written = {key: str(value) if isinstance(value, int) else value for key, value in fields.items()}
    return MoveType.parse(f"{ESCROW}::{name}"), written


def quick(port: int, **changes: Any) -> ChainConfig:
    """A node of this machine, without the waiting that is for real ones."""
    config = ChainConfig(
        Target("127.0.0.1", port),
        tls=False,
        timeout_s=5.0,
        attempts=3,
        requests_per_s=10_000.0,
        first_pause_s=0.001,
        breaker_failures=10_000,
    )
    return replace(config, **changes)


@asynccontextmanager
async def reading(
    ledger: Ledger, faults: Faults | None = None, **changes: Any
) -> AsyncGenerator[tuple[ChainReader, Node]]:
    """A node for the ledger and a reader of it."""
    node = Node(ledger, faults)
    async with serving(node) as port:
        reader = ChainReader(quick(port, **changes))
        try:
            yield reader, node
        finally:
            await reader.close()


async def drain(reader: ChainReader, query: EventQuery) -> tuple[list[ChainEvent], list[EventPage]]:
    """All events there are, page by page."""
    pages: list[EventPage] = []
    while not pages or pages[-1].more:
        pages.append(await reader.events(query))
        query = replace(query, after=pages[-1].cursor, start=None)
    return [event for page in pages for event in page.events], pages
