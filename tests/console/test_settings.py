"""The chain table of a profile: off without it, read strictly, and its tokens never told."""

from pathlib import Path

import pytest

from console.settings import Settings, UsageError, load_settings

PACKAGE = "0x" + "AB" * 32
CHAIN = f"[profiles.default]\ndsn = 'postgresql://u@h/d'\n[profiles.default.chain]\npackages = ['{PACKAGE}']\n"


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "opsdeck.toml"
    monkeypatch.setenv("OPSDECK_CONFIG", str(path))
    monkeypatch.delenv("OPSDECK_PROFILE", raising=False)
    monkeypatch.delenv("OPSDECK_DATABASE_URL", raising=False)
    return path


def load() -> Settings:
    return load_settings(profile=None, dsn=None, read_only=False)


def test_a_chain_is_read_from_its_table_and_is_off_without_one(configured: Path) -> None:
    configured.write_text("[profiles.default]\ndsn = 'postgresql://u@h/d'\n", encoding="utf-8")
    assert load().profile.chain is None
    configured.write_text(
        CHAIN
        + "target = 'node.example:443'\narchive = '[::1]:9000'\nchain_id = '35834a8a'\nca_file = 'ca.pem'\n"
        + "headers = { X-Api-Key = 't0ken' }\n",
        encoding="utf-8",
    )
    table = load().profile.chain
    assert table is not None
    assert table.packages == (PACKAGE.lower(),)
    config = table.config()
    assert (str(config.target), str(config.archive), config.chain_id) == ("node.example:443", "[::1]:9000", "35834a8a")
    assert config.ca_file == str(configured.parent / "ca.pem")
    assert config.headers == (("x-api-key", "t0ken"),)
    assert "t0ken" not in repr(load()) + repr(table) + repr(config) + str(config)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "profiles.default.chain.target: Field required"),
        ("target = 'https://node:443/key'", "chain.target: give host:port without https://"),
        ("target = 'node'", "chain.target: give host:port, such as"),
        ("target = 'n:1'\ntimeout_s = 0", "chain.timeout_s: Input should be greater than 0"),
        ("target = 'n:1'\nretries = 3", "chain.retries: there is no such setting; there are target, archive, chain_id"),
        ('target = "n:1"\nheaders = { x-api-key = "t0ken\\n" }', "chain: headers.x-api-key: give printable ASCII"),
        ("target = 'n:1'\ntls = false", "profiles.default.chain: tls = false is for a node on this machine"),
    ],
)
def test_a_bad_chain_is_named_by_its_field(configured: Path, line: str, sentence: str) -> None:
    configured.write_text(CHAIN + line + "\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load()
    assert sentence in str(caught.value)


def test_an_evm_package_is_told_to_be_one(configured: Path) -> None:
    configured.write_text(CHAIN.replace("AB" * 32, "AB" * 20) + "target = 'n:1'\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"chain.packages.0: object id: this is an Ethereum \(EVM\) address"):
        load()
