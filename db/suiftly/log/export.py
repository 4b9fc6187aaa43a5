"""The request log written to a file: a span of it, whole or not at all, readable by its owner alone, on record.

Client addresses are masked. Whoever needs them says why, and that is on record before the first one is read.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid4

from db import audit
from db.audit import Actor, Entry
from db.changes import notify
from db.database import Database
from db.errors import Denied, Refused
from db.moments import rfc3339
from db.operations import checked_reason
from db.perform import perform
from db.suiftly.log.explain import mask_ip
from db.suiftly.log.export_file import Disguise, Format, usable, whole_or_nothing
from db.suiftly.log.filter import RequestFilter
from db.suiftly.log.record import as_record
from db.suiftly.log.requests import Cursor, Requests
from db.suiftly.operations.release_addresses import ReleaseAddresses

_AT_ONCE = 500  # rows written before others have their turn: some 10 ms


@dataclass(frozen=True, slots=True)
class Export:
    """What to write where: the rows that the cursor's filter lets through, from `start` until before `end`.

    `anonymise` puts pseudonyms for customers and keys, the same within this file and never again. `addresses` leaves
    client addresses readable, which wants a reason.
    """

    cursor: Cursor
    path: Path
    format: Format
    start: datetime
    end: datetime
    anonymise: bool = False
    addresses: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export is: rows written, the time it is at, and the share of the span that is behind it."""

    rows: int
    reached: datetime
    share: float


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. `operation_id` is its row in the audit record; without one `not_on_record` says why."""

    path: str
    format: str
    rows: int
    start: datetime
    end: datetime
    filter: str
    client_addresses: str  # masked, readable
    identities: str  # as logged, pseudonyms
    operation_id: UUID | None = None
    not_on_record: str = ""

    @property
    def sentence(self) -> str:
        """All of it in words; the number in the record by its beginning."""
        count = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        names = "customers and keys are pseudonyms that only this file shares" if self.identities != "as logged" else ""
        record = (
            f"not on record: {self.not_on_record}"
            if self.not_on_record
            else f"on record as {str(self.operation_id)[:8]}"
        )
        told = (f"{count} in {self.path}", f"client addresses are {self.client_addresses}", names, record)
        return "; ".join(part for part in told if part)


async def export(database: Database, order: Export, *, actor: Actor, tell: Tell) -> Exported:
    """Writes the file. Raises Refused when it cannot be written, or not on record with addresses in it.

    The file gets its name once its last row is there and the export on record; whatever ends this before leaves none.
    """
    if order.anonymise and order.addresses:
        raise Refused("an anonymised export has no client addresses; leave one of the two out")
    if order.start >= order.end:
        raise Refused(f"there is no time between {rfc3339(order.start)} and {rfc3339(order.end)}")
    path = usable(order.path)
    done = Exported(
        path=os.fsencode(path).decode(errors="replace"),
        format=order.format.value,
        rows=0,
        start=order.start,
        end=order.end,
        filter=" ".join(_words(order.cursor.filter)),
        client_addresses="readable" if order.addresses else "masked",
        identities="pseudonyms" if order.anonymise else "as logged",
    )
    record = _Record(database, actor, order)
    with whole_or_nothing(path) as file:
        await record.release_addresses(done)
        rows = await _write(Requests(database), order, file, tell)
        return await record.exported(replace(done, rows=rows))


async def _write(requests: Requests, order: Export, file: TextIO, tell: Tell) -> int:
    disguise = Disguise() if order.anonymise else None
    rows = 0
    begun: datetime | None = None  # maybe long after what was asked for
    file.write(order.format.opening)
    async for page in requests.within(order.cursor, order.start, order.end):
        for first in range(0, len(page.rows), _AT_ONCE):
            some = page.rows[first : first + _AT_ONCE]
            records = [as_record(row, reveal_ip=order.addresses) for row in some]
            if disguise is not None:
                records = [disguise.over(record) for record in records]
            file.write(order.format.text(records, first=rows == 0))
            rows += len(some)
            await asyncio.sleep(0)
        if begun is None and page.rows:
            begun = page.rows[0].timestamp
        share = 1.0 if page.complete else (page.reached - begun) / (order.end - begun) if begun else 0.0
        tell(Progress(rows, page.reached, share))
    file.write(order.format.closing)
    file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())
    return rows


def _words(wanted: RequestFilter) -> tuple[str, ...]:
    """The filter as typed; an address in it is masked like those in the rows."""
    words = replace(wanted, ip=None).chips()
    if wanted.ip is not None:
        words = (*words, f"{'!' * ('ip' in wanted.negated)}ip:{mask_ip(wanted.ip)}")
    return words


@dataclass(frozen=True, slots=True)
class _Record:
    """What of an export goes on record."""

    database: Database
    actor: Actor
    order: Export

    async def release_addresses(self, done: Exported) -> None:
        """Before the first address is read. Raises Refused when that is not on record, or takes a second person."""
        if not self.order.addresses:
            return
        reason, wanted = checked_reason(self.order.reason), self.order.cursor.filter
        release = ReleaseAddresses(
            done.path, _words(wanted), self.order.start, self.order.end, self._named, _facts(done)
        )
        receipt = await perform(self.database, release, actor=self.actor, reason=reason)
        if not receipt.done:
            raise Refused(f"client addresses are exported on record only. {receipt.message} Asked for: {release.shell}")

    async def exported(self, done: Exported) -> Exported:
        """Once all rows are written. Who may not write the record may export all the same, and is told."""
        facts = _facts(done) | {"rows": done.rows}
        try:
            message = f"Exported {done.rows:,} rows"
            return replace(done, operation_id=await self._add(message, facts))
        except Denied as error:
            return replace(done, not_on_record=str(error))

    async def _add(self, message: str, facts: dict[str, Any]) -> UUID:
        entry = Entry(
            operation_id=uuid4(),
            action="export-requests",
            subjects=self._named,
            actor=self.actor,
            reason=checked_reason(self.order.reason) if self.order.reason else "",
            outcome="done",
            message=message,
            after={"export": facts},
        )
        async with self.database.writing() as connection:
            await audit.write(connection, entry)
            await notify(connection, "audit")
        return entry.operation_id

    @property
    def _named(self) -> tuple[str, ...]:
        """Whom the filter names; 0 stands for none."""
        wanted = self.order.cursor.filter
        named = (("customer", wanted.customer), ("key", wanted.key))
        return tuple(
            f"{kind}:{value}" for kind, values in named if kind not in wanted.negated for value in values if value
        )


def _facts(done: Exported) -> dict[str, Any]:
    return {
        "file": done.path,
        "format": done.format,
        "filter": done.filter,
        "from": rfc3339(done.start),
        "to": rfc3339(done.end),
        "client_addresses": done.client_addresses,
        "identities": done.identities,
    }
