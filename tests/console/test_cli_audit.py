"""opsdeck audit: what is on record, found by words, and checked."""

import psycopg

from tests.console.command import all_of, opsdeck
from tests.db.seed import CUSTOMER, add_customer, add_key


def test_the_record_is_searched_by_words_and_checked_against_what_was_kept(dsn: str) -> None:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    because = ("--reason", "leaked", "--yes")
    assert opsdeck(dsn, "keys", "revoke", "42", *because, SUDO_USER="ann").code == 0
    run = opsdeck(dsn, "jobs", "run", "clean-up", "--dry-run", "--json", SUDO_USER="bob").json
    assert opsdeck(dsn, "keys", "revoke", "42", *because, SUDO_USER="bob").code == 1
    found = all_of(
        dsn,
        [
            ("audit", "list", "who:bob", "--json"),
            ("audit", "list", "key:0x0000002a", "outcome:refused", "--json"),
            ("audit", "list", "!action:run-job", "--json", "--limit", "1"),
            ("audit", "list", "--operation", run["run_id"], "--json"),
            ("audit", "list", "outcome:lost"),
            ("audit", "checkpoint"),
            ("audit", "verify", "--checkpoint", "1"),
        ],
    )
    rows = [[(row["action"], row["os_user"], row["outcome"]) for row in one.json["audit"]] for one in found[:4]]
    refused, ran = ("revoke-keys", "bob", "refused"), ("run-job", "bob", "done")
    assert rows == [[refused, ran], [refused], [refused], [ran]]
    assert [one.json["complete"] for one in found[:4]] == [True, True, False, True]
    assert found[3].json["audit"][0]["after"]["job:clean-up"]["dry_run"] is True
    assert "outcome 'lost'" in found[4].complained(2)
    assert "SEQ:HASH" in found[6].complained(2)

    kept = found[5].out.strip()
    sound = opsdeck(dsn, "audit", "verify", "--checkpoint", kept)
    assert (sound.code, sound.out) == (
        0,
        f"3 rows follow on each other, as at checkpoint 3; the record ends with {kept}\n",
    )
    with psycopg.connect(dsn) as connection:
        connection.execute("ALTER TABLE console.audit DISABLE TRIGGER ALL")
        connection.execute("UPDATE console.audit SET os_user = 'ann' WHERE seq = 2")
        connection.execute("DELETE FROM console.audit WHERE seq = 3")
        connection.execute(
            "UPDATE console.audit_head h SET seq = 2, hash = a.hash FROM console.audit a WHERE a.seq = 2"
        )
    told, document = all_of(dsn, [("audit", "verify", "--checkpoint", kept), ("audit", "verify", "--json")])
    assert (told.code, told.out) == (
        1,
        "row 2 was changed after it was written\n"
        "the record ends at row 2, before the checkpoint 3: its end was cut off\n",
    )
    assert document.code == 1
    assert [(one["kind"], one["seq"]) for one in document.json["findings"]] == [("changed", 2)]
