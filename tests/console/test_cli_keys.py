"""Keys made, rotated and read from the shell, and the secret that this takes."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from console import api_secret
from console.settings import Profile, Settings, UsageError
from db.suiftly.keys.format import decode, fingerprint
from tests.console.command import opsdeck, terminal
from tests.db.seed import CUSTOMER, add_customer, add_request, add_service

SECRET = "2f" * 32
SURE = ("--reason", "asked for by mail", "--yes")
NEW = ("keys", "create", "--customer", str(CUSTOMER), "--service", "seal")


@pytest.fixture
def shop(dsn: str) -> str:
    add_customer(dsn, CUSTOMER)
    add_service(dsn, CUSTOMER, "seal")
    return dsn


def keys(dsn: str) -> list[tuple[int, bool]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT api_key_fp, is_active FROM api_keys ORDER BY created_at").fetchall()


def test_a_key_is_made_told_once_decoded_rotated_and_never_told_again(shop: str) -> None:
    made = opsdeck(shop, *NEW, "--access", "permission", "--network", "testnet", *SURE, API_SECRET_KEY=SECRET)
    assert made.code == 0
    key = made.out.removesuffix("\n")
    told = decode(bytes.fromhex(SECRET), key)
    assert (told.customer_id, told.metadata.network, told.metadata.source) == (CUSTOMER, "testnet", "derived")
    assert key not in made.err
    assert "only time that the key is told" in made.err

    read = opsdeck(shop, "keys", "decode", "-", stdin=f"{key}\n", X_API_KEY_SECRET=SECRET)
    assert read.code == 0
    assert f"customer      {CUSTOMER}" in read.out
    assert "testnet, permission, derived, production" in read.out
    assert "fits the table" in read.out
    foreign = opsdeck(shop, "keys", "decode", "-", stdin=f"{key}\n", API_SECRET_KEY="00" * 32)
    assert "another API secret" in foreign.complained(2)

    label = f"0x{fingerprint(key):08x}"
    rotated = opsdeck(shop, "keys", "rotate", label, "--overlap", "90m", *SURE, "--json", API_SECRET_KEY=SECRET)
    assert rotated.code == 0
    new = rotated.json["key"]
    assert keys(shop) == [(fingerprint(key), True), (fingerprint(new), True)]
    assert decode(bytes.fromhex(SECRET), new).metadata == told.metadata
    assert rotated.json["after"][f"key:{fingerprint(key)}"]["replaced_by"] == f"0x{fingerprint(new):08x}"
    shown = opsdeck(shop, "keys", "show", label)
    assert f"replaced by 0x{fingerprint(new):08x}" in shown.out
    again = opsdeck(shop, "keys", "rotate", label, *SURE, API_SECRET_KEY=SECRET)
    assert (again.code, again.out) == (1, "")
    assert "is being replaced already" in again.err

    assert opsdeck(shop, "keys", "revoke", label, *SURE).code == 0
    undone = opsdeck(shop, "keys", "undo-revoke", label, *SURE)
    assert (undone.code, undone.out.splitlines()[0]) == (0, f"Live again: {label}")
    assert "is live; there is no revocation" in opsdeck(shop, "keys", "undo-revoke", label, *SURE).err
    assert keys(shop) == [(fingerprint(key), True), (fingerprint(new), True)]

    for command in (("audit", "list", "--json"), ("keys", "list", "--json"), ("keys", "show", label, "--json")):
        everything = opsdeck(shop, *command).out
        assert label in everything or str(fingerprint(key)) in everything
        for part in (key, new, key[10:20], new[10:20]):
            assert part not in everything


def test_what_cannot_be_made_is_said_in_a_sentence_and_nothing_is_made(shop: str) -> None:
    def says(*arguments: str, secret: str = SECRET) -> str:
        return opsdeck(shop, *arguments, *SURE, API_SECRET_KEY=secret).complained(2)

    assert "no API secret is set" in says(*NEW, secret="")
    assert "no API secret is set" in says("keys", "rotate", "42", secret="")
    assert "no API secret is set" in opsdeck(shop, "keys", "decode", "-", stdin="x\n").complained(2)
    assert "API_SECRET_KEY is not 64 hex digits" in says(*NEW, secret="7e57")
    assert "--source goes with --access permission" in says(*NEW, "--source", "derived")
    assert "--overlap: 'soon' is not a span" in says("keys", "rotate", "42", "--overlap", "soon")
    assert "--reason" in opsdeck(shop, *NEW, "--yes", API_SECRET_KEY=SECRET).complained(2)
    refused = opsdeck(shop, "keys", "create", "--customer", "5", "--service", "seal", *SURE, API_SECRET_KEY=SECRET)
    assert (refused.code, refused.out) == (1, "")
    assert "there is no customer 5" in refused.err
    assert keys(shop) == []
    # None of it is in the way of what needs no secret.
    assert opsdeck(shop, "keys", "list", API_SECRET_KEY="nonsense").code == 0


def test_on_a_terminal_the_limit_is_shown_before_and_no_makes_none(shop: str) -> None:
    with terminal(shop, *NEW, "--reason", "asked for", API_SECRET_KEY=SECRET) as screen:
        screen.wait_for("Type yes to go on")
        assert "live keys: 0 → 1, of 20 at the most" in screen.seen
        assert "shown once" in screen.seen
        screen.type("no\n")
        assert screen.end() == 1
    assert keys(shop) == []


def test_the_secret_stands_in_a_file_that_nobody_else_may_read(shop: str, tmp_path: Path) -> None:
    profile = f'[profiles.default]\ndsn = "{shop}"\napi_secret_file = "secret"\nprice_preset = "head-2026"\n'
    (tmp_path / "config.toml").write_text(profile + f'[profiles.prod]\ndsn = "{shop}"\nproduction = true\n')
    file = tmp_path / "secret"
    configured = {"OPSDECK_CONFIG": str(tmp_path / "config.toml")}

    missing = opsdeck(None, *NEW, *SURE, **configured)
    assert f"{file} cannot be read: No such file" in missing.complained(2)
    file.write_text(SECRET + "\n")
    file.chmod(0o640)
    assert f"chmod 600 {file}" in opsdeck(None, *NEW, *SURE, **configured).complained(2)
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    made = opsdeck(None, *NEW, *SURE, "--json", **configured, API_SECRET_KEY="00" * 32)
    assert made.code == 0
    assert decode(bytes.fromhex(SECRET), json.loads(made.out)["key"]).customer_id == CUSTOMER
    with psycopg.connect(shop) as connection:  # the price book of the profile says how many
        connection.execute(
            """INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type)
               SELECT n::text, n, lpad(n::text, 64, '0'), %s, 'seal' FROM generate_series(1, 9) n""",
            (CUSTOMER,),
        )
    full = opsdeck(None, *NEW, *SURE, **configured)
    assert full.code == 1
    assert "has 10 live keys, and 10 is the most" in full.err


def test_production_does_not_run_with_the_secret_that_everybody_knows(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_secret, "is_public_test_secret", lambda secret: secret == bytes.fromhex(SECRET))
    monkeypatch.setenv("API_SECRET_KEY", SECRET)
    for production in (False, True):
        settings = Settings("p", Profile(production=production), SecretStr(shop), read_only=True)
        if production:
            with pytest.raises(UsageError, match="test secret of the public sources") as caught:
                api_secret.api_secret(settings)
            assert SECRET not in str(caught.value)
        else:
            assert api_secret.api_secret(settings).value == bytes.fromhex(SECRET)


def test_a_proof_is_waited_for_and_only_a_proof_exits_with_0(business: str) -> None:
    live = opsdeck(business, "keys", "proof", "42", "--wait", "5m", "--json")
    assert (live.code, live.json["state"]) == (1, "NOT REVOKED"), "and was not waited for"
    assert "no key with fingerprint 0x00000005" in opsdeck(business, "keys", "proof", "5").err
    assert "'2h' is not a time to wait" in opsdeck(business, "keys", "proof", "42", "--wait", "2h").complained(2)

    with psycopg.connect(business) as connection:
        connection.execute(
            "UPDATE api_keys SET is_active = false, revoked_at = now() - interval '90 s' WHERE api_key_fp = 42"
        )
    early = opsdeck(business, "keys", "proof", "42", "--wait", "1s", "--json")
    assert (early.code, early.json["state"]) == (1, "NO TRAFFIC YET")
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(opsdeck, business, "keys", "proof", "0x2a", "--wait", "30s")
        add_request(business, api_key_fp=42, traffic_type=3, event_type=31, status_code=403)
        proven = waiting.result()
    assert proven.code == 0, proven.err
    assert proven.out.startswith("PROVEN: 1 refusal, no success since the revocation; as of ")
    assert "clocks of the gateways" in proven.out.splitlines()[-1]
