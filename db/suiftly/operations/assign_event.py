"""Saying whose an escrow event of no known customer is; it comes onto the books as if that had been known."""

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused
from db.operations import Change, Preview
from db.suiftly.escrow.decision import Decision, OpenEvent
from db.suiftly.escrow.posting import Plan, carry_out, plan
from db.suiftly.money import exact_dollars, in_dollars
from db.suiftly.operations.of_event import CACHED, OfEvent, Waiting, version_of, words_of

_CUSTOMER: LiteralString = """
    SELECT customer_id AS id, status, wallet_address AS wallet, escrow_contract_id AS account
    FROM customers WHERE customer_id = %(customer)s
"""
# Who else it may be: by the account on record, by the wallet that made it, by events of it that are on the books.
_SOMEBODY_ELSE: LiteralString = """
    SELECT customer_id, 'the escrow account is on record for customer ' || customer_id
    FROM customers WHERE escrow_contract_id = %(account)s AND customer_id <> %(customer)s
    UNION ALL
    SELECT c.customer_id, 'the escrow account was made by the wallet of customer ' || c.customer_id
    FROM console.chain_event e JOIN customers c ON c.wallet_address = e.owner
    WHERE e.account_id = %(account)s AND c.customer_id <> %(customer)s
    UNION ALL
    SELECT customer_id, 'other events of the escrow account are on the books of customer ' || customer_id
    FROM console.chain_event WHERE account_id = %(account)s AND customer_id <> %(customer)s
    LIMIT 1
"""
_OF_ACCOUNT: LiteralString = """
    SELECT tx_digest, event_index FROM console.chain_event
    WHERE account_id = %(account)s AND outcome = 'unmatched' AND kind IS NOT NULL
"""
_MAKERS: LiteralString = """
    SELECT DISTINCT owner FROM console.chain_event WHERE account_id = %(account)s AND owner IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class _Customer:
    id: int
    status: str
    wallet: str
    account: str | None


@dataclass(frozen=True, slots=True)
class _Assignment:
    """What assigning does."""

    event: Waiting
    money: OpenEvent
    customer: _Customer
    plan: Plan
    decision: Decision
    later: int  # events of the account in other transactions
    makers: tuple[str, ...]  # wallets that made the account

    @property
    def version(self) -> str:
        return version_of(self.event, self.customer, self.plan.decisions)

    @property
    def goes_on_record(self) -> bool:
        """Whether the account becomes the customer's."""
        return self.customer.account is None

    @property
    def changes(self) -> tuple[str, ...]:
        outcome, money = self.decision.outcome.replace("_", " "), self.money
        lines = [f"unmatched → {outcome}"]
        if self.goes_on_record:
            lines.append(f"escrow account of customer {self.customer.id}: none → {money.account_id}")
        if self.decision.outcome == "mirrored":
            lines.append(f"escrow mirror: + {money.kind} of {exact_dollars(money.amount_usd)}")
            if self.decision.ledger is None and money.cents:
                lines.append(f"ledger: + {money.kind} of {in_dollars(money.cents)}")
        return tuple(lines)

    @property
    def consequences(self) -> tuple[str, ...]:
        id_, lines = self.customer.id, list(map(_sentence, self.decision.notes))
        with_it = sum(one.customer == id_ for one in self.plan.decisions) - 1
        if with_it:
            lines.append(f"{with_it} other event(s) of the transaction come with it.")
        if self.customer.status != "active":
            lines.append(f"Customer {id_} is {self.customer.status}.")
        if self.makers and self.customer.wallet not in self.makers:
            lines.append(f"The account was made by the wallet {self.makers[0]}, which is not the customer's.")
        if not self.goes_on_record:
            lines.append(f"Customer {id_} keeps the account {self.customer.account}: only this event is assigned.")
        elif self.later:
            lines.append(f"{self.later} other event(s) of the account follow with the next `opsdeck chain sync`.")
        return (*lines, CACHED)


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


@dataclass(frozen=True, slots=True)
class AssignEvent(OfEvent):
    """Puts an event onto the books of a customer; one without an account gets that of the event on record."""

    action = "assign-event"
    writes = (
        "UPDATE console.chain_event",
        "UPDATE public.customers",
        "INSERT public.escrow_transactions",
        "INSERT public.ledger_entries",
    )
    source = "unmatched"
    verb = "Assign"

    customer_id: int = 0

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.event.subject, f"customer:{self.customer_id}")

    @property
    def shell(self) -> str:
        return f"opsdeck chain assign {self.event} --customer {self.customer_id}"

    async def preview(self, connection: Connection) -> Preview:
        found = await self._assignment(connection, lock=False)
        return Preview(
            title=f"Assign {words_of(found.event)} to customer {self.customer_id}",
            verb=self.verb,
            changes=found.changes,
            consequences=found.consequences,
            version=found.version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        found = await self._assignment(connection, lock=True)
        self.expect(found.version)
        outcome, subject = found.decision.outcome, self.event.subject
        before: dict[str, Any] = {subject: {"outcome": found.event.outcome, "customer_id": None}}
        after: dict[str, Any] = {subject: {"outcome": outcome, "customer_id": self.customer_id}}
        if found.goes_on_record:
            account = found.money.account_id
            await connection.execute(
                "UPDATE customers SET escrow_contract_id = %s WHERE customer_id = %s", (account, self.customer_id)
            )
            before[f"customer:{self.customer_id}"] = {"escrow_contract_id": None}
            after[f"customer:{self.customer_id}"] = {"escrow_contract_id": account}
        found.decision.notes.append(f"assigned: {reason}")
        await carry_out(connection, found.plan)
        said = "is in conflict with the books of" if outcome == "conflict" else "is on the books of"
        return Change(before, after, message=f"The event {self.event} {said} customer {self.customer_id}: "
                      f"{outcome.replace('_', ' ')}")  # fmt: skip

    async def _assignment(self, connection: Connection, *, lock: bool) -> _Assignment:
        event = await self.waiting(connection, lock=lock)
        money = event.money
        parameters = {"customer": self.customer_id, "account": money.account_id}
        cursor = connection.cursor(row_factory=class_row(_Customer))
        await cursor.execute(_CUSTOMER + (" FOR NO KEY UPDATE" if lock else ""), parameters)
        customer = await cursor.fetchone()
        if customer is None:
            raise Refused(f"there is no customer {self.customer_id}; check the id with `opsdeck customers list`")
        other = await (await connection.execute(_SOMEBODY_ELSE, parameters)).fetchone()
        if other is not None:
            raise Refused(f"{other[1]}; correct that first, if it is wrong")
        same = await (await connection.execute(_OF_ACCOUNT, parameters)).fetchall()
        keys = {(digest, index) for digest, index in same if digest == money.tx_digest}
        # An account that goes on record brings all events of the transaction with it, as when the chain is read.
        given = keys if customer.account is None else {money.key}
        planned = await plan(connection, [money.tx_digest], dict.fromkeys(given, self.customer_id), lock=lock)
        makers = await (await connection.execute(_MAKERS, parameters)).fetchall()
        decision = next(decision for decision in planned.decisions if decision.event.key == money.key)
        return _Assignment(
            event, money, customer, planned, decision, len(same) - len(keys), tuple(owner for (owner,) in makers)
        )
