"""The rows `opsdeck tail` wrote against the rows of the table, each counted: by hashes, for there may be 36 million.

Of a row all columns are compared but the client's address, which the tail masks.
"""

import csv
import os
import subprocess
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

import psycopg

from db.source import RECORD_COLUMNS, RequestRow

_COMPARED = tuple(name for name in RequestRow._fields if name != "client_ip")
_IN_LINE = itemgetter(*map(RECORD_COLUMNS.index, _COMPARED))
_TIME = """replace(to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')"""


class Tail:
    """`opsdeck tail` into a file."""

    def __init__(self, dsn: str, file: Path) -> None:
        self._file = file
        command = [sys.executable, "-m", "console", "tail", "--format", "csv"]
        environment = os.environ | {"OPSDECK_DATABASE_URL": dsn}
        self._said = file.with_suffix(".said")
        with file.open("wb") as out, self._said.open("wb") as said:
            self._process = subprocess.Popen(command, env=environment, stdout=out, stderr=said)

    @property
    def size(self) -> int:
        return self._file.stat().st_size

    @property
    def said(self) -> str:
        """On stderr: of lost connections and queries that took too long."""
        return self._said.read_text().strip() or "nothing"

    def end(self) -> "array[int]":
        """Its rows as hashes."""
        self._process.terminate()
        self._process.wait()
        with self._file.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            next(lines, None)
            return _hashes(map(_IN_LINE, lines))


def stored(dsn: str) -> "array[int]":
    """The same of the table."""
    columns = ", ".join((_TIME, *_COMPARED[1:]))
    query = f"COPY (SELECT {columns} FROM haproxy_raw_logs) TO STDOUT (FORMAT csv)"
    with psycopg.connect(dsn) as connection, connection.cursor().copy(query) as copy:  # pyright: ignore
        return _hashes(map(tuple, csv.reader(_lines(map(bytes, copy)))))


def unequal(there: Sequence[int], live: Sequence[int]) -> tuple[int, int]:
    """How many of the first are missing in the second, and how many the second has beyond them, each as often."""
    first, second = sorted(there), sorted(live)
    if first == second:  # no walk of minutes to hear what is hoped for
        return 0, 0
    at = common = 0
    for one in first:
        while at < len(second) and second[at] < one:
            at += 1
        if at < len(second) and second[at] == one:
            at += 1
            common += 1
    return len(first) - common, len(second) - common


def _hashes(rows: Iterable[tuple[str, ...]]) -> "array[int]":
    return array("q", map(hash, rows))


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    rest = ""
    for block in blocks:
        *lines, rest = (rest + block.decode()).split("\n")
        yield from lines
