"""The form of a vault file and of the keys: what an independent reader makes of it, and what is not one."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.suiftly.vault.errors import Damaged, UnknownKey, VaultError
from db.suiftly.vault.file_format import canonical, open_file, seal
from db.suiftly.vault.keyring import Keyring, VaultKey, create_key_file, parse_keys, read_keys
from db.suiftly.vault.versions import open_path
from tests.vault_reader import read_vault

KEY = VaultKey("2026-11", bytes(range(32)))
OTHER = VaultKey("2025-01", bytes(32))
BUILT = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)
DOCUMENT = {"customers": {"42": {"services": {}, "status": "active"}}, "vault": "ma"}


def sealed(key: VaultKey = KEY, seq: int = 12) -> tuple[str, bytes]:
    header, data = seal(key, "ma", seq, BUILT, canonical(DOCUMENT))
    return header.file_name, data


def test_a_reader_that_knows_only_the_readme_reads_it(tmp_path: Path) -> None:
    name, data = sealed()
    assert name.startswith("ma-000000012-")
    (tmp_path / name).write_bytes(data)
    assert read_vault(tmp_path / name, {"2026-11": bytes(range(32))}) == DOCUMENT
    assert json.loads(data.partition(b"\n")[0])["built_at"] == "2026-11-20T14:05:00Z"
    assert b"customers" not in data


def test_two_seals_of_one_content_share_nothing_but_their_name() -> None:
    (first, one), (second, other) = sealed(), sealed()
    assert first == second
    assert one.partition(b"\n")[2][:32] != other.partition(b"\n")[2][:32]


def test_older_keys_open_what_they_sealed() -> None:
    header, content = open_file(sealed(OTHER)[1], Keyring(KEY, (OTHER,)))
    assert (header.key_id, header.seq, content) == ("2025-01", 12, canonical(DOCUMENT))


def test_a_key_that_is_not_listed_is_named() -> None:
    with pytest.raises(UnknownKey, match="2025-01"):
        open_file(sealed(OTHER)[1], Keyring(KEY))


def test_every_altered_byte_is_noticed() -> None:
    _, data = sealed()
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises((Damaged, UnknownKey)):
            open_file(bytes(altered), Keyring(KEY))


def test_every_truncation_is_noticed() -> None:
    _, data = sealed()
    for length in range(len(data)):
        with pytest.raises(Damaged):
            open_file(data[:length], Keyring(KEY))


def test_a_header_that_claims_something_else_does_not_open() -> None:
    _, data = sealed()
    line, _, rest = data.partition(b"\n")
    for changed in (b'"seq":13', b'"seq":12.0', b'"seq":0'):
        with pytest.raises(Damaged):
            open_file(line.replace(b'"seq":12', changed) + b"\n" + rest, Keyring(KEY))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"{}\n", b"[1]\n", b"null\n", b"\xff\xfe\n", b"[" * 1020 + b"\n", b"x" * 100_000,
        b"-----BEGIN PGP MESSAGE-----\n\nabc", b'{"format":"suiftly-vault/2"}\n', b'{"format":"suiftly-vault/1"}\n',
        b'{"format":"suiftly-vault/1","seq":1e999,"vault":"ma","built_at":"2026-11-20","key":"a","nonce":"","sha256":""}\n',
    ],
)  # fmt: skip
def test_a_foreign_file_is_one_calm_error(data: bytes) -> None:
    with pytest.raises(Damaged):
        open_file(data, Keyring(KEY))


def test_the_right_name_with_the_wrong_key_says_so_without_it() -> None:
    with pytest.raises(Damaged, match="'2026-11' is another one") as caught:
        open_file(sealed()[1], Keyring(VaultKey("2026-11", bytes(32))))
    assert bytes(32).hex() not in str(caught.value)


def test_a_renamed_file_is_not_taken_for_another_version(tmp_path: Path) -> None:
    name, data = sealed()
    for wrong in (name.replace("12", "13"), name.replace("ma", "mm")):
        (tmp_path / wrong).write_bytes(data)
        with pytest.raises(VaultError, match="renamed"):
            open_path(tmp_path / wrong, Keyring(KEY))
    (tmp_path / "copy.bin").write_bytes(data)
    assert open_path(tmp_path / "copy.bin", Keyring(KEY)).header.file_name == name


A, B = "a" * 64, "B" * 64


def test_keys_are_read_from_lines_or_commas() -> None:
    for text in (f"new {A}\n# the one before\nold {B}\n", f"new:{A},old={B}", f"  new\t{A} # now\n\nold {B}"):
        keys = parse_keys(text, "here")
        assert (keys.current.id, keys.current.secret) == ("new", bytes.fromhex(A))
        assert keys.find("old").secret == bytes.fromhex(B)
        assert A not in repr(keys)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no vault key"),
        ("# nothing", "no vault key"),
        (A, "key 1 is not"),
        (f"new {A[:-1]}", "key 1 is not"),
        (f"new {A}\nOLD {B}", "key 2 is not"),
        (f"new {A}\nnew {B}", "same ID"),
    ],
)
def test_what_is_no_key_is_not_repeated(text: str, complaint: str) -> None:
    with pytest.raises(VaultError, match=complaint) as caught:
        parse_keys(text, "OPSDECK_VAULT_KEYS")
    assert "aaaa" not in str(caught.value)
    assert "OPSDECK_VAULT_KEYS" in str(caught.value)


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    create_key_file(path, "first")
    assert read_keys(path).current.id == "first"
    for mode in (0o640, 0o604, 0o644):
        path.chmod(mode)
        with pytest.raises(VaultError, match="chmod 600"):
            read_keys(path)
    with pytest.raises(VaultError, match="No such file"):
        read_keys(tmp_path / "missing")
    path.write_bytes(b"\xff\x00")
    path.chmod(0o600)
    with pytest.raises(VaultError, match="not plain text"):
        read_keys(path)
