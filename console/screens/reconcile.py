"""Log, hourly records and bills held against each other: the differences, and nothing else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from console.failures import word
from console.places import Place
from console.screens.base import DeckScreen
from console.words import dollars, moment
from db.errors import DatabaseError
from db.source import BillDifference, Difference, Source, Watermark, last_two_months
from widgets.facts import Fact, Facts
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Found:
    """One difference, and the place it opens."""

    between: str
    customer_id: int
    at: datetime
    what: str
    sentence: str
    opens: Place


class ReconcileScreen(DeckScreen[Watermark]):
    """Bills of this month and the one before against their records; then every hour of the log, the newest first."""

    topics: ClassVar[frozenset[str]] = frozenset()
    period: ClassVar[float | None] = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "Again", id="reconcile.again", tooltip="Check everything once more"),
    ]
    DEFAULT_CSS = "ReconcileScreen KeysetTable { height: 1fr; }\nReconcileScreen Static { padding: 0 1; }"

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__(source, place)
        self._found: list[Found] = []
        self._begun = False
        self.table: KeysetTable[Found] = KeysetTable(
            (
                Column("between", 15, lambda row: row.between),
                Column("customer", 10, lambda row: str(row.customer_id), align="right"),
                Column("from (UTC)", 16, lambda row: f"{row.at:%Y-%m-%d %H:%M}"),
                Column("what", 8, lambda row: row.what),
                Column("differs", 22, lambda row: (row.sentence, Tone.BAD), flex=True),
            ),
            lambda row: (row.between, row.customer_id, row.at, row.what),
            "No difference.",
            id="found",
        )

    def compose_body(self) -> ComposeResult:
        yield Facts(id="facts")
        yield self.table
        yield Static("", id="progress", markup=False)

    def on_mount(self) -> None:
        self.table.focus()

    @property
    def heading(self) -> str:
        return "reconciliation"

    async def load(self) -> Watermark:
        return await self.source.reconciliation.watermark()

    def paint(self, snapshot: Watermark) -> None:
        self.query_one("#facts", Facts).tell(_facts(snapshot))
        if not self._begun:
            self._begun = True
            self._found.clear()
            self.table.show((), complete=False)
            self.run_worker(partial(self._check, snapshot), group="check", exclusive=True)

    def action_again(self) -> None:
        self._begun = False
        self.reload()

    async def _check(self, mark: Watermark) -> None:
        try:
            bills = await self._check_bills()
            hours = await self._check_hours(mark)
            waiting = await self.source.reconciliation.uncounted_rows()
        except DatabaseError as error:
            self._tell(f"! it could not be checked to the end: {word(error).text}")
            return
        self.table.show(self._found, complete=True)
        self._tell(
            f"bills checked: {bills:,}, hours: {hours:,}, differences: {len(self._found):,}; "
            f"{waiting:,} log rows are not counted yet"
        )

    async def _check_bills(self) -> int:
        checked = 0
        for month in last_two_months():
            async for some in self.source.billing.check(month):
                checked += some.bills
                self._add(list(map(_of_bill, some.differences)))
                self._tell(f"checking bills of {month:%Y-%m}: {checked:,}")
        return checked

    async def _check_hours(self, mark: Watermark) -> int:
        newest = mark.now.replace(minute=0, second=0, microsecond=0)
        oldest = mark.oldest or newest
        hours = max(0, (newest - oldest) // _HOUR) + 1
        for number in range(hours):
            hour = await self.source.reconciliation.check(newest - number * _HOUR, rule=mark.rule)
            self._add(list(map(_of_hour, hour.differences)))
            self._tell(f"checking the log: {number + 1} of {hours} hours, back to {moment(hour.hour)}")
        return hours

    def _add(self, found: list[Found]) -> None:
        if found:
            self._found += found
            self.table.show(self._found, complete=False)

    def _tell(self, text: str) -> None:
        self.query_one("#progress", Static).update(text)

    def on_keyset_table_picked(self, event: KeysetTable.Picked[Any]) -> None:
        event.stop()
        self.go(event.row.opens.kind, event.row.opens.subject)


def _of_hour(row: Difference) -> Found:
    if row.logged_requests != row.metered_requests:
        sentence = f"log {row.logged_requests:,} requests, hourly {row.metered_requests:,}"
    else:
        sentence = f"log {row.logged_bytes:,} bytes, hourly {row.metered_bytes:,}"
    opens = Place("customer", str(row.customer_id))
    return Found("log and hourly", row.customer_id, row.hour, row.service, sentence, opens)


def _of_bill(row: BillDifference) -> Found:
    bill = row.bill
    sentence = f"hourly and fees {row.records_usd:,.8f} USD, bill {dollars(bill.cents)}"
    opens = Place("bill", str(bill.id))
    return Found("hourly and bill", bill.customer_id, bill.begin, str(bill.id)[:8], sentence, opens)


def _facts(mark: Watermark) -> list[Fact]:
    counted = "never caught up" if mark.age_s is None else f"caught up {mark.age_s:,.0f} s before"
    return [
        ("billable", mark.rule),
        ("metering", f"{counted} {moment(mark.now)}", Tone.WARN if mark.age_s is None else Tone.PLAIN),
        ("the log", f"is kept whole from {moment(mark.oldest)} on" if mark.oldest else "holds no whole hour yet"),
    ]
