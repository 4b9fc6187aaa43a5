"""Putting the payment of a bill on record."""

from dataclasses import dataclass, replace
from typing import Self

from db.chain.units import Cents
from db.chain.values import ChainValueError, Digest
from db.database import Connection, Database
from db.errors import DatabaseError, Refused, Stale
from db.suiftly.escrow.contract import EscrowChain
from db.suiftly.escrow.payment_check import PaymentCheck, Verdict, check_payment
from db.suiftly.money import in_dollars
from db.suiftly.operations.asks_chain import AsksChain
from db.suiftly.operations.move_bill import Bill, MoveBill


@dataclass(frozen=True, slots=True)
class PayBill(MoveBill, AsksChain):
    """Puts the payment of a charge on record: the digest of its transaction, the ledger, the customer's money.

    Where a chain is configured the transaction must have succeeded and name this customer's account and this amount.
    What no node can tell is unknown, and taken only when the operator says so: `unverified`.
    """

    action = "pay-bill"
    sources = ("pending", "failed")
    target = "paid"
    verb = "Pay"
    writes = ("UPDATE public.billing_records", "INSERT public.ledger_entries", "UPDATE public.customers")

    digest: str = ""
    period_days: int = 0  # of the spending limit, as in the price book
    unverified: bool = False
    check: PaymentCheck | None = None

    async def informed(self, database: Database, chain: EscrowChain | None) -> Self:
        """With what the chain says of the transaction."""
        try:
            digest = str(self._transaction)
            async with database.reading() as connection:
                found = await MoveBill.read(self, connection)
        except DatabaseError:  # as the operation will find out itself
            return replace(self, check=None)
        amount = Cents(found.cents)
        check = await check_payment(database, chain, customer=self.customer_id, amount=amount, digest=digest)
        return replace(self, check=check)

    @property
    def shell(self) -> str:
        return f"opsdeck billing pay {self.bill} --digest {self.digest}{' --unverified' if self.unverified else ''}"

    @property
    def _verdict(self) -> str:
        """For the record."""
        if self.check is None:
            return "not checked on chain"
        if self.check.verdict is Verdict.UNKNOWN:
            return f"not verified: {self.check.sentence}"
        return self.check.sentence

    @property
    def told(self) -> str:
        return f"; {self._verdict}"

    @property
    def limit_days(self) -> int:
        return self.period_days

    @property
    def _transaction(self) -> Digest:
        try:
            return Digest.parse(self.digest)
        except ChainValueError as error:
            raise Refused(str(error)) from error

    async def read(self, connection: Connection) -> Bill:
        found = await MoveBill.read(self, connection)
        await self._confirm(connection, found)
        if found.period_over:
            raise Refused("a new month has begun: run `opsdeck jobs run monthly-reset`, so that this counts to it")
        if not await self._mirrored(connection, found) and found.balance is not None and found.balance < found.cents:
            raise Refused(
                f"the balance on record is {in_dollars(found.balance)}, less than the bill of "
                f"{in_dollars(found.cents)}: put the deposit on record first"
            )
        return found

    async def _confirm(self, connection: Connection, found: Bill) -> None:
        """Raises Refused unless the chain says so too, or cannot say and the operator does."""
        check = self.check
        if check is None or check.verdict is Verdict.NOT_CHECKED:
            return
        if check.amount != Cents(found.cents):
            raise Stale("the bill was changed while the chain was asked; look at it again")
        if check.verdict is Verdict.MISMATCH:
            raise Refused(f"the chain does not say that this bill was paid: {check.sentence}")
        if check.verdict is Verdict.UNKNOWN and not self.unverified:
            raise Refused(
                f"whether it was paid is unknown: {check.sentence}. The bill stays as it is; if you know it otherwise, "
                "say so with --unverified"
            )
        if check.verdict is Verdict.VERIFIED:
            cursor = await connection.execute(
                """SELECT count(*) FROM billing_records
                   WHERE tx_digest = ANY(%s) AND customer_id = %s AND amount_usd_cents = %s AND type = 'charge'
                     AND status = 'paid' AND id <> %s""",
                (list(self._transaction.spellings), self.customer_id, found.cents, self.bill),
            )
            row = await cursor.fetchone()
            if row and row[0] >= check.charges:
                raise Refused(f"{check.sentence}, and it pays {row[0]} other bill(s) already")

    async def _mirrored(self, connection: Connection, found: Bill) -> bool:
        """Whether the ledger has this charge already, as when the chain was read before: one that no bill took yet."""
        cursor = await connection.execute(
            """SELECT count(*) > (SELECT count(*) FROM billing_records b
                                  WHERE b.tx_digest = ANY(%(digests)s) AND b.customer_id = %(customer)s
                                    AND b.type = 'charge' AND b.status = 'paid' AND b.amount_usd_cents = %(cents)s
                                    AND NOT EXISTS (SELECT FROM ledger_entries own
                                                    WHERE own.customer_id = b.customer_id
                                                      AND own.invoice_id = b.id::text))
               FROM ledger_entries
               WHERE tx_hash = ANY(%(digests)s) AND customer_id = %(customer)s AND type = 'charge'
                 AND amount_usd_cents = -%(cents)s
                 AND NOT EXISTS (SELECT FROM console.ledger_reversal r WHERE r.entry_id = ledger_entries.id)
                 AND (invoice_id IS NULL OR invoice_id = %(bill)s)""",
            {
                "digests": list(self._transaction.spellings),
                "customer": self.customer_id,
                "cents": found.cents,
                "bill": str(self.bill),
            },
        )
        row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def consequences(self, connection: Connection, found: Bill) -> tuple[str, ...]:
        lines = [f"Digest {self._transaction}: {self._verdict}."]
        cursor = await connection.execute(
            "SELECT count(*) FROM billing_records WHERE tx_digest = ANY(%s)", (list(self._transaction.spellings),)
        )
        row = await cursor.fetchone()
        if row and row[0]:
            lines.append(f"{row[0]} other bill(s) carry the same digest.")
        if await self._mirrored(connection, found):
            lines.append("The ledger has this charge already; no second entry is written.")
        elif found.balance is not None:
            left = in_dollars(found.balance - found.cents)
            lines.append(f"The ledger gets a charge; the balance goes from {in_dollars(found.balance)} to {left}.")
        return tuple(lines)

    async def move(self, connection: Connection, found: Bill) -> tuple[dict[str, object], dict[str, object]]:
        digest, mirrored = str(self._transaction), await self._mirrored(connection, found)
        await connection.execute(
            "UPDATE billing_records SET status = 'paid', tx_digest = %s WHERE id = %s", (digest, self.bill)
        )
        after: dict[str, object] = {
            f"bill:{self.bill}": {"status": "paid", "tx_digest": digest, "chain": self._verdict}
        }
        if mirrored:
            return {}, after
        await connection.execute(
            """INSERT INTO ledger_entries (customer_id, type, amount_usd_cents, tx_hash, description, invoice_id)
               VALUES (%s, 'charge', %s, %s, %s, %s)""",
            (self.customer_id, -found.cents, digest, f"Usage {found.begin:%Y-%m-%d} to {found.end:%Y-%m-%d}",
             str(self.bill)),
        )  # fmt: skip
        await connection.execute(
            """UPDATE customers
               SET current_balance_usd_cents = current_balance_usd_cents - %(cents)s,
                   current_month_charged_usd_cents = coalesce(current_month_charged_usd_cents, 0) + %(cents)s
               WHERE customer_id = %(customer)s""",
            {"cents": found.cents, "customer": self.customer_id},
        )
        if found.balance is None:
            return {}, after
        subject = f"customer:{self.customer_id}"
        after[subject] = {"current_balance_usd_cents": found.balance - found.cents}
        return {subject: {"current_balance_usd_cents": found.balance}}, after
