"""The chain of an invented business: its escrow as the books have it, and what happens on it from then on.

Nothing of it is on any network. The node says "simulated" wherever a real one names its chain. Its accounts hold what
the mirror says, and a billing backend of one statement brings what was mirrored into the cached balances. What differs,
differs on purpose, at the first accounts by customer:

1. made with $25 before the node's history: no books know of that deposit, and it is said to be unknown;
2. the cached balance was set $5 too high, once;
3. no difference: made with $40, which sync-chain takes from the account as it was made;
4. upgraded: it goes on as another account, which is on no record yet.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from db.chain.simulated.ledger import Ledger, SimulatedObject
from db.chain.values import Address, Digest, MoveType, ObjectId
from db.suiftly.escrow.books import MIRRORED
from db.suiftly.simulation.chain_oddities import with_oddities

PACKAGE: Final = ObjectId(f"0x{hashlib.sha256(b'the escrow contract of the demo').hexdigest()}")
_SERVICE: Final = Address(f"0x{hashlib.sha256(b'the service of the demo').hexdigest()}")
_BEGAN: Final = datetime(2020, 1, 1, tzinfo=UTC)  # the chain; it has a checkpoint a second
_NAMES: Final = {"deposit": "Deposit", "withdraw": "Withdrawal", "charge": "Charge", "credit": "Credit"}
_CREATED: Final = "AccountCreated"
_MADE_WITH: Final = {0: 25_000_000, 2: 40_000_000}  # by the customers' order
_BEFORE_HISTORY: Final = (0,)
_TOO_HIGH_AT: Final = 1
_UPGRADED_AT: Final = 3
_BACKEND_EVERY_S: Final = 2.0
_DEPOSIT_EVERY_S: Final = 30.0  # in the mean

_Event = tuple[Digest, datetime, int, MoveType, dict[str, Any]]

# What was read from the chain before is told again as it was. Coins other than USDC never were on this contract.
_READ: LiteralString = """
    SELECT tx_digest AS digest, at, event_index AS index, type, fields FROM console.chain_event
"""
_BOOKED: LiteralString = """
    SELECT x.tx_digest AS digest, x.timestamp AS at, x.event_seq AS index, x.tx_type AS kind, x.amount,
           c.escrow_contract_id AS account
    FROM escrow_transactions x JOIN customers c USING (customer_id)
    WHERE c.escrow_contract_id IS NOT NULL AND (x.asset_type IS NULL OR x.asset_type LIKE '%%USDC')
      AND NOT EXISTS (SELECT FROM console.chain_event e WHERE e.tx_id = x.tx_id)
"""
_ACCOUNTS: LiteralString = (
    """
    SELECT customer_id, escrow_contract_id AS account, wallet_address AS wallet, created_at,
           coalesce((1000000 * m.usd)::bigint, 0) AS balance, coalesce(max_monthly_usd_cents, 0) AS most,
           coalesce(current_month_charged_usd_cents, 0) AS charged
    FROM customers c CROSS JOIN LATERAL (
        SELECT sum(usd) AS usd FROM ("""
    + MIRRORED
    + """ WHERE x.customer_id = c.customer_id) x) m
    WHERE escrow_contract_id IS NOT NULL ORDER BY customer_id
"""
)
_UNREAD: LiteralString = "SELECT NOT EXISTS (SELECT FROM console.chain_cursor)"
_TOO_HIGH: LiteralString = """
    UPDATE customers c SET current_balance_usd_cents = 500 + (
        SELECT coalesce(sum(amount_usd_cents), 0) FROM ledger_entries WHERE customer_id = c.customer_id)
    WHERE customer_id = %s
"""
_BACKEND: LiteralString = """
    UPDATE customers c SET current_balance_usd_cents = l.cents
    FROM (SELECT customer_id, sum(amount_usd_cents)::bigint AS cents FROM ledger_entries
          WHERE customer_id IN (SELECT customer_id FROM console.chain_event
                                WHERE outcome = 'mirrored' AND seen_at > now() - interval '5 minutes')
          GROUP BY 1) l
    WHERE l.customer_id = c.customer_id AND c.current_balance_usd_cents <> l.cents
"""


@dataclass(frozen=True, slots=True)
class _Read:
    digest: bytes
    at: datetime
    index: int
    type: str
    fields: dict[str, Any]

    @property
    def event(self) -> _Event:
        return Digest(self.digest), self.at, self.index, MoveType.parse(self.type), self.fields


@dataclass(frozen=True, slots=True)
class _Booked:
    digest: str
    at: datetime
    index: int
    kind: str
    amount: Decimal
    account: str

    @property
    def event(self) -> _Event:
        unit = 1_000_000 if self.kind in ("deposit", "withdraw") else 100
        fields = {"account_id": self.account, "amount": str(int(self.amount * unit))}
        return Digest.parse(self.digest), self.at, self.index, _type(f"{_NAMES[self.kind]}Event"), fields


@dataclass(frozen=True, slots=True)
class _Account:
    customer_id: int
    account: str
    wallet: str
    created_at: datetime
    balance: int
    most: int
    charged: int


@asynccontextmanager
async def simulated_chain(dsn: str, port: int, seed: int) -> AsyncGenerator[None]:
    """A node for it on this machine while the block runs; customers deposit now and then."""
    from db.chain.simulated.node import Node, serving

    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        ledger = await ledger_of(connection)
    async with serving(Node(ledger), port=port):
        going_on = (asyncio.create_task(_go_on(ledger, Random(seed))), asyncio.create_task(_keep_balances(dsn)))
        try:
            yield
        finally:
            for task in going_on:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def ledger_of(connection: AsyncConnection[TupleRow]) -> Ledger:
    """The same books, the same chain: checkpoints follow the time, so that a cursor outlives a restart."""
    read = connection.cursor(row_factory=class_row(_Read))
    await read.execute(_READ)
    booked = connection.cursor(row_factory=class_row(_Booked))
    await booked.execute(_BOOKED)
    accounts = connection.cursor(row_factory=class_row(_Account))
    await accounts.execute(_ACCOUNTS)
    known = await accounts.fetchall()
    first = await (await connection.execute(_UNREAD)).fetchone() == (True,)
    before = [row.event for row in await read.fetchall()]
    digests = {event[0] for event in before}
    new = [event for event in (row.event for row in await booked.fetchall()) if event[0] not in digests]
    events = before + new if before else with_oddities(new, Random(1))
    if first and len(known) > _TOO_HIGH_AT:
        await connection.execute(_TOO_HIGH, (known[_TOO_HIGH_AT].customer_id,))
    told = {fields["account_id"] for _, _, _, type_, fields in events if type_.name == _CREATED}
    made = {known[at].account: _made(known[at], units) for at, units in _MADE_WITH.items() if at < len(known)}
    made = {account: object_ for account, object_ in made.items() if first or account in told}
    events += [_creation(account) for account in known if account.account in made and account.account not in told]
    ledger = Ledger(tip_at=_BEGAN)
    for (second, digest), group in groupby(
        sorted(events, key=lambda event: (int(event[1].timestamp()), event[0], event[2])),
        key=lambda event: (int(event[1].timestamp()), event[0]),
    ):
        emitted = [(type_, fields) for _, _, _, type_, fields in group]
        objects = [made[fields["account_id"]] for type_, fields in emitted
                   if type_.name == _CREATED and fields["account_id"] in made]  # fmt: skip
        _commit(ledger, datetime.fromtimestamp(second, UTC), _SERVICE, emitted, digest, objects=objects)
    for at, account in enumerate(known):
        id_ = ObjectId(account.account)
        on_no_books = at in _BEFORE_HISTORY or account.account not in told
        extra = _MADE_WITH[at] if account.account in made and on_no_books else 0
        ledger.objects[id_] = SimulatedObject(id_, _type("Account"), _fields(account, account.balance + extra), 2)
        if at in _BEFORE_HISTORY:
            ledger.versions.pop((id_, 1), None)
        if at == _UPGRADED_AT:
            _upgrade(ledger, account)
    return ledger


def _upgrade(ledger: Ledger, account: _Account) -> None:
    """The account goes on as another one, unless it is that one already: whoever followed it has it on record."""
    new = ObjectId(f"0x{hashlib.sha256(f'upgraded {account.wallet}'.encode()).hexdigest()}")
    if account.account != new:
        old = ledger.objects[ObjectId(account.account)]
        ledger.objects[new] = replace(old, object_id=new, fields=dict(old.fields))
        old.fields |= {"balance_usdc": "0", "upgraded_to": new}


def _creation(account: _Account) -> _Event:
    digest = Digest(hashlib.sha256(f"created {account.account}".encode()).digest())
    fields = {"account_id": account.account, "user_address": account.wallet}
    return digest, account.created_at, 0, _type(_CREATED), fields


def _made(account: _Account, units: int) -> SimulatedObject:
    return SimulatedObject(ObjectId(account.account), _type("Account"), _fields(account, units))


def _fields(account: _Account, units: int) -> dict[str, object]:
    return {
        "id": account.account,
        "user_address": account.wallet,
        "suiftly_address": _SERVICE,
        "balance_usdc": str(units),
        "spending_limit_usd_cents": str(account.most),
        "current_period_charged_usd_cents": str(account.charged),
        "upgraded_to": None,
    }


async def _keep_balances(dsn: str) -> None:
    """As the billing backend does once it saw what came onto the books."""
    while True:
        with suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute(_BACKEND)
        await asyncio.sleep(_BACKEND_EVERY_S)


async def _go_on(ledger: Ledger, random: Random) -> None:
    """A checkpoint a second; in some of them somebody deposits, rarely somebody whom no customer is."""
    known = list(ledger.objects.values())[_UPGRADED_AT + 2 :]  # those before are as the top of this module says
    while True:
        now = datetime.now(UTC)
        if known and random.random() < 1 / _DEPOSIT_EVERY_S:
            object_ = random.choice(known)
            units = random.randint(10, 200) * 1_000_000 + random.choice((0, 0, 0, random.randrange(1_000_000)))
            account = object_.object_id if random.random() < 0.95 else ObjectId(f"0x{random.randbytes(32).hex()}")
            wallet = Address(str(object_.fields["user_address"]))
            digest = _commit(ledger, now, wallet, [_deposit(account, units)], Digest(random.randbytes(32)))
            if account == object_.object_id:
                object_.fields["balance_usdc"] = str(int(str(object_.fields["balance_usdc"])) + units)
                object_.version, object_.previous = object_.version + 1, digest
        else:
            ledger.advance(max(0, _checkpoint(now) - ledger.tip))
        await asyncio.sleep(1)


def _deposit(account: ObjectId, units: int) -> tuple[MoveType, dict[str, Any]]:
    return _type("DepositEvent"), {"account_id": account, "amount": str(units)}


def _commit(
    ledger: Ledger,
    at: datetime,
    sender: Address,
    events: Sequence[tuple[MoveType, dict[str, Any]]],
    digest: Digest,
    *,
    objects: Sequence[SimulatedObject] = (),
) -> Digest:
    ahead = _checkpoint(at) - ledger.tip
    if ahead > 1:
        ledger.advance(ahead - 1)
    return ledger.commit(sender, events, digest=digest, at=at, same_checkpoint=ahead <= 0, objects=objects)


def _checkpoint(at: datetime) -> int:
    return int((at - _BEGAN).total_seconds())


def _type(name: str) -> MoveType:
    return MoveType(Address(PACKAGE), "escrow", name)
