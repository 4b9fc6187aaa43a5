"""The escrow events of the chain, brought into the inbox and onto the books: none is lost, none counts twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, LiteralString

from psycopg.rows import class_row

from db.chain.errors import ChainError, ErrorKind, not_configured
from db.chain.models import ChainEvent, EventPage, EventQuery, PageEnd, ServiceInfo
from db.chain.reader import ChainReader
from db.chain.values import ChainValueError, Digest
from db.database import Connection
from db.jobs.job import Job, Run
from db.suiftly.escrow.contract import EscrowChain, read_event
from db.suiftly.escrow.inbox import Arrival, take_again, take_in
from db.suiftly.escrow.initial_deposit import with_initial_deposits

STREAM = "escrow"
_LOCK_S = 60  # metering holds the rows of a customer while it counts a backlog

_ROW: LiteralString = """
    SELECT chain_id, target, cursor, covered FROM console.chain_cursor WHERE stream = %(stream)s
"""
_BEGIN: LiteralString = """
    INSERT INTO console.chain_cursor (stream, chain_id, covered, tip) VALUES (%(stream)s, %(chain_id)s, %(covered)s, 0)
    -- Nothing was read yet: the configuration may still say where to begin.
    ON CONFLICT (stream) DO UPDATE SET covered = excluded.covered WHERE chain_cursor.target IS NULL
"""
_MOVE: LiteralString = """
    UPDATE console.chain_cursor
    SET target = %(target)s, cursor = %(cursor)s, covered = %(covered)s, tip = greatest(tip, %(tip)s),
        tip_at = %(tip_at)s, updated_at = now()
    WHERE stream = %(stream)s
"""


@dataclass(frozen=True, slots=True)
class _Reached:
    """How far the inbox goes: everything up to the checkpoint `covered`, and behind it up to the node's cursor."""

    chain_id: str
    target: str | None
    cursor: bytes | None
    covered: int


class SyncChain(Job):
    """Chain events to console.chain_event, escrow_transactions and ledger_entries."""

    name: ClassVar[str] = "sync-chain"
    title: ClassVar[str] = "Mirror the escrow: events of the chain come onto the books"
    number: ClassVar[int] = 15
    every_s: ClassVar[int] = 60

    def __init__(self, chain: EscrowChain | None = None) -> None:
        self._chain = chain

    async def run(self, run: Run) -> str:
        """Reads to the tip. Raises ChainError where it has to stop; what came before that is on the books."""
        if self._chain is None:
            raise not_configured()
        again: Counter[str] = Counter()
        async with run.step() as connection:
            again = await take_again(connection)
        await run.report("looking again at events without a customer", **again)
        await _Reading(run, self._chain).to_the_tip()
        return _sentence(run)


class _Reading:
    """One run: where reading stands, and the begin of a transaction whose end is on the next page."""

    def __init__(self, run: Run, chain: EscrowChain) -> None:
        self._run = run
        self._chain = chain
        self._reader: ChainReader = chain.reader
        self._begun: tuple[ChainEvent, ...] = ()

    async def to_the_tip(self) -> None:
        info = await self._reader.service_info()
        reached = await self._where(info)
        if reached.chain_id != info.chain_id:
            raise ChainError(
                ErrorKind.WRONG_CHAIN,
                f"the books mirror the chain {reached.chain_id}, and the node is of {info.chain_id}",
            )
        self._run.begin("checkpoints", max(info.tip - reached.covered, 0))
        at = reached  # where the next page begins: ahead of what is kept while a transaction is incomplete
        while True:
            page, target, info, lost = await self._page(at)
            if lost:
                self._begun, at = (), replace(reached, cursor=None)
                continue
            complete, self._begun = _split(self._begun + page.events, page)
            covered = max(reached.covered, page.covered if page.covered is not None else -1)
            if self._begun:
                here = _behind(reached, target, complete)
            else:
                here = replace(reached, target=target, cursor=page.cursor, covered=covered)
            if here != reached:
                kept = await self._keep(reached, here, complete, info)
                if kept != here:  # somebody else did: on from there
                    self._begun, reached, at = (), kept, kept
                    continue
                reached = here
            if page.end is PageEnd.TIP:
                return
            if page.more and not page.events and page.cursor == at.cursor:
                raise ChainError(ErrorKind.OTHER, f"{target} does not get ahead of checkpoint {reached.covered}")
            at = replace(reached, target=target, cursor=page.cursor)

    async def _where(self, info: ServiceInfo) -> _Reached:
        """How far the inbox goes; the first run begins where the contract did."""
        parameters = {"stream": STREAM, "chain_id": info.chain_id, "covered": self._chain.start - 1}
        async with self._run.step() as connection:
            await connection.execute(_BEGIN, parameters)
            found = await _row(connection)
        return found or _Reached(info.chain_id, None, None, self._chain.start - 1)

    async def _page(self, at: _Reached) -> tuple[EventPage, str, ServiceInfo, bool]:
        """The next page, from the node or, for what that no longer has, from the archive.

        The last value tells that the cursor means nothing to the node (any more): read again from the checkpoint.
        """
        wanted = at.covered + 1
        info = await self._reader.service_info()
        from_archive = info.lowest > wanted
        if from_archive:
            await self._check_archive(wanted, info)
        target = str(self._reader.config.archive if from_archive else self._reader.config.target)
        cursor = at.cursor if at.target == target else None
        query = EventQuery(
            self._chain.modules,
            after=cursor,
            start=None if cursor else max(wanted, 0),
            before=info.lowest if from_archive else None,
        )
        try:
            page = await self._reader.events(query, archive=from_archive)
        except ChainError as error:
            if error.kind is not ErrorKind.INVALID or cursor is None:
                raise
            return EventPage((), None, None, PageEnd.LIMIT), target, info, True
        if from_archive:
            if page.end is PageEnd.TIP and (page.covered or 0) + 1 < info.lowest:
                raise _gap(wanted, info, f"the archive has come to {page.covered} only")
            if page.end in (PageEnd.BOUND, PageEnd.TIP):
                # All the node lacks has been read: the rest is the node's.
                page = replace(page, covered=info.lowest - 1, end=PageEnd.BOUND)
        else:
            # A node may pass over in silence what it dropped while the page was under way.
            now = await self._reader.service_info()
            if now.lowest > wanted:
                return EventPage((), None, None, PageEnd.LIMIT), target, now, True
        return page, target, info, False

    async def _check_archive(self, wanted: int, info: ServiceInfo) -> None:
        if not self._reader.has_archive:
            raise _gap(wanted, info, "no archive is configured")
        archive = await self._reader.service_info(archive=True)
        if archive.chain_id != info.chain_id:
            raise ChainError(ErrorKind.WRONG_CHAIN, f"the archive is of the chain {archive.chain_id}")
        if archive.lowest > wanted:
            raise _gap(wanted, info, f"the archive begins with {archive.lowest}")

    async def _keep(
        self, reached: _Reached, here: _Reached, events: Sequence[ChainEvent], info: ServiceInfo
    ) -> _Reached:
        """Puts the events onto the books and moves the cursor, in one transaction. Where an event cannot be read,
        those before its transaction are kept, and it is named. Returns where the inbox stands then."""
        arrivals, unreadable = await self._arrivals(events)
        arrivals = await with_initial_deposits(self._chain, arrivals)
        if unreadable is not None:
            here = _behind(reached, here.target, [arrival.event for arrival in arrivals])
        async with self._run.step() as connection:
            await connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{_LOCK_S}s",))
            found = await _row(connection, for_update=True)
            # A dry run rolled its first row back.
            if found is not None and found != reached and not self._run.dry_run:
                return found
            counts = await take_in(connection, arrivals)
            moved = {"target": here.target, "cursor": here.cursor, "covered": here.covered}
            await connection.execute(_MOVE, moved | {"tip": info.tip, "tip_at": info.tip_at, "stream": STREAM})
        progress = f"at checkpoint {here.covered:,}"
        await self._run.report(progress, done=here.covered - reached.covered, events=len(arrivals), **counts)
        if unreadable is not None:
            raise unreadable
        return here

    async def _arrivals(self, events: Sequence[ChainEvent]) -> tuple[list[Arrival], ChainError | None]:
        """What the events say, with the times of their checkpoints, up to the first that cannot be read."""
        times = await self._times(events)
        arrivals: list[Arrival] = []
        for event in events:
            try:
                arrivals.append(Arrival(event, read_event(event.type, event.fields), times[event.digest]))
            except ChainValueError as error:
                text = f"{event.type.name} (event {event.position.event} of transaction {event.digest}): {error}"
                before = [arrival for arrival in arrivals if arrival.event.digest != event.digest]
                return before, ChainError(ErrorKind.UNREADABLE, text)
        return arrivals, None

    async def _times(self, events: Sequence[ChainEvent]) -> dict[Digest, datetime]:
        digests = list(dict.fromkeys(event.digest for event in events))
        found = await self._reader.transactions(digests)
        times = {digest: transaction.at for digest, transaction in found.items() if transaction.at is not None}
        for digest in digests:
            if digest not in times:
                raise ChainError(ErrorKind.NOT_FOUND, f"no node tells the time of transaction {digest}")
        return times


def _split(events: tuple[ChainEvent, ...], page: EventPage) -> tuple[tuple[ChainEvent, ...], tuple[ChainEvent, ...]]:
    """The events of whole transactions, and those of a last one that may go on in the next page."""
    if not events or not page.more:
        return events, ()
    last = events[-1]
    if page.covered is not None and page.covered >= last.position.checkpoint:
        return events, ()
    cut = next(number for number, event in enumerate(events) if event.digest == last.digest)
    return events[:cut], events[cut:]


def _behind(reached: _Reached, target: str | None, events: Sequence[ChainEvent]) -> _Reached:
    """Where one stands behind the last of the events."""
    if not events:
        return reached
    covered = max(reached.covered, events[-1].covered if events[-1].covered is not None else -1)
    return replace(reached, target=target, cursor=events[-1].cursor, covered=covered)


def _gap(wanted: int, info: ServiceInfo, why: str) -> ChainError:
    return ChainError(
        ErrorKind.GAP,
        f"checkpoints {wanted} to {info.lowest - 1} were not read, and the node begins with {info.lowest}; {why}. "
        "Nothing is skipped: configure an archive that has them, or start_checkpoint where nothing was read yet",
    )


async def _row(connection: Connection, *, for_update: bool = False) -> _Reached | None:
    cursor = connection.cursor(row_factory=class_row(_Reached))
    await cursor.execute(_ROW + (" FOR UPDATE" if for_update else ""), {"stream": STREAM})
    return await cursor.fetchone()


def _sentence(run: Run) -> str:
    counts = run.counts
    if not counts["events"] and not counts["mirrored"]:
        return "nothing new on the chain"
    verb = "would mirror" if run.dry_run else "mirrored"
    text = f"{verb} {counts['mirrored']:,} of {counts['events']:,} events"
    for name, words in (
        ("already_recorded", "on the books already"),
        ("noted", "no money"),
        ("unmatched", "of no known customer"),
        ("conflict", "in conflict with the books"),
        ("cents_below", "with a rest below a cent"),
    ):
        if counts[name]:
            text += f"; {counts[name]:,} {words}"
    return text
