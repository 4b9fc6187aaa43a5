"""The writer: makes the simulated gateways' log arrive as Fluentd delivers it, at a given rate."""

import asyncio
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic
from typing import Final

import psycopg

from db.errors import Refused, Uncertain, translated
from db.suiftly.simulation.fleet import Fleet, open_fleet
from db.suiftly.simulation.gateways import Gateway
from db.suiftly.simulation.lines import Block, stamp
from db.suiftly.simulation.outbox import Outbox, ensure_partitions

_FLUSH_SECONDS: Final = 1.0
_REFRESH_SECONDS: Final = 2.0
# How far behind a gateway may fall before it drops rows, as its buffer does in life.
_BUFFER_SECONDS: Final = 30.0
# One batch in fifty is held back 5 to 90 s, one in two thousand is from up to two hours ago.
_HELD: Final = 0.02
_HELD_SECONDS: Final = (5.0, 90.0)
_OLD: Final = 0.0005
_OLD_SECONDS: Final = (300.0, 7_200.0)
_OLD_MOST_ROWS: Final = 200
_STOP_SECONDS: Final = 0.7


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been written since the start. `requests` is the sum of `repeat`; one batch is one transaction.

    `late_batches` arrived 5 s or more after their rows' time. `uncertain` batches (with `uncertain_rows`) got no answer
    to their commit: they are in none of the other counts, and may be in the log or not. `dropped` rows were
    given up because the database was away longer than the gateways' buffers last.
    """

    rows: int = 0
    batches: int = 0
    requests: int = 0
    late_batches: int = 0
    uncertain: int = 0
    uncertain_rows: int = 0
    dropped: int = 0
    reconnects: int = 0
    seconds: float = 0.0


async def simulate(
    dsn: str,
    rate: float,
    seconds: float | None,
    seed: int,
    *,
    stop: asyncio.Event | None = None,
    report: Callable[[Progress], None] | None = None,
    stuck: str | None = None,
) -> Progress:
    """Writes `rate` rows a second in the mean for `seconds` (None: until `stop`), and says what it wrote.

    After `seconds` what was held back is written at once, so that the rows are `rate * seconds`. After `stop` it
    returns within a second, and what the gateways still held is lost, as when they are switched off. `report` is
    called about once a second. Raises Refused on a database we did not populate, Unavailable when it cannot connect
    at first; a connection lost later is made again. `stuck`: the label of a gateway that applies no newer vault.
    """
    if not rate > 0 or not math.isfinite(rate):
        raise Refused("the rate must be a positive number of rows a second")
    stopped = stop or asyncio.Event()
    simulation = _Simulation(dsn, rate, seconds, Random(seed), report=report, stuck=stuck)
    writing = asyncio.create_task(simulation.run(stopped))
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():
            await asyncio.wait({writing}, timeout=_STOP_SECONDS)
        if not writing.done():  # the server does not answer
            writing.cancel()
            await asyncio.wait({writing}, timeout=0.2)
        if writing.done() and not writing.cancelled():
            writing.result()
    finally:
        stopping.cancel()
        writing.cancel()
        await asyncio.wait({writing, stopping}, timeout=0.2)
    return simulation.progress


class _Simulation:
    """The state of one run. Times are `monotonic()`; rows carry wall-clock time."""

    def __init__(
        self,
        dsn: str,
        rate: float,
        seconds: float | None,
        random: Random,
        *,
        report: Callable[[Progress], None] | None,
        stuck: str | None,
    ) -> None:
        self.progress = Progress()
        self._outbox = Outbox(dsn)
        self._rate = rate
        self._seconds = seconds
        self._random = random
        self._report = report
        self._stuck = stuck
        self._held: list[tuple[float, int, Block]] = []
        self._issued = 0.0
        self._owed: list[float] = []
        self._flushed: list[datetime] = []
        self._started = self._refreshed = self._reported = self._ensured = monotonic()

    async def run(self, stopped: asyncio.Event) -> None:
        try:
            with translated():
                fleet = await open_fleet(await self._outbox.open(), self._random, monotonic(), stuck=self._stuck)
                await self._ensure_partitions()
                await self._loop(fleet, stopped)
        finally:
            await self._outbox.close()

    async def _loop(self, fleet: Fleet, stopped: asyncio.Event) -> None:
        """One gateway is flushed per tick, so that each is flushed once a second and they take turns."""
        tick = _FLUSH_SECONDS / len(fleet.gateways)
        self._started = monotonic()
        self._owed = [0.0] * len(fleet.gateways)
        self._flushed = [datetime.now(UTC)] * len(fleet.gateways)
        turn = 0
        while not stopped.is_set():
            elapsed = monotonic() - self._started
            if self._seconds is not None and elapsed >= self._seconds:
                await self._finish(fleet, stopped)
                break
            await self._look(fleet)
            self._accrue(fleet, elapsed)
            await self._flush(fleet, turn % len(fleet.gateways), may_wait=True)
            await self._release(monotonic())
            turn += 1
            self._tell(monotonic())
            pause = self._started + turn * tick - monotonic()
            # Behind by more than a second: skip turns instead of running after them.
            turn += max(0, int((-pause - _FLUSH_SECONDS) / tick))
            await asyncio.sleep(max(0.0, pause))
        self._tell(monotonic(), always=True)

    async def _look(self, fleet: Fleet) -> None:
        """Weather, configuration every two seconds, partitions every half hour."""
        at = monotonic()
        fleet.advance(at)
        try:
            if at - self._refreshed >= _REFRESH_SECONDS:
                self._refreshed = at
                await fleet.refresh(await self._outbox.ready(), at)
            if at - self._ensured >= 1_800:
                await self._ensure_partitions()
        except psycopg.OperationalError:
            await self._outbox.close()

    async def _ensure_partitions(self) -> None:
        self._ensured = monotonic()
        now = datetime.now(UTC)
        await ensure_partitions(await self._outbox.ready(), now - timedelta(hours=3), now + timedelta(hours=2))

    def _due(self, elapsed: float) -> float:
        """Rows that should exist after `elapsed` seconds: the mean rate with waves of 47 s and 7 s, up to 30 % apart.

        The waves fade out towards the end of a limited run, so that its total is exact.
        """
        waves = 1.0 - math.cos(elapsed * math.tau / 47) + 0.2 * (1 - math.cos(elapsed * math.tau / 7))
        if self._seconds is not None:
            waves *= min(1.0, max(0.0, (self._seconds - elapsed) / 10))
        return self._rate * (elapsed + waves)

    def _accrue(self, fleet: Fleet, elapsed: float) -> None:
        due = self._due(elapsed)
        fresh, self._issued = due - self._issued, due
        for nth, share in enumerate(fleet.shares(datetime.now(UTC))):
            owed = self._owed[nth] + fresh * share
            most = max(1.0, self._rate * share * _BUFFER_SECONDS)
            if owed > most:
                self.progress = replace(self.progress, dropped=self.progress.dropped + int(owed - most))
            self._owed[nth] = min(owed, most)

    async def _flush(self, fleet: Fleet, nth: int, *, may_wait: bool) -> None:
        """Sends what gateway `nth` logged since its last flush, or holds it back as a slow forwarder does."""
        count = int(self._owed[nth])
        now = datetime.now(UTC)
        since, self._flushed[nth] = self._flushed[nth], now
        if count <= 0:
            return
        self._owed[nth] -= count
        gateway, dice = fleet.gateways[nth], self._random.random()
        if may_wait and dice < _OLD:
            count -= await self._send_old(fleet, gateway, min(count, _OLD_MOST_ROWS), now)
            if count == 0:
                return
        block = stamp(self._random, fleet.lines(gateway, count), since, (now - since).total_seconds())
        if may_wait and dice > 1 - _HELD:
            due = monotonic() + self._random.uniform(*_HELD_SECONDS)
            heapq.heappush(self._held, (due, self.progress.batches, block))
        else:
            await self._send(block, late=False)

    async def _send_old(self, fleet: Fleet, gateway: Gateway, count: int, now: datetime) -> int:
        began = now - timedelta(seconds=self._random.uniform(*_OLD_SECONDS))
        lines = fleet.old_lines(gateway, count, began)
        if lines:
            await self._send(stamp(self._random, lines, began, _FLUSH_SECONDS), late=True)
        return len(lines)

    async def _release(self, until: float) -> None:
        while self._held and self._held[0][0] <= until:
            await self._send(heapq.heappop(self._held)[2], late=True)

    async def _finish(self, fleet: Fleet, stopped: asyncio.Event) -> None:
        """The end of a limited run: the rest of its rows, to the last one, and what was held back."""
        self._accrue(fleet, self._seconds or 0.0)
        whole = sum(self._owed)
        for nth, owed in enumerate(self._owed):
            whole -= owed
            self._owed[nth] = round(owed + whole) - round(whole)
        for nth in range(len(self._owed)):
            await self._flush(fleet, nth, may_wait=False)
        while self._held and not stopped.is_set():
            await self._release(math.inf)

    async def _send(self, block: Block, *, late: bool) -> None:
        before = self.progress
        try:
            await self._outbox.send(block)
        except Uncertain:
            self.progress = replace(
                before, uncertain=before.uncertain + 1, uncertain_rows=before.uncertain_rows + block.rows
            )
            return
        self.progress = replace(
            before,
            rows=before.rows + block.rows,
            batches=before.batches + 1,
            requests=before.requests + block.requests,
            late_batches=before.late_batches + late,
        )

    def _tell(self, at: float, *, always: bool = False) -> None:
        if always or at - self._reported >= 1.0:
            self._reported = at
            self.progress = replace(self.progress, seconds=at - self._started, reconnects=self._outbox.reconnects)
            if self._report is not None:
                self._report(self.progress)
