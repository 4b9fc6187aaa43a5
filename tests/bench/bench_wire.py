"""What the live log writes to a terminal, what it costs, and how soon a key shows, at 10,000 rows a second.

    python3 -m tests.bench.bench_wire --seconds 20 --toolong path/to/tl --lnav lnav
    python3 -m tests.bench.bench_wire --only long --minutes 8

toolong and lnav follow the same rows in a file, each alone; one that is not given is left out. How far they are
behind is read from their screen, for which pyte must be importable.
"""

import argparse
import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from db.source import invent_business
from tests.bench.long_run import Received, Tail, empty_log, followed, tell
from tests.bench.measure import fresh_server, migrated, place
from tests.bench.terminal import COLUMNS, LOCAL, ROWS, Link, Span, Terminal

RATE, BURST = 10_000, 50_000
_BURST_S, _BURST_EVERY_S = 3.0, 10.0
_LONG_BURST_S = 10.0
_WARM_UP_S = 8.0
_TIME = re.compile(rb"(\d\d):(\d\d):(\d\d)\.(\d{3})")
_DAY_S = 86_400
_LINKS = {
    "local": (LOCAL, True),
    "local, no replies": (LOCAL, False),
    "64 KiB/s, 150 ms": (Link(64 << 10, 0.15), True),
    "64 KiB/s, 150 ms, no replies": (Link(64 << 10, 0.15), False),
    "8 KiB/s, 150 ms": (Link(8 << 10, 0.15), True),
    "8 KiB/s, 150 ms, no replies": (Link(8 << 10, 0.15), False),
}


class Lags:
    """How old the newest row on the screen is whenever something arrives."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def hear(self, text: bytes) -> None:
        if times := [int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in _TIME.findall(text)]:
            now = datetime.now(UTC)
            at = now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6
            self.seconds.append(min((at - then + _DAY_S / 2) % _DAY_S - _DAY_S / 2 for then in times))

    def lines(self) -> Callable[[float, bytes], None]:
        """For a program that writes whole lines."""
        return lambda _at, data: self.hear(data)

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


@contextmanager
def rows_into_database(dsn: str, rate: int, bursts: bool) -> Generator[None]:
    """The simulated gateways, in processes of their own."""
    running: list[subprocess.Popen[bytes]] = []
    done = threading.Event()

    def simulate(*more: str) -> None:
        command = [sys.executable, "-m", "console", "simulate", "--until-eof", *more]
        quiet = subprocess.DEVNULL
        environment = os.environ | {"OPSDECK_DATABASE_URL": dsn}
        running.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet))

    def burst() -> None:
        while not done.wait(_BURST_EVERY_S - _BURST_S):
            simulate("--rate", str(BURST - rate), "--seconds", str(_BURST_S), "--seed", "2")

    if rate:
        simulate("--rate", str(rate))
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
def rows_into_file(path: Path, lines: list[str], rate: int, bursts: bool) -> Generator[None]:
    """The same rows with the time of their writing, fifty times a second."""
    done = threading.Event()

    def write() -> None:
        began, written, number = time.monotonic(), 0.0, 0
        with path.open("w", encoding="utf-8") as file:
            while not done.wait(0.02):
                now = time.monotonic() - began
                many = bursts and now % _BURST_EVERY_S > _BURST_EVERY_S - _BURST_S
                count = int((now - written) * (BURST if many else rate))
                written = now
                stamp = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z "
                file.write("".join(stamp + lines[(number + n) % len(lines)] for n in range(count)))
                file.flush()
                number += count

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def some_rows(dsn: str) -> list[str]:
    """Lines of `opsdeck tail` without their times."""
    command = [sys.executable, "-m", "console", "tail", "--no-follow", "--limit", "5000"]
    out = subprocess.run(
        command, env=os.environ | {"OPSDECK_DATABASE_URL": dsn}, capture_output=True, text=True, check=True
    ).stdout
    return [line.split(" ", 1)[1] for line in out.splitlines(keepends=True)]


@contextmanager
def console(dsn: str, link: Link = LOCAL, answers_cursor: bool = True) -> Generator[Terminal]:
    """The console, following the log."""
    command = [sys.executable, "-m", "console"]
    environment = {"OPSDECK_DATABASE_URL": dsn}
    with Terminal(command, link=link, answers_cursor=answers_cursor, environment=environment) as terminal:
        terminal.run(3)
        terminal.press(b"4")
        terminal.run(_WARM_UP_S)
        yield terminal


def percentiles(values: list[float], unit: float = 1.0) -> str:
    if len(values) < 2:
        return "-"
    return f"{median(values) * unit:.3g} / {quantiles(values, n=20)[-1] * unit:.3g}"


def watch(terminal: Terminal, seconds: float, lags: Lags, listen: Callable[[float, bytes], None] | None) -> Span:
    terminal.listen = listen
    terminal.begin()
    terminal.run(seconds)
    span = terminal.end()
    terminal.listen = None
    return span


class Streams:
    """The first table: all programs at the same rates, and each one's bytes as a multiple of ours."""

    def __init__(self) -> None:
        print("\n| program | rows/s | KB/s | times ours | frames/s | CPU % | lag median / p95 s | RSS MB |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        self._ours: dict[str, float] = {}

    def line(self, program: str, rate: str, span: Span, lags: Lags) -> None:
        ours = self._ours.setdefault(rate, span.kb_per_s)
        times = f"{span.kb_per_s / ours:.2g}" if ours else "-"
        frames = f"{span.full_frames / span.seconds:.1f}" if span.frames > 1 else "-"
        print(
            f"| {program} | {rate} | {span.kb_per_s:.1f} | {times} | {frames} | {span.cpu_percent:.0f} "
            f"| {percentiles(lags.seconds)} | {span.rss_mb[0]:.0f} to {span.rss_mb[1]:.0f} |",
            flush=True,
        )


def by_region(span: Span) -> str:
    """Bytes a second of the header, the log, the lines below it."""
    parts = {"header": range(1, 2), "log": range(2, ROWS), "keys": range(ROWS, ROWS + 1), "no line": range(1)}
    return ", ".join(
        f"{name} {sum(span.by_line[line] for line in lines) / span.seconds:,.0f}" for name, lines in parts.items()
    )


def ours(dsn: str, seconds: float, table: Streams) -> Iterator[str]:
    for name, rate, bursts in (
        ("0", 0, False),
        ("20", 20, False),
        (f"{RATE:,}", RATE, False),
        (f"{RATE:,} with bursts of {BURST:,}", RATE, True),
    ):
        lags = Lags()
        with rows_into_database(dsn, rate, bursts), console(dsn) as terminal:
            span = watch(terminal, seconds, lags, lags.lines())
        table.line("opsdeck", name, span, lags)
        yield f"{name} rows/s: {by_region(span)}"


def peers(arguments: argparse.Namespace, lines: list[str], folder: Path, table: Streams) -> None:
    for name, command, keys in (
        ("toolong", arguments.toolong, b"\x1b[F"),
        ("lnav", arguments.lnav, b"G"),
    ):
        if not command:
            continue
        for rate, bursts in ((f"{RATE:,}", False), (f"{RATE:,} with bursts of {BURST:,}", True)):
            path = folder / f"{name}-{bursts}.log"
            lags = Lags()
            with rows_into_file(path, lines, RATE, bursts):
                time.sleep(1)
                with Terminal([command, str(path)], environment={"HOME": str(folder)}) as terminal:
                    terminal.run(4)
                    terminal.press(keys)
                    terminal.run(_WARM_UP_S - 4)
                    span = watch(terminal, arguments.seconds, lags, lags.cells())
            path.unlink()
            table.line(name, rate, span, lags)


def keys(dsn: str, seconds: float) -> None:
    """How soon a key shows: `k` pauses, `end` follows again, at moments that know nothing of the frames.

    The first is seen by what the log says then, the second by a line in its middle: while it pauses none is written.
    """
    print(f"\n| link, {RATE:,} rows/s | key p50 / p95 ms | keys | KB/s | frames/s | most in flight KB |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for name, (link, answers) in _LINKS.items():
        spent: list[float] = []
        with rows_into_database(dsn, RATE, False), console(dsn, link, answers) as terminal:
            terminal.begin()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for key, sign in ((b"k", b"end follows"), (b"\x1b[F", b"\x1b[20;1H")):
                    terminal.run(random.uniform(0.3, 0.8))
                    seen = Seen(sign)
                    terminal.listen = seen.hear
                    pressed = terminal.press(key)
                    if terminal.run(10, lambda seen=seen: seen.at):
                        spent.append(seen.at - pressed)
            span = terminal.end()
        print(
            f"| {name} | {percentiles(spent, 1000)} | {len(spent)} | {span.kb_per_s:.1f} "
            f"| {span.full_frames / span.seconds:.1f} | {span.most_in_flight / 1000:.0f} |",
            flush=True,
        )


def long(dsn: str, seconds: float, folder: Path) -> None:
    """For so long, with a burst in the last quarter: nothing lost, nothing twice, memory flat."""
    empty_log(dsn)
    received, lags, bursting = Received(), Lags(), Lags()

    def hear(_at: float, data: bytes) -> None:
        received.hear(data)
        (bursting if burst else lags).hear(data)

    burst = False
    with console(dsn) as terminal:
        tail = Tail(dsn, folder / "tail.csv")
        terminal.listen = hear
        terminal.run(_WARM_UP_S)
        with followed(terminal, tail, received), rows_into_database(dsn, RATE, False):
            terminal.begin()
            terminal.run(seconds / 2)
            first = terminal.end()
            terminal.begin()
            terminal.run(seconds / 4)
            burst = True
            with rows_into_database(dsn, BURST - RATE, False):
                terminal.run(_LONG_BURST_S)
            terminal.run(_LONG_BURST_S)
            burst = False
            terminal.run(seconds / 4 - 2 * _LONG_BURST_S)
            second = terminal.end()
    print(f"\n{seconds / 60:.1f} minutes of {RATE:,} rows/s, in the last quarter {_LONG_BURST_S:.0f} s of {BURST:,}\n")
    print(f"lag median / p95 s: {percentiles(lags.seconds)}, worst {max(lags.seconds):.1f}")
    print(f"in the burst and as long behind it: {percentiles(bursting.seconds)}, worst {max(bursting.seconds):.1f}")
    tell(dsn, (first, second), tail, received)


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


async def prepare(dsn: str) -> None:
    async with migrated(dsn):
        await invent_business(dsn, customers=2000, rate=200, seed=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each is measured (20)")
    parser.add_argument("--toolong", help="its command, tl")
    parser.add_argument("--lnav", help="its command")
    parser.add_argument("--minutes", type=float, default=8.0, help="how long the long run is (8)")
    parser.add_argument("--only", choices=("streams", "keys", "long"), help="long is run only when asked for")
    options = parser.parse_args()
    with fresh_server() as (dsn, _), tempfile.TemporaryDirectory() as folder:
        asyncio.run(prepare(dsn))
        print(f"{place(dsn)}; terminal {COLUMNS}x{ROWS}")
        if options.only in (None, "streams"):
            table = Streams()
            regions = list(ours(dsn, options.seconds, table))
            peers(options, some_rows(dsn), Path(folder), table)
            print("\nopsdeck, bytes a second by region\n", *regions, sep="\n")
        if options.only in (None, "keys"):
            keys(dsn, options.seconds)
        if options.only == "long":
            long(dsn, 60 * options.minutes, Path(folder))
        print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
