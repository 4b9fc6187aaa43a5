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
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from db.source import invent_business
from tests.bench.live_log import (
    BURST,
    BURST_EVERY_S,
    BURST_S,
    KEYS,
    PATIENCE_S,
    RATE,
    WARM_UP_S,
    Lags,
    Seen,
    console,
    percentiles,
    rows_into_database,
)
from tests.bench.long_run import long
from tests.bench.measure import fresh_server, migrated, place
from tests.bench.terminal import COLUMNS, LOCAL, ROWS, Link, Span, Terminal

_LINKS = {
    "local": (LOCAL, True),
    "local, no replies": (LOCAL, False),
    "64 KiB/s, 150 ms": (Link(64 << 10, 0.15), True),
    "64 KiB/s, 150 ms, no replies": (Link(64 << 10, 0.15), False),
    "8 KiB/s, 150 ms": (Link(8 << 10, 0.15), True),
    "8 KiB/s, 150 ms, no replies": (Link(8 << 10, 0.15), False),
}


@contextmanager
def rows_into_file(path: Path, lines: list[str], rate: int, bursts: bool) -> Generator[None]:
    """The same rows with the time of their writing, fifty times a second."""
    done = threading.Event()

    def write() -> None:
        began, written, number = time.monotonic(), 0.0, 0
        with path.open("w", encoding="utf-8") as file:
            while not done.wait(0.02):
                now = time.monotonic() - began
                many = bursts and now % BURST_EVERY_S > BURST_EVERY_S - BURST_S
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
            span = watch(terminal, seconds, lags, lags.hear_frames)
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
                    terminal.run(WARM_UP_S - 4)
                    span = watch(terminal, arguments.seconds, lags, lags.cells())
            path.unlink()
            table.line(name, rate, span, lags)


def keys(dsn: str, seconds: float) -> None:
    """How soon a key shows, pressed at moments that know nothing of the frames."""
    print(f"\n| link, {RATE:,} rows/s | key p50 / p95 ms | keys | KB/s | frames/s | most in flight KB |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for name, (link, answers) in _LINKS.items():
        spent: list[float] = []
        with rows_into_database(dsn, RATE, False), console(dsn, link, answers) as terminal:
            terminal.begin()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for key, sign in KEYS:
                    terminal.run(random.uniform(0.3, 0.8))
                    seen = Seen(sign)
                    terminal.listen = seen.hear
                    pressed = terminal.press(key)
                    if terminal.run(PATIENCE_S, lambda seen=seen: seen.at):
                        spent.append(seen.at - pressed)
            span = terminal.end()
        print(
            f"| {name} | {percentiles(spent, 1000)} | {len(spent)} | {span.kb_per_s:.1f} "
            f"| {span.full_frames / span.seconds:.1f} | {span.most_in_flight / 1000:.0f} |",
            flush=True,
        )


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
    # The long run tells the age of a row from the time since its commit.
    settings = ("track_commit_timestamp = on",) if options.only == "long" else ()
    with fresh_server(*settings) as (dsn, _), tempfile.TemporaryDirectory() as folder:
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
