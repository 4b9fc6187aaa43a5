"""The escrow on the chain beside the books: how far the inbox is, and each account held against what the books say.

Nothing here corrects anything.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, LiteralString

from psycopg.rows import class_row

from db.chain.errors import ChainError, ErrorKind, not_configured
from db.chain.models import ChainObject
from db.chain.values import ChainValueError, Digest, ObjectId
from db.database import Connection, Database
from db.errors import Refused
from db.suiftly.attention import chain_late
from db.suiftly.escrow.contract import EscrowAccount, EscrowChain, read_account
from db.suiftly.escrow.drift import AccountBooks, CheckedAccount, Drift, compare

_MOST_UPGRADES: Final = 16
_AT_ONCE: Final = 50  # accounts whose books are read together: soon behind the chain

_CURSOR: LiteralString = """
    SELECT chain_id, target, covered, tip, tip_at, updated_at FROM console.chain_cursor WHERE stream = 'escrow'
"""
_OUTCOMES: LiteralString = "SELECT outcome, count(*) FROM console.chain_event GROUP BY 1"
_ACCOUNTS: LiteralString = """
    SELECT customer_id, escrow_contract_id FROM customers
    WHERE escrow_contract_id IS NOT NULL AND (%(customer)s::bigint IS NULL OR customer_id = %(customer)s::bigint)
    ORDER BY 1
"""
# Other coins at the rate of their moment, which the ledger alone knows; NULL where it does not. One mist is 1e-9.
MIRRORED: LiteralString = """
    SELECT in_usd, CASE WHEN tx_type IN ('deposit', 'credit') THEN 1 ELSE -1 END
                   * CASE WHEN in_usd THEN amount ELSE (
                         SELECT abs(l.amount_usd_cents) / 100.0 FROM ledger_entries l
                         WHERE l.tx_hash = x.tx_digest AND l.customer_id = x.customer_id
                           AND l.amount_sui_mist = (x.amount * 1000000000)::bigint LIMIT 1) END AS usd
    FROM (SELECT *, asset_type IS NULL OR asset_type = 'USDC' OR asset_type LIKE '%%::usdc::USDC' AS in_usd
          FROM escrow_transactions) x
"""
# What the chain said was charged is taken from the inbox: the mirror may lack what is in conflict.
_BOOKS: LiteralString = (
    """
    SELECT c.customer_id, c.escrow_contract_id AS account, now() AS at, c.current_balance_usd_cents AS cached_cents,
           (SELECT coalesce(sum(amount_usd_cents), 0)::bigint FROM ledger_entries WHERE customer_id = c.customer_id)
               AS ledger_cents,
           m.usd AS mirror_usd, m.others AS other_coins, m.other_usd, m.unvalued,
           e.charged_usd, e.rest_usdc, e.open_events, e.waiting, e.open_usd, e.initial_unknown,
           q.newest IS NULL OR EXISTS (SELECT FROM console.chain_event WHERE tx_digest = q.newest) AS newest_is_known
    FROM unnest(%(customers)s::bigint[], %(newest)s::bytea[]) AS q (customer, newest)
    JOIN customers c ON c.customer_id = q.customer
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(usd), 0) AS usd, count(*) FILTER (WHERE NOT in_usd) AS others,
               coalesce(sum(usd) FILTER (WHERE NOT in_usd), 0) AS other_usd,
               count(*) FILTER (WHERE usd IS NULL) AS unvalued
        FROM ("""
    + MIRRORED
    + """ WHERE x.customer_id = c.customer_id) x) m
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE kind WHEN 'charge' THEN amount_usd WHEN 'credit' THEN -amount_usd END), 0)
                   AS charged_usd,
               coalesce(sum(CASE WHEN kind IN ('deposit', 'credit') THEN rest_usdc ELSE -rest_usdc END)
                            FILTER (WHERE outcome IN ('mirrored', 'already_recorded')), 0)::bigint AS rest_usdc,
               count(*) FILTER (WHERE open) AS open_events,
               count(*) FILTER (WHERE outcome IN ('unmatched', 'conflict')) AS waiting,
               coalesce(sum(CASE WHEN kind IN ('deposit', 'credit') THEN amount_usd ELSE -amount_usd END)
                            FILTER (WHERE open), 0) AS open_usd,
               coalesce(bool_or(kind IS NULL AND note LIKE '%%initial deposit%%'), false) AS initial_unknown
        FROM (SELECT *, outcome IN ('unmatched', 'conflict', 'dismissed') AND kind IS NOT NULL AS open
              FROM console.chain_event
              WHERE customer_id = c.customer_id OR account_id = c.escrow_contract_id) x) e
    ORDER BY c.customer_id
"""
)


@dataclass(frozen=True, slots=True)
class InboxCursor:
    """How far the inbox goes: everything up to the checkpoint `covered` is in it; `tip` was the node's last then."""

    chain_id: str
    target: str | None
    covered: int
    tip: int
    tip_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Inbox:
    """The cursor, None before the first sync, and how many events became what."""

    cursor: InboxCursor | None
    outcomes: Mapping[str, int]
    late: str | None = None  # why it is not up to date

    @property
    def open(self) -> int:
        """Events that wait for somebody."""
        return self.outcomes.get("unmatched", 0) + self.outcomes.get("conflict", 0)


@dataclass(frozen=True, slots=True)
class Successor:
    """The account that the one on record was upgraded to."""

    before: str
    after: EscrowAccount


class EscrowBooks:
    """Questions about the escrow and its books. Those to the chain take long, and raise ChainError."""

    def __init__(self, database: Database, chain: EscrowChain | None) -> None:
        self._database = database
        self._chain = chain

    async def inbox(self) -> Inbox:
        """How far the chain was read, and what became of its events. Asks no node."""
        async with self._database.reading(one_snapshot=True) as connection:
            cursor = connection.cursor(row_factory=class_row(InboxCursor))
            await cursor.execute(_CURSOR)
            reached = await cursor.fetchone()
            outcomes = await (await connection.execute(_OUTCOMES)).fetchall()
            late = await chain_late(connection)
        return Inbox(reached, dict(outcomes), late)

    async def checked(self, customer: int | None = None) -> AsyncGenerator[CheckedAccount]:
        """Every account, or that of one customer, by customer. Raises Refused when that one has none, and ChainError
        where the node stops to answer: what came before that holds."""
        chain = self._configured()
        async with self._database.reading() as connection:
            accounts = await (await connection.execute(_ACCOUNTS, {"customer": customer})).fetchall()
        if customer is not None and not accounts:
            raise Refused(f"no escrow account is on record for customer {customer}")
        for start in range(0, len(accounts), _AT_ONCE):
            for found in await self._check(chain, accounts[start : start + _AT_ONCE]):
                yield found

    async def checked_one(self, customer: int) -> CheckedAccount | None:
        """That of a customer; None when none is on record. Raises ChainError."""
        try:
            async for found in self.checked(customer):
                return found
        except Refused:
            pass
        return None

    async def successor(self, customer: int) -> Successor:
        """What the account of a customer goes on as, after however many upgrades. Raises Refused when it does not, or
        not as one of the same wallet, and ChainError."""
        chain = self._configured()
        async with self._database.reading() as connection:
            accounts = await (await connection.execute(_ACCOUNTS, {"customer": customer})).fetchall()
        if not accounts:
            raise Refused(f"no escrow account is on record for customer {customer}")
        first = account = await _account(chain, ObjectId(accounts[0][1]))
        for _ in range(_MOST_UPGRADES):
            if account.upgraded_to is None:
                break
            account = await _account(chain, account.upgraded_to)
        if account is first:
            raise Refused(f"the escrow account of customer {customer} was not upgraded: there is nothing to follow")
        if account.upgraded_to is not None or account.owner != first.owner:
            wrong = "goes on for ever" if account.upgraded_to else "belongs to another wallet"
            raise Refused(f"the account goes on as {account.account}, which {wrong}; ask who runs the contract")
        return Successor(first.account, account)

    def _configured(self) -> EscrowChain:
        if self._chain is None:
            raise not_configured()
        return self._chain

    async def _check(self, chain: EscrowChain, accounts: Sequence[tuple[int, str]]) -> list[CheckedAccount]:
        """Without those of customers that have gone meanwhile."""
        found = await chain.reader.objects([(ObjectId(account), None) for _, account in accounts])
        read = {customer: _read(one, chain) for (customer, _), one in zip(accounts, found, strict=True)}
        newest = [None if isinstance(one, str) else one[1] for one in read.values()]
        async with self._database.reading() as connection:
            books = await _books(connection, list(read), newest)
        return [_held(each, read[each.customer_id], chain) for each in books]


async def _account(chain: EscrowChain, account: ObjectId) -> EscrowAccount:
    read = _read((await chain.reader.objects([(account, None)]))[0], chain)
    if isinstance(read, str):
        raise Refused(f"the account {account} cannot be read: {read}")
    return read[0]


async def read_books(connection: Connection, customer: int, newest: str | None) -> AccountBooks | None:
    """What the books say now beside an account that was changed last by that transaction."""
    found = await _books(connection, [customer], [None if newest is None else Digest.parse(newest)])
    return found[0] if found else None


async def _books(connection: Connection, customers: list[int], newest: Sequence[Digest | None]) -> list[AccountBooks]:
    cursor = connection.cursor(row_factory=class_row(AccountBooks))
    parameters = {"customers": customers, "newest": [None if one is None else one.raw for one in newest]}
    await cursor.execute(_BOOKS, parameters)
    return await cursor.fetchall()


def _read(found: ChainObject | ChainError, chain: EscrowChain) -> tuple[EscrowAccount, Digest | None] | str:
    """The account and the transaction that changed it last, or why there is none to read."""
    if isinstance(found, ChainError):
        if found.kind is not ErrorKind.NOT_FOUND:
            return str(found)
        target = chain.reader.config.target
        return f"the node {target} does not know the object: deleted, never there, or of another chain"
    try:
        read = read_account(found, chain.packages)
    except ChainValueError as error:
        return f"{ErrorKind.UNREADABLE}: {error}"
    return read, found.previous_transaction


def _held(books: AccountBooks, read: tuple[EscrowAccount, Digest | None] | str, chain: EscrowChain) -> CheckedAccount:
    if isinstance(read, str):
        return CheckedAccount(books, None, None, None, (Drift("account", None, read),))
    checked = compare(books, read[0], charges_move_usdc=chain.charges_move_usdc)
    return replace(checked, newest=None if read[1] is None else str(read[1]))
