"""opsdeck vault: what was published, what is in it, what differs; and never a secret."""

from pathlib import Path

import pytest

from db.database import Database
from db.suiftly.keys.format import fingerprint
from tests.console.command import all_of, assert_utc, opsdeck
from tests.db.suiftly.jobs.publishing import Press, business, press, revoke, run

MATERIAL = "c2VjcmV0IG1hdGVyaWFs"


@pytest.fixture
async def vault(dsn: str, database: Database, tmp_path: Path) -> Press:
    """Two versions of MA, key 11 only in the first, 12 revoked since the second, and one version of MM."""
    business(dsn)
    run(
        dsn,
        """INSERT INTO customer_encryption_keys (customer_id, key_id, key_type, encrypted_key_material, metadata)
           VALUES (1, 'theirs', 'aes256', %s, '{"pin": "4711"}')""",
        MATERIAL,
    )
    made = press(dsn, database, tmp_path)
    await made.published()
    revoke(dsn, 11)
    await made.published()
    await made.generate_mm()
    revoke(dsn, 12)
    return made


def test_versions_are_listed_shown_compared_and_verified_without_a_secret(vault: Press, tmp_path: Path) -> None:
    first, second = (vault.directory / name for name in vault.files())
    damaged = tmp_path / "damaged"
    damaged.write_bytes(second.read_bytes()[:-1])
    told = all_of(
        vault.dsn,
        [
            ("vault", "list", "--json"),
            ("vault", "show", "--json"),
            ("vault", "show", "1", "--customer", "1"),
            ("vault", "show", "--vault", "mm", "--customer", "1"),
            ("vault", "diff", "1", "2", "--json"),
            ("vault", "diff", "current", "next"),
            ("vault", "verify", str(second), "--json"),
            ("vault", "verify", str(damaged)),
            ("vault", "diff", "1", "7"),
            ("vault", "show", "--customer", "4"),
            ("vault", "list", "--limit", "2"),
            ("vault", "list", "--limit", "3"),
        ],
        **configured(vault),
    )
    listed, shown, one, imported, diff, planned, whole, broken, unknown, closed, cut, uncut = told
    assert (listed.json["complete"], cut.out.count("\n"), uncut.err) == (True, 3, "")
    behind = opsdeck(vault.dsn, "vault", "list", "--json", *cut.goes_on, **configured(vault)).json
    assert behind == {"versions": listed.json["versions"][2:], "complete": True}
    rows = listed.json["versions"]
    assert [(row["vault"], row["seq"], row["keys"]) for row in rows] == [("mm", 1, 1), ("ma", 2, 4), ("ma", 1, 5)]
    assert rows[2]["path"] == str(first)
    assert rows[2]["hash"] == first.stem[-16:]
    assert_utc(listed.json)
    assert shown.json["content"] == {
        "active customers": 3, "grpc services": 1, "keys": 4, "seal services": 3, "suspended customers": 1,
    }  # fmt: skip
    assert one.json["services"]["seal"]["keys"] == [11, 12]
    assert list(imported.json["keys"]["theirs"]) == ["created_at", "key_type"]
    assert diff.json["changes"] == [
        {"customer_id": 1, "what": "seal key 0x0000000b", "before": "inside", "after": None, "key": 11}
    ]
    assert planned.out.splitlines()[1:] == ["1         seal key 0x0000000c  inside  -", "1 key removed"]
    assert (whole.json["seq"], whole.json["on_record"]) == (2, True)
    assert f"{damaged} does not open" in broken.complained(1)
    assert "has no version 7" in unknown.complained(2)
    assert (closed.code, closed.out) == (1, "")
    output = "".join(result.out + result.err for result in told)
    for secret in (MATERIAL, "4711", vault.keys["k1"].hex()):
        assert secret not in output


def configured(vault: Press) -> dict[str, str]:
    """The environment that says where the vaults are."""
    return {
        "OPSDECK_VAULT_DIRECTORY": str(vault.place.directory),
        "OPSDECK_VAULT_KEY_FILE": str(vault.place.key_file),
    }


def test_the_directory_is_only_that_of_this_database(vault: Press, tmp_path: Path) -> None:
    """The environment's goes with the environment's database, the profile's with the profile's."""
    profile = tmp_path / "config.toml"
    profile.write_text(
        f"[profiles.here]\ndsn = '{vault.dsn}'\nvault_directory = 'vault'\nvault_key_file = 'vault.key'\n",
        encoding="utf-8",
    )
    job = ("jobs", "run", "generate-ma-vault")
    other = opsdeck(None, *job, "--dsn", vault.dsn, **configured(vault))
    assert other.out.startswith("failed: no vault directory is configured")
    assert len(vault.files()) == 2
    keys = f"k2 {'0' * 64}, k1 {vault.keys['k1'].hex()}"
    done = opsdeck(None, "--profile", "here", *job, "--dry-run", OPSDECK_CONFIG=str(profile))
    assert "succeeded: would publish version 3: 1 key removed\n" in done.out
    assert "customer 1, seal key 0x0000000c: inside → none\n" in done.out
    text = opsdeck(vault.dsn, *job, OPSDECK_VAULT_KEYS=keys, OPSDECK_VAULT_DIRECTORY=str(vault.directory))
    assert text.out == "succeeded: published version 3: 1 key removed\n"
    wrong = opsdeck(vault.dsn, *job, OPSDECK_VAULT_KEYS="k9 xyz", OPSDECK_VAULT_DIRECTORY=str(vault.directory))
    assert "OPSDECK_VAULT_KEYS: key 1 is not of the form" in wrong.out
    assert "xyz" not in wrong.out + wrong.err


def test_a_revocation_is_published_at_once_on_demand(vault: Press) -> None:
    why = ("--reason", "leaked", "--yes")
    assert "--publish: no vault directory is configured" in opsdeck(
        vault.dsn, "keys", "revoke", "13", *why, "--publish"
    ).complained(2)
    assert 13 in vault.inside()
    text = opsdeck(vault.dsn, "keys", "revoke", "13", *why, "--publish", **configured(vault))
    assert text.code == 0
    assert text.out.startswith("Revoked 0x0000000d\n")
    assert "Version 3 of the ma vault, published 2" in text.out
    assert text.out.endswith(" UTC, no longer holds 0x0000000d\n")
    assert vault.inside() == {21, 31}
    many = opsdeck(vault.dsn, "keys", "revoke", "21", "31", *why, "--publish", "--json", **configured(vault)).json
    assert many["outcome"] == "done"
    assert (many["vault"]["seq"], many["vault"]["keys"]) == (4, 0)
    vault.assert_whole()
    (vault.directory / "ma-000000009-0123456789abcdef.enc").touch()
    stuck = opsdeck(vault.dsn, "keys", "revoke", "51", *why, "--publish", **configured(vault))
    assert stuck.code == 1
    assert stuck.out.startswith("Revoked 0x00000033\n")
    assert "The change stands, but no vault with it is published: " in stuck.err
    assert "is newer than version 4 on record" in stuck.err


def test_a_key_that_is_made_rotated_or_given_back_is_published_at_once_on_demand(vault: Press) -> None:
    why, place = ("--reason", "asked for", "--yes", "--publish"), configured(vault) | {"API_SECRET_KEY": "2f" * 32}
    create = ("keys", "create", "--customer", "1", "--service", "seal", *why)
    assert "--publish: no vault directory" in opsdeck(vault.dsn, *create, API_SECRET_KEY="2f" * 32).complained(2)
    made = opsdeck(vault.dsn, *create, **place)
    assert made.code == 0
    first = fingerprint(made.out.removesuffix("\n"))  # stdout is the key and nothing else
    assert f", holds 0x{first:08x}\n" in made.err
    assert first in vault.inside()
    rotated = opsdeck(vault.dsn, "keys", "rotate", str(first), "--json", *why, **place).json
    second = fingerprint(rotated["key"])
    assert (rotated["vault"]["seq"], vault.inside() & {first, second}) == (4, {first, second})
    assert opsdeck(vault.dsn, "keys", "revoke", str(first), str(second), *why, **place).code == 0
    assert not vault.inside() & {first, second}
    back = opsdeck(vault.dsn, "keys", "undo-revoke", str(first), str(second), *why, **place)
    assert (back.code, back.out.rstrip()[-16:]) == (0, "holds the 2 keys")
    assert vault.inside() >= {first, second}
    revoke(vault.dsn, 51)  # its customer has no service, so no vault holds it
    without = opsdeck(vault.dsn, "keys", "undo-revoke", "51", *why, **place)
    assert (without.code, "version 6 does not hold 0x00000033" in without.err) == (1, True)


def test_publishing_despite_a_warning_takes_a_reason_and_a_second_person_where_that_is_set(vault: Press) -> None:
    because, place = ("--reason", "they left", "--yes"), configured(vault)
    despite = ("vault", "publish", "ma", "--accept-loss", "2")
    assert "--reason is missing" in opsdeck(vault.dsn, *despite, **place).complained(2)
    assert "nothing warns of the ma vault" in opsdeck(vault.dsn, *despite, *because, **place).complained(1)
    run(vault.dsn, "UPDATE customers SET status = 'closed' WHERE customer_id IN (1, 2)")
    few = opsdeck(vault.dsn, "vault", "publish", "ma", "--accept-loss", "1", *because, **place)
    assert (few.code, "2 customers would vanish, more than 1" in few.err) == (1, True)
    rule = ("approvals", "require", "publish-despite-warning", "--above", "1", "--told-apart-by", "login")
    assert opsdeck(vault.dsn, *rule, *because).code == 0
    asked = opsdeck(vault.dsn, *despite, *because, SUDO_USER="ann", **place)
    assert (asked.code, "takes a second person" in asked.err) == (1, True)
    assert len(vault.files()) == 2
    [request] = opsdeck(vault.dsn, "approvals", "list", "--json").json["requests"]
    assert request["command"] == "opsdeck vault publish ma --accept-loss 2"
    assert opsdeck(vault.dsn, "approvals", "approve", request["approval_id"], *because, SUDO_USER="bob").code == 0
    done = opsdeck(vault.dsn, *despite, *because, SUDO_USER="ann", **place)
    assert (done.code, "approved by bob" in done.out) == (0, True)
    assert "Version 3 of the ma vault, published" in done.out
    assert set(vault.content()["customers"]) == {"3", "5"}


def test_a_change_of_a_customer_is_published_at_once_on_demand(vault: Press) -> None:
    why = ("--reason", "abuse", "--yes", "--publish")
    assert "--publish: no vault directory is configured" in opsdeck(
        vault.dsn, "customers", "disable", "1", "seal", *why
    ).complained(2)
    text = opsdeck(vault.dsn, "customers", "disable", "1", "seal", *why, **configured(vault))
    assert (text.code, text.out.splitlines()[0]) == (0, "seal of customer 1 is disabled now")
    assert "Version 3 of the ma vault, published 2" in text.out
    services = vault.content()["customers"]["1"]["services"]
    assert {name: one["status"] for name, one in services.items()} == {"seal": "disabled", "grpc": "active"}
    tier = opsdeck(vault.dsn, "customers", "tier", "1", "grpc", "pro", *why, "--json", **configured(vault)).json
    assert (tier["outcome"], tier["vault"]["seq"]) == ("done", 4)
    assert vault.content()["customers"]["1"]["services"]["grpc"]["limits"]["guaranteed_rps"] == 1000
    (vault.directory / "ma-000000009-0123456789abcdef.enc").touch()
    stuck = opsdeck(vault.dsn, "customers", "suspend", "1", *why, **configured(vault))
    assert stuck.code == 1
    assert stuck.out.startswith("Customer 1 is now suspended\n")
    assert "The change stands, but no vault with it is published" in stuck.err
