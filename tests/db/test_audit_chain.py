"""The chain of the audit record, with everything done to it that an owner of the tables could do."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from db import audit
from db.audit import Actor, Audit, Entry
from db.audit_chain import Checkpoint, Verification, verify
from db.database import Database, Limits
from db.errors import Denied, TimedOut
from db.migrate import known_migrations

ANN = Actor("ann", "198.51.100.7")
# Letters, quotes, control characters and nothing at all: what a canonical form could confuse.
REASONS = ("leaked", "it's, 5:five", 'a "quoted"\nline', "Überprüfung 🔑", "", "\\x00,-,", "seven")


def entry(reason: str, *, outcome: str = "done") -> Entry:
    return Entry(
        operation_id=uuid4(),
        action="revoke-keys",
        subjects=("key:42", 'odd "one", {two}', ""),
        actor=ANN,
        reason=reason,
        outcome=outcome,
        message="",
        before=None,
        after={"key:42": {"é": [1, 2.50, None], "n": 1e3}},
    )


@pytest.fixture
async def record(database: Database) -> Audit:
    """Seven rows."""
    for reason in REASONS:
        async with database.writing() as connection:
            assert await audit.write(connection, entry(reason))
    return Audit(database)


def tamper(dsn: str, *statements: str) -> None:
    """As the owner of the tables, who takes the triggers away first."""
    with psycopg.connect(dsn) as connection:
        connection.execute("ALTER TABLE console.audit DISABLE TRIGGER ALL")
        for statement in statements:
            connection.execute(statement)  # pyright: ignore
        connection.execute("ALTER TABLE console.audit ENABLE TRIGGER ALL")


def told(found: Verification) -> list[tuple[str, int]]:
    return [(finding.kind, finding.seq) for finding in found.findings]


async def test_rows_follow_on_each_other_and_are_checked_in_pieces(database: Database, record: Audit, dsn: str) -> None:
    assert (await Audit(database).checkpoint()).seq == 7
    told_of: list[tuple[int, int]] = []
    found = await verify(database, tell=lambda rows, of: told_of.append((rows, of)), chunk=3)
    assert found.sound
    assert (found.rows, found.head) == (7, await record.checkpoint())
    assert told_of == [(3, 7), (6, 7), (7, 7)]
    assert [row.seq for row in (await record.page()).rows] == [7, 6, 5, 4, 3, 2, 1]
    with psycopg.connect(dsn) as connection:
        # The same in the database: two forms that could drift apart.
        assert connection.execute("SELECT bool_and(hash = console.audit_hash(a)) FROM console.audit a").fetchone() == (
            True,
        )


async def test_an_operation_is_on_record_once_and_a_rolled_back_one_leaves_no_gap(database: Database) -> None:
    once = entry("once")
    async with database.writing() as connection:
        assert await audit.write(connection, once)
        assert not await audit.write(connection, once)
    async with database.writing() as connection:
        await audit.write(connection, entry("never"))
        await connection.rollback()
    async with database.writing() as connection:
        await audit.write(connection, entry("twice"))
    found = await Audit(database).verify()
    assert found.sound
    assert found.head.seq == 2


async def test_entries_written_at_the_same_time_make_one_chain(database: Database) -> None:
    async def write() -> None:
        async with database.writing() as connection:
            await audit.write(connection, entry("at once"))

    await asyncio.gather(*(write() for _ in range(40)))
    found = await Audit(database).verify()
    assert (found.sound, found.rows) == (True, 40)


async def test_an_open_entry_makes_others_wait_for_a_limited_time(dsn: str) -> None:
    database = Database(dsn, limits=Limits(lock_s=0.2))
    await database.open()
    async with database.writing() as first:
        await audit.write(first, entry("slow"))
        with pytest.raises(TimedOut):
            async with database.writing() as second:
                await audit.write(second, entry("waits"))
    assert (await Audit(database).verify()).head.seq == 1
    await database.close()


TAMPERED: list[tuple[list[str], list[tuple[str, int]]]] = [
    (["UPDATE console.audit SET reason = 'harmless' WHERE seq = 3"], [("changed", 3)]),
    (["UPDATE console.audit SET at = at + interval '1 microsecond' WHERE seq = 7"], [("changed", 7)]),
    (["UPDATE console.audit SET subjects = '{key:42,\"odd \\\"one\\\", {two}\"}' WHERE seq = 1"], [("changed", 1)]),
    (["UPDATE console.audit SET message = NULL WHERE seq = 2"], [("changed", 2)]),
    (["UPDATE console.audit SET after = '{}' WHERE seq IN (2, 3)"], [("changed", 2), ("changed", 3)]),
    # Its hash computed anew: the row behind it, or the end of the record, does not follow on it.
    (["UPDATE console.audit SET os_user = 'bob' WHERE seq = 3",
      "UPDATE console.audit a SET hash = console.audit_hash(a) WHERE seq = 3"], [("changed", 3)]),
    (["UPDATE console.audit SET os_user = 'bob' WHERE seq = 7",
      "UPDATE console.audit a SET hash = console.audit_hash(a) WHERE seq = 7"], [("changed", 7)]),
    (["DELETE FROM console.audit WHERE seq = 4"], [("removed", 4)]),
    (["DELETE FROM console.audit WHERE seq IN (1, 5)"], [("removed", 1), ("removed", 5)]),
    (["DELETE FROM console.audit WHERE seq > 5"], [("removed", 6)]),
    (["TRUNCATE console.audit"], [("removed", 1)]),
    # The numbers closed up behind it.
    (["DELETE FROM console.audit WHERE seq = 4", "UPDATE console.audit SET seq = -seq WHERE seq > 4",
      "UPDATE console.audit SET seq = -seq - 1 WHERE seq < 0", "UPDATE console.audit_head SET seq = 6"],
     [("removed", 4)]),
    # Room made for it.
    (["UPDATE console.audit SET seq = -seq WHERE seq > 4", "UPDATE console.audit SET seq = -seq + 1 WHERE seq < 0",
      "INSERT INTO console.audit SELECT * FROM (SELECT (json_populate_record(a, json_build_object('seq', 5,"
      " 'operation_id', gen_random_uuid(), 'os_user', 'bob'))).* FROM console.audit a WHERE seq = 4) made",
      "UPDATE console.audit_head SET seq = 8"], [("changed", 5), ("inserted", 5)]),
    (["INSERT INTO console.audit SELECT (json_populate_record(a, json_build_object('seq', 8, 'operation_id',"
      " gen_random_uuid(), 'previous_hash', a.hash))).* FROM console.audit a WHERE seq = 7"],
     [("changed", 8), ("inserted", 8)]),
    (["INSERT INTO console.audit SELECT (json_populate_record(a, json_build_object('seq', 0, 'operation_id',"
      " gen_random_uuid()))).* FROM console.audit a WHERE seq = 7"], [("inserted", 0)]),
]  # fmt: skip


async def test_what_was_done_to_the_record_is_named(record: Audit, dsn: str) -> None:
    tamper(dsn, "CREATE TABLE kept AS TABLE console.audit", "CREATE TABLE kept_head AS TABLE console.audit_head")
    for statements, expected in TAMPERED:
        tamper(dsn, *statements)
        found = await record.verify()
        assert told(found) == expected, statements
        assert all(str(finding.seq) in finding.sentence for finding in found.findings)
        tamper(
            dsn,
            "TRUNCATE console.audit, console.audit_head",
            "INSERT INTO console.audit TABLE kept",
            "INSERT INTO console.audit_head TABLE kept_head",
        )
    assert (await record.verify()).sound


_REWRITE = """
    DO $$ DECLARE entry console.audit; last bytea := decode(repeat('00', 32), 'hex'); BEGIN
        FOR entry IN SELECT * FROM console.audit ORDER BY seq LOOP
            entry.previous_hash := last;
            last := console.audit_hash(entry);
            UPDATE console.audit SET previous_hash = entry.previous_hash, hash = last WHERE seq = entry.seq;
            UPDATE console.audit_head SET seq = entry.seq, hash = last;
        END LOOP;
    END $$"""


async def test_only_a_checkpoint_shows_a_record_cut_off_or_written_anew(record: Audit, dsn: str) -> None:
    kept = await record.checkpoint()
    assert (await record.verify([kept])).sound
    tamper(dsn, "DELETE FROM console.audit WHERE seq > 5", _REWRITE)
    assert (await record.verify()).sound, "as the help says"
    cut = await record.verify([kept])
    assert told(cut) == [("checkpoint", 7)]
    assert "ends at row 5" in cut.findings[0].sentence
    earlier = await record.checkpoint()
    tamper(dsn, "UPDATE console.audit SET reason = 'harmless' WHERE seq = 2", _REWRITE)
    assert (await record.verify()).sound, "as the help says"
    assert told(await record.verify([earlier])) == [("checkpoint", 5)]
    with pytest.raises(ValueError, match="SEQ:HASH"):
        Checkpoint.parse("7:abc")


async def test_not_even_the_owner_changes_it_by_a_slip(record: Audit, database: Database) -> None:
    for statement in ("UPDATE console.audit SET reason = ''", "DELETE FROM console.audit", "TRUNCATE console.audit"):
        with pytest.raises(Denied, match="only ever added to"):
            async with database.writing() as connection:
                await connection.execute(statement)
    assert (await record.verify()).sound


async def test_rows_from_before_the_chain_are_taken_into_it_without_their_gaps(empty_dsn: str) -> None:
    bodies = {migration.name[5:]: migration.body for migration in known_migrations()}
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE SCHEMA console")
        connection.execute(bodies["audit"])
        for seq in (2, 3, 9, 40):
            connection.execute(
                """INSERT INTO console.audit (seq, operation_id, action, subjects, os_user, reason, outcome)
                   OVERRIDING SYSTEM VALUE VALUES (%s, gen_random_uuid(), 'old', '{}', 'ann', %s, 'done')""",
                (seq, f"was {seq}"),
            )
        connection.execute(bodies["audit_chain"])
    database = Database(empty_dsn)
    await database.open()
    async with database.writing() as connection:
        await audit.write(connection, entry("new"))
    found = await Audit(database).verify()
    rows = (await Audit(database).page()).rows
    await database.close()
    assert found.sound
    assert [(row.seq, row.reason) for row in rows] == [
        (5, "new"), (4, "was 40"), (3, "was 9"), (2, "was 3"), (1, "was 2"),
    ]  # fmt: skip
