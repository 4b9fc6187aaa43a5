"""Writes what happened before a demo began: hourly usage, bills in every state, ledger, escrow and balances."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.billing.rules import Fee, ServiceSpan, month_of, monthly_fees
from db.suiftly.pricing import PriceBook, load_prices, usd
from db.suiftly.simulation.accounts import (
    SUI,
    USDC,
    Account,
    bill_usage,
    choose,
    give_back,
    retired,
    settle,
    void_duplicate,
)
from db.suiftly.simulation.cast import busy_order, log_begin, simulation_seed, total_weight
from db.suiftly.simulation.copying import copy_rows
from db.suiftly.simulation.usage import Consumer, Usage, history_begin, invent_usage, week_shape

_ESCROW_TYPES: Final = {"deposit": "deposit", "withdrawal": "withdraw", "charge": "charge", "credit": "credit"}
# Limits offered to a customer whose charges outgrew its own; None is unlimited.
_LADDER: Final = (50_000, 100_000, 200_000, 500_000)


@dataclass(frozen=True, slots=True)
class History:
    """What `write_history` wrote. Usage lies in [begin, end); the raw log begins at `end`."""

    begin: datetime
    end: datetime
    usage_records: int
    bills: int
    ledger_entries: int


@dataclass(frozen=True, slots=True)
class _Person:
    customer_id: int
    status: str
    created_at: datetime
    updated_at: datetime
    limit_cents: int | None
    services: tuple[ServiceSpan, ...]


async def write_history(
    connection: AsyncConnection[TupleRow], now: datetime, seed: int, *, log_minutes: int = 60
) -> History:
    """Writes it in one transaction; call it once, after `populate`. Raises Refused on a database not populated by us.

    Usage ends at `log_begin(now, log_minutes)`: give `backfill` the same `minutes` and `now`, and no hour is missing or
    counted twice. About 170,000 usage rows for 2,000 customers.
    """
    random = Random(seed)
    now = now.astimezone(UTC)
    end = log_begin(now, log_minutes)
    begin = history_begin(end)
    # Of last night's bills none is made yet: that is for calculate-bills to do, and to explain.
    billed = end.replace(hour=0) - timedelta(days=1)
    month = month_of(billed)
    async with connection.transaction():
        order = await simulation_seed(connection)
        people = sorted(await _people(connection, month), key=lambda person: busy_order(person.customer_id, order))
        accounts = _invent_accounts(random, people, begin, end, billed)
        bills = await _write_bills(connection, accounts)
        await _write_fees(connection, accounts)
        await _write_escrow(connection, accounts)
        ledger = await _write_ledger(connection, accounts)
        usage = await _write_usage(connection, accounts, begin)
        await _write_balances(connection, random, people, accounts, now)
        await connection.execute(
            "UPDATE console.billing SET fees_from = %(month)s, closed_before = %(month)s", {"month": month}
        )
    return History(begin, end, usage, bills, ledger)


async def _people(connection: AsyncConnection[TupleRow], month: datetime) -> list[_Person]:
    """Who has an escrow, with the services and the keys as they were when `month` began."""
    cursor = await connection.execute(
        """
        SELECT customer_id, c.status, c.created_at, c.updated_at, c.max_monthly_usd_cents,
               array_agg(i.service_type ORDER BY i.service_type), array_agg(i.tier ORDER BY i.service_type),
               array_agg((SELECT count(*) FROM public.api_keys k
                          WHERE k.customer_id = c.customer_id AND k.service_type = i.service_type
                            AND k.created_at < %(month)s AND (k.revoked_at IS NULL OR k.revoked_at >= %(month)s))
                         ORDER BY i.service_type)
        FROM public.customers c JOIN public.service_instances i USING (customer_id)
        WHERE c.escrow_contract_id IS NOT NULL GROUP BY customer_id
        """,
        {"month": month},
    )
    return [
        _Person(
            *row[:5],
            services=tuple(
                ServiceSpan(service, tier, True, row[2], None, keys)
                for service, tier, keys in zip(*row[5:], strict=True)
            ),
        )
        for row in await cursor.fetchall()
    ]


def _fees(prices: PriceBook, person: _Person, begin: datetime, billed: datetime) -> dict[datetime, list[Fee]]:
    """The fees of the month that ended last, if it ended within the history, and the person was there for it."""
    ended = month_of(billed)
    month = month_of(ended - timedelta(days=1))
    found = prices.at(month)
    gone = person.status != "active" and person.updated_at < ended
    if ended <= begin or found is None or gone:
        return {}
    return {month: monthly_fees(found, person.services, 0, month)}


def _invent_accounts(
    random: Random, people: list[_Person], begin: datetime, end: datetime, billed: datetime
) -> list[Account]:
    prices = load_prices()
    shape = week_shape(begin, int((end - begin) / timedelta(hours=1)))
    total = total_weight(len(people))
    accounts: list[Account] = []
    for rank, person in enumerate(people):
        gone = person.updated_at if person.status != "active" else end
        services = tuple(one.service for one in person.services)
        consumer = Consumer(person.customer_id, rank, services, person.created_at, gone)
        usage = invent_usage(random, consumer, begin, shape, total)
        account = Account(person.customer_id, usage, _fees(prices, person, begin, billed))
        bill_usage(random, account, prices, begin, billed)
        accounts.append(account)
    _vary(random, [account for account in accounts if account.bills])
    for person, account in zip(people, accounts, strict=True):
        if person.status == "closed":
            retired(random, account, person.created_at, person.updated_at)
        else:
            settle(random, account, person.created_at)
    settled = [account for account in accounts if account.bills and account.bills[-1].status == "paid"]
    settled.sort(key=lambda account: -account.bills[-1].cents)
    for kind, account in zip(("credit", "refund"), choose(random, settled[:20], 2), strict=False):
        cents = min(250, account.bills[-1].cents)
        give_back(random, account, kind, cents, account.bills[-1].created_at + timedelta(hours=1))
    return accounts


def _vary(random: Random, billed: list[Account]) -> None:
    """Not every last bill is paid: 1.5 % are pending, 1 % failed, 0.3 % followed by a voided duplicate; 2 at least."""
    count = len(billed)
    unlucky = choose(random, billed, max(2, count * 15 // 1000) + max(2, count // 100) + max(2, count * 3 // 1000))
    pending, failed = max(2, count * 15 // 1000), max(2, count // 100)
    for nth, account in enumerate(unlucky):
        if nth < pending:
            account.bills[-1].status = "pending"
        elif nth < pending + failed:
            account.bills[-1].status = "failed"
        else:
            void_duplicate(random, account)


async def _write_bills(connection: AsyncConnection[TupleRow], accounts: list[Account]) -> int:
    return await copy_rows(
        connection,
        """
        COPY public.billing_records (id, customer_id, billing_period_start, billing_period_end, amount_usd_cents,
            status, type, tx_digest, created_at) FROM STDIN
        """,
        (
            (
                bill.id,
                one.customer_id,
                bill.begin,
                bill.end,
                bill.cents,
                bill.status,
                bill.type,
                bill.digest,
                bill.created_at,
            )
            for one in accounts
            for bill in one.bills
        ),
    )


async def _write_fees(connection: AsyncConnection[TupleRow], accounts: list[Account]) -> int:
    return await copy_rows(
        connection,
        """
        COPY console.monthly_fee (customer_id, month, service_type, item, detail, amount_usd, billing_record_id)
        FROM STDIN
        """,
        (
            (one.customer_id, month.date(), fee.service, fee.item, fee.detail, usd(fee.units), bill)
            for one in accounts
            for month, fee, bill in one.billed_fees
        ),
    )


async def _write_escrow(connection: AsyncConnection[TupleRow], accounts: list[Account]) -> int:
    return await copy_rows(
        connection,
        """
        COPY public.escrow_transactions (customer_id, tx_digest, tx_type, amount, asset_type, timestamp) FROM STDIN
        """,
        (
            (
                one.customer_id,
                entry.digest,
                _ESCROW_TYPES[entry.type],
                entry.coins,
                USDC if entry.mist is None else SUI,
                entry.at,
            )
            for one in accounts
            for entry in one.entries
        ),
    )


async def _write_ledger(connection: AsyncConnection[TupleRow], accounts: list[Account]) -> int:
    return await copy_rows(
        connection,
        """
        COPY public.ledger_entries (id, customer_id, type, amount_usd_cents, amount_sui_mist, sui_usd_rate_cents,
            tx_hash, description, invoice_id, created_at) FROM STDIN
        """,
        (
            (
                entry.id,
                one.customer_id,
                entry.type,
                entry.cents,
                entry.mist,
                entry.rate_cents,
                entry.digest,
                entry.description,
                entry.invoice,
                entry.at,
            )
            for one in accounts
            for entry in one.entries
        ),
    )


async def _write_usage(connection: AsyncConnection[TupleRow], accounts: list[Account], begin: datetime) -> int:
    """Encoded here, not by the driver: 170,000 rows through write_row would take a second more."""
    latest = max((row.hour for one in accounts for row in one.usage), default=0)
    times = [(begin + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:00:00+00") for hour in range(latest + 2)]
    written = 0
    async with (
        connection.cursor() as cursor,
        cursor.copy(
            """
            COPY public.usage_records (customer_id, service_type, request_count, bytes_transferred, window_start,
                window_end, charged_amount, billing_record_id) FROM STDIN
            """
        ) as copy,
    ):
        for one in accounts:
            await copy.write("".join(_usage_text(one, times)))
            written += len(one.usage)
    return written


def _usage_text(one: Account, times: list[str]) -> Iterator[str]:
    ids = [str(bill.id) for bill in one.bills]
    for row in one.usage:
        yield (
            f"{one.customer_id}\t{row.service}\t{row.requests}\t{row.bytes_sent}\t{times[row.hour]}\t"
            f"{times[row.hour + 1]}\t{_charged(row, ids)}\n"
        )


def _charged(row: Usage, ids: list[str]) -> str:
    """charged_amount in USD, and the bill; both null when open."""
    if row.bill is None:
        return "\\N\t\\N"
    return f"{row.units // 10**8}.{row.units % 10**8:08d}\t{ids[row.bill]}"


async def _write_balances(
    connection: AsyncConnection[TupleRow],
    random: Random,
    people: list[_Person],
    accounts: list[Account],
    now: datetime,
) -> None:
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    previous = (month - timedelta(days=1)).replace(day=1)
    rows: list[tuple[int, int, int, int, int | None]] = []
    for person, one in zip(people, accounts, strict=True):
        current, last = one.charged(month, now + timedelta(days=1)), one.charged(previous, month)
        limit = _limit(random, person.limit_cents, max(current, last))
        rows.append((one.customer_id, one.balance, current, last, limit))
    await _update_customers(connection, rows, month)


async def _update_customers(
    connection: AsyncConnection[TupleRow], rows: Iterable[tuple[int, int, int, int, int | None]], month: datetime
) -> None:
    await connection.execute(
        """
        CREATE TEMPORARY TABLE invented_balance (customer_id bigint, balance bigint, current bigint, last bigint,
            monthly_limit bigint) ON COMMIT DROP
        """
    )
    await copy_rows(connection, "COPY invented_balance FROM STDIN", rows)
    # updated_at stays: it says when a suspended customer was suspended.
    await connection.execute(
        """
        UPDATE public.customers c SET current_balance_usd_cents = b.balance, max_monthly_usd_cents = b.monthly_limit,
               current_month_charged_usd_cents = b.current, last_month_charged_usd_cents = b.last
        FROM invented_balance b WHERE c.customer_id = b.customer_id
        """
    )
    await connection.execute("UPDATE public.customers SET current_month_start = %s", (month.date(),))


def _limit(random: Random, limit: int | None, charged: int) -> int | None:
    """Raises a limit that was passed; one such customer in four stands just below its new one (93 to 99 %)."""
    if limit is None or charged <= limit:
        return limit
    if random.random() < 0.25:
        return charged * 100 // random.randint(93, 99)
    return next((step for step in _LADDER if step >= charged), None)
