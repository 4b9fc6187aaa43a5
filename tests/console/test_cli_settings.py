"""Which database is meant, what the profile says, and that a password is never seen."""

import signal
from pathlib import Path

import psycopg
import pytest

from console.cli import password_free
from tests.console.command import all_of, opsdeck, running
from tests.db.seed import CUSTOMER, add_customer, add_key, add_request

SECRET = "hunter2xyz"
NOWHERE = "postgresql://u@127.0.0.1:1/x"


@pytest.fixture
def business(dsn: str) -> str:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    return dsn


def with_password(dsn: str) -> str:
    return dsn.replace("postgres@", f"postgres:{SECRET}@")


def profile(folder: Path, text: str) -> str:
    path = folder / "opsdeck.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_database_is_named_before_or_behind_the_command_or_in_the_environment(business: str) -> None:
    secret = with_password(business)
    for arguments in (
        ("--dsn", business, "customers", "list", "--json"),
        ("customers", "--dsn", business, "list", "--json"),
        ("customers", "list", "--json", "--dsn", business),
        (f"--dsn={secret}", "customers", "list", "--json"),
        ("customers", "list", "--json", "--dsn", secret),
    ):
        result = opsdeck(NOWHERE, *arguments)  # an option wins over the environment
        assert result.code == 0, (arguments, result)
        assert [row["customer_id"] for row in result.json["customers"]] == [CUSTOMER]
    assert opsdeck(business, "customers", "list", "--json").code == 0
    assert "OPSDECK_DATABASE_URL" in opsdeck(None, "customers", "list").complained(2)


def test_options_win_over_the_environment_and_the_environment_over_the_profile(business: str, tmp_path: Path) -> None:
    path = profile(tmp_path, f"[profiles.here]\ndsn = '{business}'\n[profiles.away]\ndsn = '{NOWHERE}'\n")

    def code(dsn: str | None, *arguments: str, **more: str) -> int:
        return opsdeck(dsn, *arguments, "customers", "list", OPSDECK_CONFIG=path, **more).code

    assert code(None, "--profile", "here") == 0
    assert code(NOWHERE, "--profile", "here") == 0, "who names a profile means its database"
    assert code(None, OPSDECK_PROFILE="here") == 0
    assert code(business, OPSDECK_PROFILE="away") == 0
    assert code(None, "--profile", "away", "--dsn", business) == 0
    # A DSN with a password travels to a second start of the command, and still wins there.
    assert code(None, "--profile", "away", "--dsn", with_password(business)) == 0


def replica(dsn: str | None, *arguments: str, **more: str) -> str | None:
    """What the doctor says of the replica; None when nothing is said."""
    checks = opsdeck(dsn, *arguments, "doctor", "--json", **more).json["checks"]
    return next((check["sentence"] for check in checks if check["name"] == "replica"), None)


def test_a_replica_goes_with_the_database_it_is_named_beside(business: str, tmp_path: Path) -> None:
    secret = f"postgresql://u:{SECRET}@127.0.0.1:1/x"
    path = profile(tmp_path, f"[profiles.here]\ndsn = '{business}'\nreplica_dsn = '{secret}'\n")
    gone = replica(None, "--profile", "here", OPSDECK_CONFIG=path)
    assert gone is not None
    assert gone.startswith("x@127.0.0.1, where the log is read, cannot be used: ")
    assert SECRET not in gone
    assert replica(None, "--profile", "here", "--dsn", business, OPSDECK_CONFIG=path) is None
    assert replica(business, OPSDECK_PROFILE="here", OPSDECK_CONFIG=path) is None
    itself = replica(business, OPSDECK_REPLICA_URL=business)
    assert itself is not None
    assert "it is the primary itself" in itself
    assert replica(NOWHERE, "--dsn", business, OPSDECK_REPLICA_URL=business) is None
    assert replica(business, OPSDECK_REPLICA_URL="") is None


def test_without_its_replica_the_log_is_not_read_and_the_rest_goes_on(business: str) -> None:
    customers, tail, key = (
        opsdeck(business, *arguments, OPSDECK_REPLICA_URL=NOWHERE)
        for arguments in (("customers", "list", "--json"), ("tail", "--no-follow"), ("keys", "show", "42"))
    )
    assert key.code == 0
    assert "last 15 min   not known" in key.out
    assert "its traffic is not known: the replica, where the log is read, cannot be used" in key.err
    assert [row["customer_id"] for row in customers.json["customers"]] == [CUSTOMER]
    assert "the replica, where the log is read, cannot be used" in tail.complained(3)


BAD_FILES = {
    "[profiles.prod]\npasswrd = 'x'\n": "profiles.prod.passwrd: there is no such setting",
    "[prod]\ndsn = 'x'\n": "prod: there is no such setting; there are profiles",
    "[profiles.prod]\nstatement_timeout_s = 0\n": "profiles.prod.statement_timeout_s",
    "[profiles.prod]\nproduction = 'perhaps'\n": "profiles.prod.production",
    f"[profiles.prod]\ndsn = ['{SECRET}']\n": "profiles.prod.dsn",
    "profiles = 3\n": "profiles",
    f"[profiles.prod\ndsn = '{SECRET}'\n": "not valid TOML",
    f"[profiles.other]\ndsn = 'postgresql://u:{SECRET}@h/x'\n": "there is no profile 'prod'",
    f"[profiles.prod]\ndsn = 'postgresql://u:{SECRET}%@h/x'\n": "DSN",
    f"[profiles.prod]\ndsn = 'postgresql://u@h/x'\nreplica_dsn = 'postgresql://u:{SECRET}%@h/x'\n": "replica_dsn",
    f"[profiles.prod]\ndsn = 'postgresql://u@h/x'\nreplica_dsn = 'postgresql://u:{SECRET}/@h/x'\n": "replica_dsn",
    "[profiles.prod]\n": "no database is named",
}


def test_a_bad_profile_file_is_one_sentence_that_names_the_field(tmp_path: Path) -> None:
    for text, named in BAD_FILES.items():
        result = opsdeck(None, "--profile", "prod", "customers", "list", OPSDECK_CONFIG=profile(tmp_path, text))
        complaint = result.complained(2)
        assert named in complaint, text
        assert SECRET not in complaint


def test_a_bad_price_book_is_one_sentence_that_names_file_and_line(business: str, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text("default = 'ours'\n[presets.ours]\nrounding = 'away'\n")
    path = profile(tmp_path, "[profiles.default]\nprice_book = 'ours.toml'\n")
    told = opsdeck(business, "jobs", "list", OPSDECK_CONFIG=path).complained(2)
    assert f"{tmp_path}/ours.toml, line 3: presets.ours.rounding" in told


def test_a_profile_file_that_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes("[profiles.prod]\n# Z\u00fcrich\n".encode("latin-1"))
    assert f"{path} is not UTF-8" in opsdeck(NOWHERE, "doctor", OPSDECK_CONFIG=str(path)).complained(2)
    assert f"{tmp_path} cannot be read" in opsdeck(NOWHERE, "doctor", OPSDECK_CONFIG=str(tmp_path)).complained(2)


def test_a_production_profile_starts_read_only_and_says_how_to_change_that(business: str, tmp_path: Path) -> None:
    revoke = ("keys", "revoke", "42", "--reason", "leaked", "--yes")
    production = f"[profiles.prod]\ndsn = '{business}'\nproduction = true\n"
    path = profile(tmp_path, production)
    refused = opsdeck(None, "--profile", "prod", *revoke, OPSDECK_CONFIG=path).complained(1)
    assert "set read_only = false" in refused
    assert "leave out --read-only" in opsdeck(business, *revoke, "--read-only").complained(1)
    for arguments in (("simulate", "--rate", "5", "--seconds", "1"), ("migrate",)):
        assert "read-only" in opsdeck(None, "--profile", "prod", *arguments, OPSDECK_CONFIG=path).complained(1)
    with psycopg.connect(business) as connection:
        assert connection.execute("SELECT is_active FROM api_keys").fetchall() == [(True,)]
        assert connection.execute("SELECT count(*) FROM console.audit").fetchall() == [(0,)]
    assert opsdeck(None, "--profile", "prod", "keys", "show", "42", OPSDECK_CONFIG=path).code == 0
    path = profile(tmp_path, production + "read_only = false\n")
    assert opsdeck(None, "--profile", "prod", *revoke, OPSDECK_CONFIG=path).code == 0


def test_a_password_is_in_no_process_list(business: str) -> None:
    add_request(business, path_prefix="marker")
    secret = with_password(business)
    twice = ("--dsn", secret, "tail", "--dsn", business)
    for arguments in (("--dsn", secret, "tail"), ("tail", f"--dsn={secret}"), twice):
        with running(NOWHERE, *arguments) as tail:
            tail.wait_for("marker")
            assert SECRET not in Path(f"/proc/{tail.process.pid}/cmdline").read_text(encoding="utf-8")
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    assert SECRET not in process.read_text(encoding="utf-8", errors="replace"), process
                except (FileNotFoundError, ProcessLookupError):
                    continue
            assert tail.end(signal.SIGINT) == 130


WRONG_DSNS = (
    f"postgresql://u:{SECRET}@127.0.0.1:1/x",
    f"postgresql://u:{SECRET}@127.0.0.1:port/x",
    f"postgresql://u:pa@{SECRET}@127.0.0.1:1/x",
    f"postgresql://u:pa/{SECRET}@127.0.0.1:1/x",
    f"postgresql://{SECRET}/a@127.0.0.1:1/x",
    f"postgresql://u:{SECRET}%@127.0.0.1:1/x",
    f"postgresql://u:{SECRET}@[::1/x",
    f"postgresql://u@127.0.0.1:1/x?passwrd={SECRET}",
    f"host=127.0.0.1 port=1 password={SECRET}",
    f"host=127.0.0.1 port=1 password=pa {SECRET}",
    f"host=127.0.0.1 port=1 passwd={SECRET}",
    f"mysql://u:{SECRET}@127.0.0.1/x",
)


def test_a_wrong_dsn_gives_no_password_away() -> None:
    results = all_of(None, [("--dsn", dsn, "doctor") for dsn in WRONG_DSNS])
    for dsn, result in zip(WRONG_DSNS, results, strict=True):
        assert result.code in (2, 3), (dsn, result)
        assert SECRET not in result.complained(result.code), dsn
    assert {result.code for result in results} == {2, 3}


@pytest.mark.parametrize("dsn", WRONG_DSNS)
def test_no_wrong_dsn_stays_on_the_command_line(dsn: str) -> None:
    for arguments in (["--dsn", dsn, "doctor"], ["doctor", f"--dsn={dsn}"], ["--dsn", "x=", "--dsn", dsn]):
        rest, hidden = password_free(arguments)
        assert hidden == dsn
        assert not any(SECRET in word for word in rest)


def test_an_abbreviated_option_does_not_carry_a_password_past_that() -> None:
    complaint = opsdeck(None, "doctor", "--ds", f"postgresql://u:{SECRET}@127.0.0.1:1/x").complained(2)
    assert "--ds" in complaint
