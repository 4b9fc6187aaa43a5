"""The inbox of escrow events, and how each comes onto the books: once, and never over what somebody else wrote.

An event is identified by its transaction and its index in there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg.types.json import Jsonb

from db.chain.models import ChainEvent
from db.database import Connection
from db.suiftly.escrow.contract import EscrowEvent
from db.suiftly.escrow.posting import carry_out, plan

_TAKEN_AGAIN: Final = 1000  # unmatched events looked at again in one run

_INSERT: LiteralString = """
    INSERT INTO console.chain_event (tx_digest, event_index, checkpoint, tx_index, at, type, fields, account_id, owner,
                                     kind, amount_usd, cents, rest_usdc, outcome, note)
    VALUES (%(digest)s, %(index)s, %(checkpoint)s, %(tx_index)s, %(at)s, %(type)s, %(fields)s, %(account)s, %(owner)s,
            %(kind)s, %(amount_usd)s, %(cents)s, %(rest)s, %(outcome)s, %(note)s)
    ON CONFLICT (tx_digest, event_index) DO NOTHING
"""
_MATCHING_NOW: LiteralString = """
    SELECT DISTINCT tx_digest FROM console.chain_event e
    WHERE outcome = 'unmatched' AND kind IS NOT NULL AND (
        EXISTS (SELECT FROM customers c WHERE c.escrow_contract_id = e.account_id)
        OR EXISTS (SELECT FROM console.chain_event made JOIN customers c ON c.wallet_address = made.owner
                   WHERE made.account_id = e.account_id AND c.escrow_contract_id IS NULL))
    LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event as listed, what it says, and the time of its checkpoint."""

    event: ChainEvent
    says: EscrowEvent
    at: datetime


async def take_in(connection: Connection, arrivals: Sequence[Arrival]) -> Counter[str]:
    """Puts events into the inbox, and those that are new onto the books. Returns how many became what.

    `arrivals` hold whole transactions: what else a transaction did decides whether a row of the books is its own.
    """
    cursor = connection.cursor()
    counts: Counter[str] = Counter()
    for arrival in arrivals:
        await cursor.execute(_INSERT, _inbox_row(arrival))
        if cursor.rowcount and arrival.says.kind is None:
            counts["noted" if arrival.says.known else "unmatched"] += 1
    digests = {arrival.event.digest.raw for arrival in arrivals if arrival.says.kind is not None}
    return counts + await _settle(connection, digests)


async def take_again(connection: Connection) -> Counter[str]:
    """Puts onto the books what no customer was found for when it came, and now one is."""
    cursor = await connection.execute(_MATCHING_NOW, {"most": _TAKEN_AGAIN})
    counts = await _settle(connection, {row[0] for row in await cursor.fetchall()})
    del counts["unmatched"]  # nothing new
    return counts


def _inbox_row(arrival: Arrival) -> dict[str, object]:
    event, says = arrival.event, arrival.says
    dollars, cents = says.dollars, says.cents
    return {
        "digest": event.digest.raw,
        "index": event.position.event,
        "checkpoint": event.position.checkpoint,
        "tx_index": event.position.transaction,
        "at": arrival.at,
        "type": str(event.type),
        "fields": Jsonb(dict(event.fields)),
        "account": says.account,
        "owner": says.owner,
        "kind": says.kind,
        "amount_usd": None if dollars is None else dollars.value,
        "cents": None if cents is None else cents[0].value,
        "rest": 0 if cents is None else cents[1].value,
        "outcome": "noted" if says.kind is None and says.known else "unmatched",
        "note": says.note,
    }


async def _settle(connection: Connection, digests: Iterable[bytes]) -> Counter[str]:
    found = await plan(connection, digests, lock=True)
    await carry_out(connection, found)
    return found.counts
