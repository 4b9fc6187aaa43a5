"""A long run of the live log with a burst in it: memory, lag, and every row counted and compared.

The screen cannot show every row, so it is asked for its sum: what the line below the log says was received must be
what was committed. Beside it `opsdeck tail`, which reads by the same cursor, hands over the rows themselves.
"""

import csv
import os
import re
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from tests.bench.terminal import Span, Terminal

_RECEIVED = re.compile(rb"([\d,]{2,}) received")
_SETTLES_S = 600.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = ("server_id", "api_key_fp", "bytes_sent", "time_total", "status_code", "repeat")  # with the time: the row


class Received:
    """What the line below the log said last."""

    rows = -1

    def hear(self, text: bytes) -> None:
        if found := _RECEIVED.findall(text):
            self.rows = int(found[-1].replace(b",", b""))


class Tail:
    """`opsdeck tail` into a file."""

    def __init__(self, dsn: str, file: Path) -> None:
        self._file = file
        command = [sys.executable, "-m", "console", "tail", "--format", "csv"]
        environment = os.environ | {"OPSDECK_DATABASE_URL": dsn}
        with file.open("wb") as out:
            self._process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.DEVNULL)

    @property
    def size(self) -> int:
        return self._file.stat().st_size

    def end(self) -> "array[int]":
        """Its rows as hashes."""
        self._process.terminate()
        self._process.wait()
        rows: array[int] = array("q")
        with self._file.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                at = (datetime.fromisoformat(row["timestamp"]) - _EPOCH) // timedelta(microseconds=1)
                rows.append(hash((at, *(int(row[name]) for name in _NUMBERS))))
        return rows


def stored(dsn: str) -> "array[int]":
    """The same of the table."""
    columns = ", ".join(_NUMBERS)
    query = (
        f"COPY (SELECT (extract(epoch FROM timestamp) * 1000000)::bigint, {columns} FROM haproxy_raw_logs) TO STDOUT"
    )
    rows: array[int] = array("q")
    with psycopg.connect(dsn) as connection, connection.cursor().copy(query) as copy:  # pyright: ignore
        rest = b""
        for data in copy:
            *lines, rest = (rest + bytes(data)).split(b"\n")
            rows.extend(hash(tuple(map(int, line.split(b"\t")))) for line in lines)
    return rows


@contextmanager
def followed(terminal: Terminal, tail: Tail, received: Received) -> Generator[None]:
    """Afterwards waits until no more rows come: on a busy machine the tail, which writes every row, lags behind."""
    yield
    began = time.monotonic()
    until, before = time.monotonic() + _SETTLES_S, (-2, -2)
    while time.monotonic() < until and (now := (received.rows, tail.size)) != before:
        before = now
        terminal.run(10)
    print(f"no more rows came {time.monotonic() - began - 10:.0f} s after the last was written")


def empty_log(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE haproxy_raw_logs")


def committed(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM haproxy_raw_logs").fetchone()
        assert row is not None
        return int(row[0])


def tell(dsn: str, halves: tuple[Span, Span], tail: Tail, received: Received) -> None:
    """Prints the outcome, after the run."""
    rows = committed(dsn)
    first, second = halves
    seconds = first.seconds + second.seconds
    memory = " / ".join(f"{mb:.0f}" for mb in (*first.rss_mb, second.rss_mb[1]))
    cpu = (first.cpu_percent * first.seconds + second.cpu_percent * second.seconds) / seconds
    equal = "equal" if rows == received.rows else "NOT EQUAL"
    print(f"memory of the console at the start, the middle, the end: {memory} MB; CPU {cpu:.0f} %; "
          f"{(first.bytes + second.bytes) / seconds / 1000:.1f} KB/s")  # fmt: skip
    print(f"committed {rows:,}, received by the screen {received.rows:,}: {equal}", flush=True)
    live, there = tail.end(), stored(dsn)
    lost, more = Counter(there), Counter(live)
    lost.subtract(live)
    more.subtract(there)
    print(f"opsdeck tail wrote {len(live):,} rows: {(+lost).total():,} of the table's are missing, "
          f"{(+more).total():,} are there twice or are none of its")  # fmt: skip
