"""The tables of the history, written by COPY from accounts that were invented."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from datetime import date, datetime, timedelta
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from db.suiftly.pricing import usd
from db.suiftly.simulation.accounts import SUI, USDC, Account
from db.suiftly.simulation.copying import copy_rows
from db.suiftly.simulation.invented_accounts import Closing
from db.suiftly.simulation.usage import Usage

_ESCROW_TYPES: Final = {"deposit": "deposit", "withdrawal": "withdraw", "charge": "charge", "credit": "credit"}


async def write_bills(connection: AsyncConnection[TupleRow], accounts: Sequence[Account]) -> int:
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


async def write_fees(connection: AsyncConnection[TupleRow], accounts: Sequence[Account]) -> int:
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


async def write_escrow(connection: AsyncConnection[TupleRow], accounts: Sequence[Account]) -> int:
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


async def write_ledger(connection: AsyncConnection[TupleRow], accounts: Sequence[Account]) -> int:
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


async def write_usage(connection: AsyncConnection[TupleRow], accounts: Sequence[Account], begin: datetime) -> int:
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


async def write_closings(connection: AsyncConnection[TupleRow], closings: Iterable[Closing], month: date) -> None:
    await connection.execute(
        """
        CREATE TEMPORARY TABLE invented_balance (customer_id bigint, balance bigint, current bigint, last bigint,
            monthly_limit bigint) ON COMMIT DROP
        """
    )
    await copy_rows(connection, "COPY invented_balance FROM STDIN", map(astuple, closings))
    # updated_at stays: it says when a suspended customer was suspended.
    await connection.execute(
        """
        UPDATE public.customers c SET current_balance_usd_cents = b.balance, max_monthly_usd_cents = b.monthly_limit,
               current_month_charged_usd_cents = b.current, last_month_charged_usd_cents = b.last
        FROM invented_balance b WHERE c.customer_id = b.customer_id
        """
    )
    await connection.execute("UPDATE public.customers SET current_month_start = %s", (month,))
