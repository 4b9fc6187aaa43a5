"""A long run of the live log with a burst in it: memory, lag, and every row counted and compared.

The screen cannot show every row, so it is asked for its sum: what the line below the log says was received must be
what was committed. Beside it `opsdeck tail`, which reads by the same cursor, hands over the rows themselves.
"""

import os
import re
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from tests.bench.terminal import Span, Terminal

_RECEIVED = re.compile(rb"([\d,]{2,}) received")
_SETTLES_S = 60.0


class Received:
    """What the line below the log said last."""

    rows = -1

    def hear(self, text: bytes) -> None:
        if found := _RECEIVED.findall(text):
            self.rows = int(found[-1].replace(b",", b""))


class Tail:
    """`opsdeck tail`, each of its lines as a hash."""

    def __init__(self, dsn: str, *options: str) -> None:
        self.lines: array[int] = array("q")
        command = [sys.executable, "-m", "console", "tail", "--format", "csv", *options]
        environment = os.environ | {"OPSDECK_DATABASE_URL": dsn}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        next(self._process.stdout, None)  # the names of the columns
        for line in self._process.stdout:
            self.lines.append(hash(line))

    def end(self, *, stop: bool) -> list[int]:
        """All lines in an order of their own; without `stop` it is waited for."""
        if stop:
            self._process.terminate()
        self._process.wait()
        self._reading.join()
        return sorted(self.lines)


@contextmanager
def followed(terminal: Terminal, tail: Tail, received: Received) -> Generator[None]:
    """Afterwards waits until no more rows come, at most for a minute."""
    yield
    until, before = time.monotonic() + _SETTLES_S, (-2, -2)
    while time.monotonic() < until and (now := (received.rows, len(tail.lines))) != before:
        before = now
        terminal.run(5)


def empty_log(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE haproxy_raw_logs")


def committed(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM haproxy_raw_logs").fetchone()
        assert row is not None
        return int(row[0])


def told(dsn: str, halves: tuple[Span, Span], tail: Tail, received: Received) -> list[str]:
    """The outcome in lines, after the run."""
    rows = committed(dsn)
    live = tail.end(stop=True)
    stored = Tail(dsn, "--no-follow", "--since", "2d").end(stop=False)
    first, second = halves
    memory = " / ".join(f"{mb:.0f}" for mb in (*first.rss_mb, second.rss_mb[1]))
    cpu = (first.cpu_percent * first.seconds + second.cpu_percent * second.seconds) / (first.seconds + second.seconds)
    same = "the same rows, each once" if live == stored else f"NOT the same as the {len(stored):,} in the table"
    equal = "equal" if rows == received.rows else "NOT EQUAL"
    return [
        f"committed {rows:,}, received by the screen {received.rows:,}: {equal}",
        f"opsdeck tail wrote {len(live):,} rows: {same}",
        f"memory of the console at the start, the middle, the end: {memory} MB; CPU {cpu:.0f} %; "
        f"{(first.bytes + second.bytes) / (first.seconds + second.seconds) / 1000:.1f} KB/s",
    ]
