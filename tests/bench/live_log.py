"""What the benchmarks of the live log share: its rows, a console that follows them, and what its screen tells."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

from tests.bench.terminal import COLUMNS, LOCAL, ROWS, Link, Terminal

RATE, BURST = 10_000, 50_000
BURST_S, BURST_EVERY_S = 3.0, 10.0
WARM_UP_S = 8.0
KEYS = ((b"k", b"end follows"), (b"\x1b[F", b"\x1b[20;1H"))
"""`k` pauses, which the log says; `end` follows again, which writes a line in its middle: while it pauses none is."""
PATIENCE_S = 10.0
"""So long a key has time to show."""
_TIME = re.compile(rb"(\d\d):(\d\d):(\d\d)\.(\d{3})")
_FRAME_END = b"\x1b[?2026l"
_DAY = timedelta(days=1)


class Lags:
    """How old the newest row on the screen is whenever something arrives."""

    def __init__(self) -> None:
        self.samples: list[tuple[datetime, datetime]] = []  # when, and the time of that row
        self._frame = b""

    @property
    def seconds(self) -> list[float]:
        return [(at - newest).total_seconds() for at, newest in self.samples]

    def hear(self, text: bytes) -> None:
        if times := _TIME.findall(text):
            now = datetime.now(UTC)
            self.samples.append((now, max(_nearest(now, *map(int, time)) for time in times)))

    def hear_frames(self, _at: float, data: bytes) -> None:
        """For a program that marks its frames: half a frame may hold but its oldest rows."""
        *frames, self._frame = (self._frame + data).split(_FRAME_END)
        for frame in frames:
            self.hear(frame)

    def cells(self) -> Callable[[float, bytes], None] | None:
        """For a program that writes what it likes."""
        try:
            import pyte  # pyright: ignore
        except ImportError:
            return None
        screen = pyte.Screen(COLUMNS, ROWS)
        stream = pyte.ByteStream(screen)
        looked = 0.0

        def feed(at: float, data: bytes) -> None:
            nonlocal looked
            stream.feed(data)
            if at - looked > 0.1:  # a look takes milliseconds
                looked = at
                self.hear("\n".join(screen.display).encode())

        return feed


def _nearest(now: datetime, hour: int, minute: int, second: int, millisecond: int) -> datetime:
    """The moment of that time of day that is nearest to now."""
    at = now.replace(hour=hour, minute=minute, second=second, microsecond=1000 * millisecond)
    return min((at - _DAY, at, at + _DAY), key=lambda moment: abs(moment - now))


class Seen:
    """When a text reached the screen; 0 until then."""

    def __init__(self, text: bytes) -> None:
        self.at = 0.0
        self._text = text
        self._tail = b""

    def hear(self, at: float, data: bytes) -> None:
        if not self.at and self._text in self._tail + data:
            self.at = at
        self._tail = (self._tail + data)[-len(self._text) :]


def simulate(dsn: str, *options: str) -> subprocess.Popen[bytes]:
    """The simulated gateways, in a process of their own: until its input is closed, or its --seconds are over."""
    command = [sys.executable, "-m", "console", "simulate", "--until-eof", *options]
    quiet = subprocess.DEVNULL
    environment = os.environ | {"OPSDECK_DATABASE_URL": dsn}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)


@contextmanager
def rows_into_database(dsn: str, rate: int, bursts: bool) -> Generator[None]:
    """Log at that rate, now and then more."""
    running: list[subprocess.Popen[bytes]] = []
    done = threading.Event()

    def burst() -> None:
        while not done.wait(BURST_EVERY_S - BURST_S):
            running.append(simulate(dsn, "--rate", str(BURST - rate), "--seconds", str(BURST_S), "--seed", "2"))

    if rate:
        running.append(simulate(dsn, "--rate", str(rate)))
    bursting = threading.Thread(target=burst)
    if bursts:
        bursting.start()
    try:
        yield
    finally:
        done.set()
        if bursts:
            bursting.join()
        for process in running:
            process.communicate()  # closes its input, which ends it


@contextmanager
def console(dsn: str, link: Link = LOCAL, answers_cursor: bool = True) -> Generator[Terminal]:
    """The console, following the log."""
    command = [sys.executable, "-m", "console"]
    environment = {"OPSDECK_DATABASE_URL": dsn}
    with Terminal(command, link=link, answers_cursor=answers_cursor, environment=environment) as terminal:
        terminal.run(3)
        terminal.press(b"4")
        terminal.run(WARM_UP_S)
        yield terminal


def percentiles(values: list[float], unit: float = 1.0) -> str:
    """p50 and p95."""
    if len(values) < 2:
        return "-"
    return f"{median(values) * unit:.3g} / {quantiles(values, n=20)[-1] * unit:.3g}"
