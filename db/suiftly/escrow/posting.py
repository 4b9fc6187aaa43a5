"""Putting the open events of the inbox onto the books: what that would be, and doing it.

Both go one way, whoever asks: the job that reads the chain, or an operator who says whose an account is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, LiteralString
from uuid import UUID, uuid4

from psycopg.rows import class_row

from db.chain.values import Digest
from db.database import Connection
from db.suiftly.escrow.contract import ASSET
from db.suiftly.escrow.decision import LEDGER_TYPES, Decision, EscrowRow, Key, LedgerRow, OpenEvent, decide

_OPEN: LiteralString = """
    SELECT tx_digest, event_index, at, account_id, kind, amount_usd, cents, rest_usdc, type
    FROM console.chain_event
    WHERE tx_digest = ANY(%(digests)s) AND outcome = 'unmatched' AND kind IS NOT NULL
    ORDER BY checkpoint, tx_index, event_index
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
LOCK_CUSTOMERS: Final[LiteralString] = """
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
    WHERE l.tx_hash = ANY(%(spellings)s)
      AND NOT EXISTS (SELECT FROM console.chain_event e WHERE e.ledger_id = l.id)
      AND NOT EXISTS (SELECT FROM console.ledger_reversal r WHERE l.id IN (r.entry_id, r.reversal_id))
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


@dataclass(slots=True)
class OnBooks:
    """What the books have under a digest."""

    escrow: list[EscrowRow] = field(default_factory=list[EscrowRow])
    ledger: list[LedgerRow] = field(default_factory=list[LedgerRow])

    def taken(self, digest: Digest) -> set[int]:
        """The sequence numbers that are used up."""
        return {row.seq for row in self.escrow if row.digest == str(digest)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the open events of some transactions."""

    decisions: tuple[Decision, ...]
    books: Mapping[Digest, OnBooks]

    @property
    def counts(self) -> Counter[str]:
        """How many become what."""
        counts = Counter(decision.outcome for decision in self.decisions)
        found = [decision for decision in self.decisions if decision.customer is not None]
        counts["cents_below"] = sum(decision.event.rest_usdc > 0 for decision in found)
        return +counts


async def on_books(connection: Connection, digests: Iterable[Digest]) -> dict[Digest, OnBooks]:
    """What the books have under these digests, in whatever spelling."""
    books: defaultdict[Digest, OnBooks] = defaultdict(OnBooks)
    spellings = [text for digest in digests for text in digest.spellings]
    escrow = connection.cursor(row_factory=class_row(EscrowRow))
    await escrow.execute(_ESCROW_ROWS, {"spellings": spellings})
    for row in await escrow.fetchall():
        books[Digest.parse(row.digest)].escrow.append(row)
    ledger = connection.cursor(row_factory=class_row(LedgerRow))
    await ledger.execute(_LEDGER_ROWS, {"spellings": spellings})
    for entry in await ledger.fetchall():
        books[Digest.parse(entry.digest)].ledger.append(entry)
    return books


async def plan(
    connection: Connection, digests: Iterable[bytes], given: Mapping[Key, int] | None = None, *, lock: bool
) -> Plan:
    """Decides about the open events of these transactions. `given` are customers that an operator names.

    With `lock` the events and their customers stay as they are until the end of the transaction.
    """
    cursor = connection.cursor(row_factory=class_row(OpenEvent))
    await cursor.execute(_OPEN + (" FOR UPDATE" if lock else ""), {"digests": list(digests)})
    decisions = tuple(Decision(event) for event in await cursor.fetchall())
    await _find_customers(connection, decisions, given or {})
    together: defaultdict[Digest, list[Decision]] = defaultdict(list)
    for decision in decisions:
        if decision.customer is not None:
            together[Digest(decision.event.tx_digest)].append(decision)
    if lock:
        # As whoever pays a bill locks them: the same charge is then seen by one of the two.
        customers = {decision.customer for decision in decisions if decision.customer is not None}
        await connection.execute(LOCK_CUSTOMERS, (sorted(customers),))
    books = await on_books(connection, together)
    for digest, some in together.items():
        there = books.setdefault(digest, OnBooks())
        decide(some, there.escrow, there.ledger)
    return Plan(decisions, books)


async def carry_out(connection: Connection, plan: Plan) -> None:
    """Writes what was decided, in the transaction that locked for it."""
    taken = {digest: books.taken(digest) for digest, books in plan.books.items()}
    for decision in plan.decisions:
        tx_id, entry = decision.escrow, decision.ledger
        if decision.outcome == "mirrored" and decision.customer is not None:
            digest = Digest(decision.event.tx_digest)
            tx_id = await add_escrow(connection, decision.event, decision.customer, taken[digest])
            if entry is None:
                entry = await add_ledger(connection, decision.event, decision.customer)
        await _note(connection, decision, tx_id, entry)


async def _find_customers(connection: Connection, decisions: Sequence[Decision], given: Mapping[Key, int]) -> None:
    accounts = list({decision.event.account_id for decision in decisions})
    cursor = await connection.execute(_OWNERS, {"accounts": accounts})
    owners: defaultdict[str, set[int]] = defaultdict(set)
    for account, customer in await cursor.fetchall():
        owners[account].add(customer)
    for decision in decisions:
        decision.customer = given.get(decision.event.key)
        if decision.customer is not None:
            continue
        known = owners[decision.event.account_id]
        if len(known) == 1:
            decision.customer = next(iter(known))
        elif known:
            named = " and ".join(map(str, sorted(known)))
            decision.notes.append(f"the customers {named} have the same escrow account")
        else:
            decision.notes.append("no customer has this escrow account")


async def add_escrow(connection: Connection, event: OpenEvent, customer: int, taken: set[int]) -> int:
    """Adds the event to the mirror, under the next free number where its own is `taken`; returns the row's id."""
    seq = event.event_index if event.event_index not in taken else max(taken) + 1
    taken.add(seq)
    row = {
        "customer": customer,
        "digest": str(Digest(event.tx_digest)),
        "seq": seq,
        "kind": event.kind,
        "amount": event.amount_usd,
        "asset": ASSET,
        "at": event.at,
    }
    found = await (await connection.execute(_ADD_ESCROW, row)).fetchone()
    assert found is not None  # noqa: S101 - INSERT RETURNING
    return int(found[0])


async def add_ledger(connection: Connection, event: OpenEvent, customer: int) -> UUID | None:
    """Adds the event to the ledger; None for one that is worth less than a cent."""
    if not event.cents:
        return None
    id_ = uuid4()
    entry = {
        "id": id_,
        "customer": customer,
        "type": LEDGER_TYPES[event.kind],
        "cents": event.ledger_cents,
        "digest": str(Digest(event.tx_digest)),
        "words": f"{event.type.rpartition('::')[2]} on the chain",
        "at": event.at,
    }
    await connection.execute(_ADD_LEDGER, entry)
    return id_


async def _note(connection: Connection, decision: Decision, tx_id: int | None, ledger_id: UUID | None) -> None:
    row = {
        "outcome": decision.outcome,
        "note": "; ".join(decision.notes) or None,
        "customer": decision.customer,
        "tx_id": tx_id,
        "ledger_id": ledger_id,
        "digest": decision.event.tx_digest,
        "index": decision.event.event_index,
    }
    await connection.execute(_SETTLE, row)
