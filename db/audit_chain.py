"""Checks the audit record: every row against its own hash, the row before, the end, and checkpoints kept elsewhere.

The canonical form of console.audit_hash() stands here a second time, so that a check trusts nothing that runs in the
database. What it cannot see: someone who owns the tables and computes every later hash anew, or cuts off the end and
moves console.audit_head back. A checkpoint that was kept where that person cannot write shows both.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, LiteralString, Self

from db.database import Database

_CHUNK = 2000  # rows at a time: a transaction of some 20 ms, about 2 MB
_MOST_FINDINGS = 50
_GENESIS: Final = bytes(32)

_ROWS: LiteralString = """
    SELECT seq, hash, encode(previous_hash, 'hex'), operation_id::text,
           to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), action, subjects::text, os_user, ssh_source,
           db_role, reason, before::text, after::text, outcome, message
    FROM console.audit WHERE seq > %(behind)s ORDER BY seq LIMIT %(chunk)s
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A row of the record and its hash, as `opsdeck audit checkpoint` prints it: SEQ:HASH."""

    seq: int
    hash: str  # hex

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads SEQ:HASH. Raises ValueError with a sentence."""
        found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip().lower())
        if found is None:
            raise ValueError("a checkpoint is SEQ:HASH, as `opsdeck audit checkpoint` prints it")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not fit. `seq` is the row it is about, or the first of several."""

    seq: int
    kind: str  # changed, removed, inserted or checkpoint
    sentence: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found. `more` counts findings beyond those listed."""

    rows: int
    head: Checkpoint
    checkpoints: tuple[Checkpoint, ...]
    findings: tuple[Finding, ...]
    more: int

    @property
    def sound(self) -> bool:
        return not self.findings


Tell = Callable[[int, int], None]


async def checkpoint(database: Database) -> Checkpoint:
    """The end of the record now."""
    async with database.reading() as connection:
        row = await (await connection.execute("SELECT seq, encode(hash, 'hex') FROM console.audit_head")).fetchone()
    return Checkpoint(*row) if row else Checkpoint(0, _GENESIS.hex())


async def verify(
    database: Database, checkpoints: Sequence[Checkpoint] = (), tell: Tell | None = None, chunk: int = _CHUNK
) -> Verification:
    """Reads the whole record in chunks, a short transaction each; `tell` hears the rows checked and how many there are.

    Rows that are added meanwhile are checked too.
    """
    walk = _Walk(tuple(checkpoints))
    behind = -(2**63)
    while True:
        # One snapshot: the end it reads belongs to the rows it reads.
        async with database.reading(60, one_snapshot=True) as connection:
            found = await (await connection.execute("SELECT seq, hash FROM console.audit_head")).fetchone()
            rows = await (await connection.execute(_ROWS, {"behind": behind, "chunk": chunk})).fetchall()
        head = (int(found[0]), bytes(found[1])) if found else (0, _GENESIS)
        for row in rows:
            walk.step(_Row(row[0], bytes(row[1]), row[2], row[3:]))
        if tell is not None:
            tell(walk.rows, max(head[0], walk.rows))
        if len(rows) < chunk:
            return walk.ended(*head)
        behind = rows[-1][0]


@dataclass(frozen=True, slots=True)
class _Row:
    seq: int
    hash: bytes
    previous_hash: str  # hex
    fields: Sequence[str | None]

    def hash_as(self, seq: int) -> bytes:
        """What its hash is, were it number `seq`."""
        fields = (self.previous_hash, str(seq), *self.fields)
        return hashlib.sha256(b",".join(map(_measured, fields))).digest()


def _measured(value: str | None) -> bytes:
    if value is None:
        return b"-"
    text = value.encode()
    return b"%d:%b" % (len(text), text)


@dataclass(slots=True)
class _Walk:
    """Goes along the record row by row and remembers what does not fit."""

    checkpoints: tuple[Checkpoint, ...]
    rows: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    more: int = 0
    last: int = 0  # the seq of the row before
    hashes: tuple[bytes, bytes] = (_GENESIS, _GENESIS)  # as stored, of the row before the last one and of the last one
    shift: int = 0  # rows behind one that was removed or put in, and that were numbered anew to hide it

    def step(self, row: _Row) -> None:
        """Takes the next row."""
        self.rows += 1
        if row.seq <= self.last:
            self._find(row.seq, "inserted", f"row {row.seq} was inserted: the record has no place for that number")
            return
        if row.seq > self.last + 1:
            self._find(self.last + 1, "removed", f"{_rows(self.last + 1, row.seq - 1)} removed")
        if not self._intact(row):
            self._find(row.seq, "changed", f"row {row.seq} was changed after it was written")
        elif row.previous_hash != self.hashes[1].hex() and not self._explained(row.seq):
            self._unlinked(row)
        if any(wanted.seq == row.seq and wanted.hash != row.hash.hex() for wanted in self.checkpoints):
            self._find(row.seq, "checkpoint", f"row {row.seq} is not the one of the checkpoint: rewritten since")
        self.last, self.hashes = row.seq, (self.hashes[1], row.hash)

    def _intact(self, row: _Row) -> bool:
        """Whether the row is what its hash says, if need be under the number it had before rows moved."""
        for shift in (self.shift, self.shift - 1, self.shift + 1):
            if row.hash_as(row.seq + shift) == row.hash:
                if shift > self.shift:
                    self._find(row.seq, "removed", f"the row before row {row.seq} was removed, the rest renumbered")
                elif shift < self.shift:
                    self._find(row.seq - 1, "inserted", f"row {row.seq - 1} was inserted, the rest renumbered")
                self.shift = shift
                return True
        return False

    def _unlinked(self, row: _Row) -> None:
        """Says which row is wrong when a whole one does not follow on the one before."""
        if row.previous_hash == self.hashes[0].hex():
            self._find(row.seq - 1, "inserted", f"row {row.seq - 1} was inserted: row {row.seq} follows the one before")
        elif self.last == 0:
            self._find(row.seq, "changed", f"row {row.seq} does not begin the record: it follows another row")
        else:
            self._find(
                row.seq - 1, "changed", f"row {row.seq - 1} was changed and its hash with it: row {row.seq} tells"
            )

    def ended(self, seq: int, hash_: bytes) -> Verification:
        """The record ends here, and its head says where it should."""
        if seq > self.last:
            self._find(self.last + 1, "removed", f"{_rows(self.last + 1, seq)} removed from the end")
        elif seq < self.last:
            self._find(seq + 1, "inserted", f"{_rows(seq + 1, self.last)} inserted behind the end")
        elif hash_ != self.hashes[1] and not self._explained(seq + 1):
            self._find(seq, "changed", f"row {seq} was changed and its hash with it: the end of the record tells")
        for wanted in self.checkpoints:
            if wanted.seq > self.last:
                self._find(
                    wanted.seq,
                    "checkpoint",
                    f"the record ends at row {self.last}, before the checkpoint {wanted.seq}: its end was cut off",
                )
            elif wanted.seq < 1 and wanted.hash != _GENESIS.hex():
                self._find(wanted.seq, "checkpoint", f"there is no row {wanted.seq} for the checkpoint")
        head = Checkpoint(self.last, self.hashes[1].hex())
        return Verification(self.rows, head, self.checkpoints, tuple(self.findings), self.more)

    def _explained(self, seq: int) -> bool:
        """Whether it is known already why row `seq` does not follow on the row before."""
        return bool(self.findings) and self.last <= self.findings[-1].seq <= seq

    def _find(self, seq: int, kind: str, sentence: str) -> None:
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(Finding(seq, kind, sentence))
        else:
            self.more += 1


def _rows(first: int, last: int) -> str:
    return f"row {first} was" if first == last else f"rows {first} to {last} were"
