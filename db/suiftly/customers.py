"""Customers: wallets with a status, services and money."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import LiteralString

from psycopg.rows import class_row

from db.audit import AuditRow, about
from db.chain.values import Digest
from db.database import Connection, Database
from db.page import Page, page_of
from db.suiftly.billing.rules import ServiceSpan
from db.suiftly.customer_search import CustomerSearch
from db.suiftly.digest_search import TOUCHED_BY
from db.suiftly.keys.keys import ApiKey, KeySearch, read_page

_MOST_KEYS = 200
_MOST_SPANS = 20
_WHOLE = len("0x") + 64  # a wallet, or a digest
_AS_KEYS_ARE_SHOWN = len("0x") + 8  # the beginning of a wallet, or a key: a pasted one turns into its fingerprint


@dataclass(frozen=True, slots=True)
class Customer:
    """One row of `customers`. Money is integer US cents; None stands for unknown, and for no limit in `max_monthly`."""

    customer_id: int
    wallet_address: str
    escrow_contract_id: str | None
    status: str
    max_monthly_usd_cents: int | None
    current_balance_usd_cents: int | None
    current_month_charged_usd_cents: int | None
    last_month_charged_usd_cents: int | None
    current_month_start: date | None
    created_at: datetime
    updated_at: datetime
    live_keys: int
    version: str  # changes with every update of the row


@dataclass(frozen=True, slots=True)
class Service:
    """One row of `service_instances`."""

    service_type: str
    tier: str
    is_enabled: bool
    enabled_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class UsageDay:
    """Metered usage of one UTC day. `charged_usd` is None while nothing of it is billed."""

    day: date
    requests: int
    bytes: int
    charged_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class CustomerDetail:
    """A customer with what stands around it."""

    customer: Customer
    services: tuple[Service, ...]
    spans: tuple[ServiceSpan, ...]  # in which services were on, the newest first
    usage: tuple[UsageDay, ...]  # newest first
    unpaid_bills: int
    unpaid_usd_cents: int
    ledger_usd_cents: int | None  # sum of ledger_entries, to hold against the cached balance


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """A customer with its keys, newest first, and the audit rows about both."""

    detail: CustomerDetail
    keys: tuple[ApiKey, ...]
    history: tuple[AuditRow, ...]


_SELECT: LiteralString = """
    SELECT c.customer_id, c.wallet_address, c.escrow_contract_id, c.status, c.max_monthly_usd_cents,
           c.current_balance_usd_cents, c.current_month_charged_usd_cents, c.last_month_charged_usd_cents,
           c.current_month_start, c.created_at, c.updated_at,
           (SELECT count(*) FROM api_keys k WHERE k.customer_id = c.customer_id AND k.is_active) AS live_keys,
           c.xmin::text AS version
    FROM customers c
"""

_TOUCHED: LiteralString = "c.customer_id = ANY " + TOUCHED_BY
_HOLDS: LiteralString = (
    "c.customer_id = ANY (ARRAY(SELECT customer_id FROM api_keys WHERE api_key_fp = %(fingerprint)s))"
)
_HAS_ACCOUNT: LiteralString = "c.escrow_contract_id = %(prefix)s"
# ~>=~ and ~<~ compare bytes, so the index serves under any collation; 'g' sorts after every hex digit.
# The parentheses matter: ~<~ and || bind alike, from the left.
_BEGINS: LiteralString = "c.wallet_address ~>=~ %(prefix)s AND c.wallet_address ~<~ (%(prefix)s || 'g')"


class Customers:
    """Questions about customers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, search: CustomerSearch, *, after: Customer | None = None, limit: int = 100) -> Page[Customer]:
        """The next rows after `after`: by id, or by wallet when a wallet prefix is searched."""
        conditions: list[LiteralString] = ["true"]
        if search.customer_id is not None:
            conditions.append("c.customer_id = %(customer_id)s")
        if search.status is not None:
            conditions.append("c.status = %(status)s")
        digest, fingerprint = search.digest, search.fingerprint
        if digest is not None:
            conditions.append(_TOUCHED)
        if fingerprint is not None:
            conditions.append(_HOLDS)
        order: LiteralString = "c.customer_id"
        if search.wallet_prefix is not None:
            order = "c.wallet_address USING ~<~"
            either: list[LiteralString] = [_BEGINS]
            if len(search.wallet_prefix) == _WHOLE and digest is None:
                digest = Digest.parse(search.wallet_prefix)
                either.extend((_TOUCHED, _HAS_ACCOUNT))
            elif len(search.wallet_prefix) == _AS_KEYS_ARE_SHOWN and fingerprint is None:
                fingerprint = int(search.wallet_prefix, 16)
                either.append(_HOLDS)
            conditions.append("(" + " OR ".join(either) + ")")
        if after is not None:
            conditions.append(
                "c.wallet_address ~>~ %(after_wallet)s"
                if search.wallet_prefix is not None
                else "c.customer_id > %(after_id)s"
            )
        query = _SELECT + " WHERE " + " AND ".join(conditions) + " ORDER BY " + order + " LIMIT %(limit)s"
        parameters = {
            "customer_id": search.customer_id,
            "status": search.status,
            "digests": list(digest.spellings) if digest else None,
            "fingerprint": fingerprint,
            "prefix": search.wallet_prefix,
            "after_id": after and after.customer_id,
            "after_wallet": after and after.wallet_address,
            "limit": limit + 1,
        }
        async with self._database.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(Customer))
            await cursor.execute(query, parameters)
            return page_of(await cursor.fetchall(), limit)

    async def find(self, customer_id: int) -> Customer | None:
        """One customer, or None."""
        page = await self.page(CustomerSearch(customer_id=customer_id), limit=1)
        return page.rows[0] if page.rows else None

    async def detail(self, customer_id: int) -> CustomerDetail | None:
        """A customer with services, two weeks of metered usage and money, all of one instant; None when unknown."""
        async with self._database.reading(one_snapshot=True) as connection:
            return await _detail(connection, customer_id)

    async def record(self, customer_id: int) -> CustomerRecord | None:
        """A customer with its newest keys and what is on record about both, all of one instant; None when unknown."""
        async with self._database.reading(one_snapshot=True) as connection:
            detail = await _detail(connection, customer_id)
            if detail is None:
                return None
            keys = (await read_page(connection, KeySearch(customer_id=customer_id), limit=_MOST_KEYS)).rows
            subjects = (f"customer:{customer_id}", *(f"key:{key.fingerprint}" for key in keys))
            return CustomerRecord(detail, keys, await about(connection, subjects))


async def _detail(connection: Connection, customer_id: int) -> CustomerDetail | None:
    cursor = connection.cursor(row_factory=class_row(Customer))
    await cursor.execute(_SELECT + " WHERE c.customer_id = %(id)s", {"id": customer_id})
    customer = await cursor.fetchone()
    if customer is None:
        return None
    bills, cents, ledger = await _money(connection, customer_id)
    return CustomerDetail(
        customer=customer,
        services=tuple(await _services(connection, customer_id)),
        spans=tuple(await _spans(connection, customer_id)),
        usage=tuple(await _usage(connection, customer_id)),
        unpaid_bills=bills,
        unpaid_usd_cents=cents,
        ledger_usd_cents=ledger,
    )


async def _services(connection: Connection, customer_id: int) -> Sequence[Service]:
    cursor = connection.cursor(row_factory=class_row(Service))
    await cursor.execute(
        """SELECT service_type, tier, is_enabled, enabled_at, disabled_at
           FROM service_instances WHERE customer_id = %s ORDER BY service_type""",
        (customer_id,),
    )
    return await cursor.fetchall()


async def _spans(connection: Connection, customer_id: int) -> Sequence[ServiceSpan]:
    cursor = connection.cursor(row_factory=class_row(ServiceSpan))
    await cursor.execute(
        """SELECT service_type AS service, tier, since, until FROM console.service_span
           WHERE customer_id = %s ORDER BY since DESC, service_type LIMIT %s""",
        (customer_id, _MOST_SPANS),
    )
    return await cursor.fetchall()


async def _usage(connection: Connection, customer_id: int) -> Sequence[UsageDay]:
    cursor = connection.cursor(row_factory=class_row(UsageDay))
    await cursor.execute(
        """SELECT (window_start AT TIME ZONE 'UTC')::date AS day, sum(request_count)::bigint AS requests,
                  coalesce(sum(bytes_transferred), 0)::bigint AS bytes, sum(charged_amount) AS charged_usd
           FROM usage_records
           WHERE customer_id = %s AND window_start >= date_trunc('day', now(), 'UTC') - interval '13 days'
           GROUP BY 1 ORDER BY 1 DESC""",
        (customer_id,),
    )
    return await cursor.fetchall()


async def _money(connection: Connection, customer_id: int) -> tuple[int, int, int | None]:
    cursor = await connection.execute(
        """SELECT (SELECT count(*) FROM billing_records b
                   WHERE b.customer_id = %(id)s AND b.status IN ('pending', 'failed')),
                  (SELECT coalesce(sum(b.amount_usd_cents), 0)::bigint FROM billing_records b
                   WHERE b.customer_id = %(id)s AND b.status IN ('pending', 'failed')),
                  (SELECT sum(l.amount_usd_cents)::bigint FROM ledger_entries l WHERE l.customer_id = %(id)s)""",
        {"id": customer_id},
    )
    row = await cursor.fetchone()
    return (row[0], row[1], row[2]) if row else (0, 0, None)
