"""The inbox of escrow events, and how each comes onto the books: once, and never over what somebody else wrote.

An event is identified by its transaction and its index in there. What the billing backend has put on the books already
is recognised by digest, customer, kind and amount; anything else under the same digest is a conflict for a human.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID, uuid4

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.chain.models import ChainEvent
from db.chain.values import Digest
from db.database import Connection
from db.suiftly.escrow import ASSET, EscrowEvent, Kind

Key = tuple[bytes, int]

_LEDGER_TYPES: Final[dict[Kind, str]] = {
    "deposit": "deposit",
    "withdraw": "withdrawal",
    "charge": "charge",
    "credit": "credit",
}
_TAKEN_AGAIN: Final = 1000  # unmatched events looked at again in one run

_INSERT: LiteralString = """
    INSERT INTO console.chain_event (tx_digest, event_index, checkpoint, tx_index, at, type, fields, account_id, owner,
                                     kind, amount_usd, cents, rest_usdc, outcome, note)
    VALUES (%(digest)s, %(index)s, %(checkpoint)s, %(tx_index)s, %(at)s, %(type)s, %(fields)s, %(account)s, %(owner)s,
            %(kind)s, %(amount_usd)s, %(cents)s, %(rest)s, %(outcome)s, %(note)s)
    ON CONFLICT (tx_digest, event_index) DO NOTHING
"""
_OPEN: LiteralString = """
    SELECT tx_digest, event_index, at, account_id, kind, amount_usd, cents, rest_usdc, type
    FROM console.chain_event
    WHERE tx_digest = ANY(%(digests)s) AND outcome = 'unmatched' AND kind IS NOT NULL
    ORDER BY checkpoint, tx_index, event_index FOR UPDATE
"""
# By the account on record, else by the wallet that made it, of a customer for whom none is on record.
_OWNERS: LiteralString = """
    SELECT a.account, c.customer_id
    FROM unnest(%(accounts)s::text[]) AS a (account) JOIN customers c ON c.escrow_contract_id = a.account
    UNION
    SELECT e.account_id, c.customer_id
    FROM console.chain_event e JOIN customers c ON c.wallet_address = e.owner
    WHERE e.account_id = ANY(%(accounts)s) AND c.escrow_contract_id IS NULL
"""
_MATCHING_NOW: LiteralString = """
    SELECT DISTINCT tx_digest FROM console.chain_event e
    WHERE outcome = 'unmatched' AND kind IS NOT NULL AND (
        EXISTS (SELECT FROM customers c WHERE c.escrow_contract_id = e.account_id)
        OR EXISTS (SELECT FROM console.chain_event made JOIN customers c ON c.wallet_address = made.owner
                   WHERE made.account_id = e.account_id AND c.escrow_contract_id IS NULL))
    LIMIT %(most)s
"""
_LOCK: LiteralString = """
    SELECT FROM customers WHERE customer_id = ANY(%s) ORDER BY customer_id FOR NO KEY UPDATE
"""
_ESCROW_ROWS: LiteralString = """
    SELECT x.tx_id AS id, x.tx_digest AS digest, x.customer_id, x.tx_type AS kind, x.amount,
           x.asset_type IS NULL OR x.asset_type = 'USDC' OR x.asset_type LIKE '%%::usdc::USDC' AS in_usd,
           x.event_seq AS seq, e.tx_id IS NOT NULL AS claimed
    FROM escrow_transactions x LEFT JOIN console.chain_event e USING (tx_id)
    WHERE x.tx_digest = ANY(%(spellings)s) ORDER BY x.tx_id
"""
_LEDGER_ROWS: LiteralString = """
    SELECT l.id, l.tx_hash AS digest, l.customer_id, l.type AS kind, abs(l.amount_usd_cents) AS cents
    FROM ledger_entries l
    WHERE l.tx_hash = ANY(%(spellings)s) AND NOT EXISTS (SELECT FROM console.chain_event e WHERE e.ledger_id = l.id)
    ORDER BY l.created_at, l.id
"""
_ADD_ESCROW: LiteralString = """
    INSERT INTO escrow_transactions (customer_id, tx_digest, event_seq, tx_type, amount, asset_type, timestamp)
    VALUES (%(customer)s, %(digest)s, %(seq)s, %(kind)s, %(amount)s, %(asset)s, %(at)s) RETURNING tx_id
"""
_ADD_LEDGER: LiteralString = """
    INSERT INTO ledger_entries (id, customer_id, type, amount_usd_cents, tx_hash, description, created_at)
    VALUES (%(id)s, %(customer)s, %(type)s, %(cents)s, %(digest)s, %(words)s, %(at)s)
"""
_SETTLE: LiteralString = """
    UPDATE console.chain_event SET outcome = %(outcome)s, note = %(note)s, customer_id = %(customer)s,
                                   tx_id = %(tx_id)s, ledger_id = %(ledger_id)s
    WHERE tx_digest = %(digest)s AND event_index = %(index)s
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event as listed, what it says, and the time of its checkpoint."""

    event: ChainEvent
    says: EscrowEvent
    at: datetime


@dataclass(frozen=True, slots=True)
class _Open:
    """An event of the inbox that moves money and is on no books yet."""

    tx_digest: bytes
    event_index: int
    at: datetime
    account_id: str
    kind: Kind
    amount_usd: Decimal
    cents: int
    rest_usdc: int
    type: str


@dataclass(frozen=True, slots=True)
class _EscrowRow:
    """A row of escrow_transactions under the same digest."""

    id: int
    digest: str
    customer_id: int
    kind: str
    amount: Decimal
    in_usd: bool
    seq: int
    claimed: bool


@dataclass(frozen=True, slots=True)
class _LedgerRow:
    """A ledger entry under the same digest that stands for no event yet."""

    id: UUID
    digest: str
    customer_id: int
    kind: str
    cents: int


@dataclass(slots=True)
class _Decision:
    """What becomes of one event."""

    event: _Open
    customer: int | None = None
    outcome: str = "unmatched"
    notes: list[str] = field(default_factory=list[str])
    escrow: int | None = None  # rows that were there already
    ledger: UUID | None = None


@dataclass(slots=True)
class _Transaction:
    """The events of one transaction that are to be decided about, and what the books have under its digest."""

    decisions: list[_Decision] = field(default_factory=list[_Decision])
    escrow: list[_EscrowRow] = field(default_factory=list[_EscrowRow])
    ledger: list[_LedgerRow] = field(default_factory=list[_LedgerRow])


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
    """Decides about the open events of these transactions and writes what was decided."""
    events = connection.cursor(row_factory=class_row(_Open))
    await events.execute(_OPEN, {"digests": list(digests)})
    decisions = [_Decision(event) for event in await events.fetchall()]
    await _find_customers(connection, decisions)
    found = [decision for decision in decisions if decision.customer is not None]
    # Locked as whoever pays a bill locks them: the same charge is then seen by one of the two.
    await connection.execute(_LOCK, (sorted({decision.customer for decision in found if decision.customer}),))
    spellings = [text for decision in found for text in Digest(decision.event.tx_digest).spellings]
    escrow = connection.cursor(row_factory=class_row(_EscrowRow))
    await escrow.execute(_ESCROW_ROWS, {"spellings": spellings})
    ledger = connection.cursor(row_factory=class_row(_LedgerRow))
    await ledger.execute(_LEDGER_ROWS, {"spellings": spellings})
    transactions: defaultdict[Digest, _Transaction] = defaultdict(_Transaction)
    for decision in found:
        transactions[Digest(decision.event.tx_digest)].decisions.append(decision)
    for row in await escrow.fetchall():
        transactions[Digest.parse(row.digest)].escrow.append(row)
    for entry in await ledger.fetchall():
        transactions[Digest.parse(entry.digest)].ledger.append(entry)
    for digest, transaction in transactions.items():
        together = transaction.decisions
        decide(together, transaction.escrow, transaction.ledger)
        taken = {row.seq for row in transaction.escrow if row.digest == str(digest)}
        for decision in together:
            await _write(connection, decision, taken)
    for decision in decisions:
        if decision.customer is None:
            await _note(connection, decision, None, None)
    counts = Counter(decision.outcome for decision in decisions)
    counts["cents_below"] = sum(decision.event.rest_usdc > 0 for decision in found)
    return +counts


async def _find_customers(connection: Connection, decisions: Sequence[_Decision]) -> None:
    cursor = await connection.execute(
        _OWNERS, {"accounts": list({decision.event.account_id for decision in decisions})}
    )
    owners: defaultdict[str, set[int]] = defaultdict(set)
    for account, customer in await cursor.fetchall():
        owners[account].add(customer)
    for decision in decisions:
        known = owners[decision.event.account_id]
        if len(known) == 1:
            decision.customer = next(iter(known))
        elif known:
            named = " and ".join(map(str, sorted(known)))
            decision.notes.append(f"the customers {named} have the same escrow account")
        else:
            decision.notes.append("no customer has this escrow account")


def decide(together: Sequence[_Decision], escrow: Sequence[_EscrowRow], ledger: Sequence[_LedgerRow]) -> None:
    """Holds the events of one transaction against what the books have under its digest.

    All of them at once: a row that no event of the transaction is equal to makes those without a row a conflict.
    """
    unclaimed = [row for row in escrow if not row.claimed]
    entries = list(ledger)
    for decision in together:
        event = decision.event
        wanted = (decision.customer, event.kind, event.amount_usd)
        row = next((row for row in unclaimed if row.in_usd and (row.customer_id, row.kind, row.amount) == wanted), None)
        if row is not None:
            unclaimed.remove(row)
            decision.escrow, decision.outcome = row.id, "already_recorded"
        entry_wanted = (decision.customer, _LEDGER_TYPES[event.kind], event.cents)
        entry = next((entry for entry in entries if (entry.customer_id, entry.kind, entry.cents) == entry_wanted), None)
        if entry is not None:
            entries.remove(entry)
            decision.ledger = entry.id
    for decision in together:
        if decision.outcome == "already_recorded":
            if decision.ledger is None and decision.event.cents:
                decision.notes.append("the escrow mirror had it, the ledger has no such entry")
        elif unclaimed or (entries and decision.ledger is None):
            decision.outcome, decision.ledger = "conflict", None
            decision.notes += [_on_books(row.customer_id, row.kind, f"{row.amount.normalize():f}") for row in unclaimed]
            decision.notes += [_on_books(row.customer_id, row.kind, f"{row.cents} cents") for row in entries]
        else:
            decision.outcome = "mirrored"
            if decision.ledger is not None:
                decision.notes.append("the ledger had it already")
        if decision.event.rest_usdc:
            decision.notes.append(f"{decision.event.rest_usdc} millionths of a dollar are below a cent")


def _on_books(customer: int, kind: str, amount: str) -> str:
    return f"the books have under this digest: {kind} of {amount} for customer {customer}"


async def _write(connection: Connection, decision: _Decision, taken: set[int]) -> None:
    event, tx_id, entry = decision.event, decision.escrow, decision.ledger
    digest = str(Digest(event.tx_digest))
    if decision.outcome == "mirrored":
        seq = event.event_index if event.event_index not in taken else max(taken) + 1
        taken.add(seq)
        cursor = await connection.execute(
            _ADD_ESCROW,
            {
                "customer": decision.customer,
                "digest": digest,
                "seq": seq,
                "kind": event.kind,
                "amount": event.amount_usd,
                "asset": ASSET,
                "at": event.at,
            },
        )
        row = await cursor.fetchone()
        tx_id = row[0] if row else None
        if entry is None and event.cents:
            entry = uuid4()
            sign = 1 if event.kind in ("deposit", "credit") else -1
            await connection.execute(
                _ADD_LEDGER,
                {
                    "id": entry,
                    "customer": decision.customer,
                    "type": _LEDGER_TYPES[event.kind],
                    "cents": sign * event.cents,
                    "digest": digest,
                    "words": f"{event.type.rpartition('::')[2]} on the chain",
                    "at": event.at,
                },
            )
    await _note(connection, decision, tx_id, entry)


async def _note(connection: Connection, decision: _Decision, tx_id: int | None, ledger_id: UUID | None) -> None:
    await connection.execute(
        _SETTLE,
        {
            "outcome": decision.outcome,
            "note": "; ".join(decision.notes) or None,
            "customer": decision.customer,
            "tx_id": tx_id,
            "ledger_id": ledger_id,
            "digest": decision.event.tx_digest,
            "index": decision.event.event_index,
        },
    )
