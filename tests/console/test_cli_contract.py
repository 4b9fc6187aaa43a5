"""What every command keeps to: data on stdout, narration on stderr, the exit codes, one sentence for what is wrong."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from console.cli import parse
from tests.console.command import COMMAND, ROOT, all_of, environment, opsdeck, running
from tests.db.seed import CUSTOMER, add_customer, add_key, add_request

LONG = "9" * 30


@pytest.fixture
def business(dsn: str) -> str:
    add_customer(dsn, CUSTOMER)
    add_key(dsn, 42, CUSTOMER)
    return dsn


def everything(dsn: str) -> list[object]:
    """All that a command could have changed."""
    with psycopg.connect(dsn) as connection:
        return [
            connection.execute("SELECT * FROM customers ORDER BY 1").fetchall(),
            connection.execute("SELECT * FROM api_keys ORDER BY 1").fetchall(),
            connection.execute("SELECT * FROM console.audit ORDER BY 1").fetchall(),
            connection.execute("SELECT count(*) FROM haproxy_raw_logs").fetchall(),
        ]


REVOKE = ("keys", "revoke", "42", "--reason", "leaked")
BAD_OPTIONS = {
    "unknown command": (("frobnicate",), "'frobnicate'"),
    "no verb": (("keys",), "VERB"),
    "unknown verb": (("customers", "burn"), "'burn'"),
    "unknown option": (("customers", "list", "--colour"), "--colour"),
    "abbreviated option": (("keys", "list", "--js"), "--js"),
    "no number": (("customers", "list", "--limit", "many"), "--limit"),
    "no rows": (("customers", "list", "--limit", "0"), "--limit"),
    "fewer than no rows": (("keys", "list", "--limit", "-1"), "--limit"),
    "more rows than there can be": (("audit", "list", "--limit", LONG), "--limit"),
    "no runs": (("jobs", "history", "--limit", "0"), "--limit"),
    "limit of the log": (("tail", "--no-follow", "--limit", "0"), "--limit"),
    "page after nobody": (("customers", "list", "--after", "8"), "--after"),
    "page after no key": (("keys", "list", "--after", "8"), "--after"),
    "page before no version": (("vault", "list", "--before", "12"), "--before"),
    "page before no number": (("audit", "list", "--before", "x"), "--before"),
    "customer zero": (("customers", "show", "0"), "customer id '0'"),
    "customer beyond 32 bits": (("customers", "show", "4294967296"), "customer id '4294967296'"),
    "search word": (("customers", "list", "nonsense"), "'nonsense'"),
    "key state": (("keys", "list", "--state", "dead"), "--state"),
    "fingerprint": (("keys", "show", "xyz"), "fingerprint"),
    "fingerprint beyond 32 bits": (("keys", "revoke", "4294967296", "--reason", "leaked", "--yes"), "fingerprint"),
    "search for a customer's keys": (("keys", "find", "customer:abc"), "customer:"),
    "subject": (("audit", "list", "--subject", "wallet:1"), "--subject"),
    "operation": (("audit", "list", "--operation", "7"), "--operation"),
    "format": (("tail", "--format", "xml"), "--format"),
    "duration without unit": (("tail", "--since", "3"), "--since"),
    "duration beyond any log": (("tail", "--since", "367d"), "--since"),
    "endless duration": (("tail", "--since", f"{LONG}d"), "--since"),
    "rate": (("simulate", "--rate", "0"), "--rate"),
    "no rate": (("simulate", "--seconds", "1"), "--rate"),
    "seconds": (("simulate", "--rate", "1", "--seconds", "-1"), "--seconds"),
    "no reason": (("keys", "revoke", "42", "--yes"), "--reason"),
    "blank reason": (("keys", "revoke", "42", "--reason", "  ", "--yes"), "--reason"),
    "reason too short": (("customers", "suspend", str(CUSTOMER), "--reason", "x", "--yes"), "--reason"),
    "no terminal": (REVOKE, "--yes"),
    "empty DSN": (("customers", "list", "--dsn", ""), "--dsn"),
    "console without a terminal": ((), "terminal"),
}


def test_what_cannot_be_used_is_one_sentence_exit_2_and_changes_nothing(business: str) -> None:
    before = everything(business)
    results = all_of(business, [arguments for arguments, _ in BAD_OPTIONS.values()])
    for (name, (_, named)), result in zip(BAD_OPTIONS.items(), results, strict=True):
        assert named in result.complained(2), name
    assert everything(business) == before


def test_stdout_is_data_and_stderr_is_narration(business: str) -> None:
    add_customer(business, 7)
    add_request(business)
    silent = (
        ("customers", "list"),
        ("customers", "show", str(CUSTOMER)),
        ("keys", "list"),
        ("keys", "show", "42"),
        ("keys", "find", "42"),
        ("doctor",),
        ("migrate", "--check"),
        ("tail", "--no-follow"),
    )
    for arguments, result in zip(silent, all_of(business, silent), strict=True):
        assert result.code == 0, (arguments, result)
        assert result.err == "", arguments
        assert result.out.endswith("\n"), arguments
    page = opsdeck(business, "customers", "list", "--limit", "1")
    assert page.code == 0
    assert "--after 7" in page.err
    assert "--after" not in page.out
    add_key(business, 44, CUSTOMER)
    cut = opsdeck(business, "keys", "find", f"customer:{CUSTOMER}", "--limit", "1")
    assert (cut.code, cut.out.count("\n")) == (0, 2)
    assert cut.goes_on == ["--after", "0x0000002c"]
    rest = opsdeck(business, "keys", "find", f"customer:{CUSTOMER}", "--after", "0x0000002c", "--json").json
    assert ([key["fingerprint"] for key in rest["keys"]], rest["complete"]) == ([42], True)
    nothing = opsdeck(business, "keys", "find", "43")
    assert (nothing.code, nothing.out, nothing.err) == (1, "", "no key matches\n")


def test_unknown_things_exit_1_with_a_sentence(business: str) -> None:
    commands = (
        ("customers", "show", "8"),
        ("keys", "show", "8"),
        ("audit", "list", "--operation", "00000000-0000-4000-8000-000000000000"),
    )
    for arguments, result in zip(commands, all_of(business, commands), strict=True):
        assert (result.code, result.out) == (1, ""), arguments
        assert result.err.count("\n") == 1, arguments


COMMANDS = (
    *(("demo",), ("tail",), ("doctor",), ("migrate",), ("simulate",), ("usage", "reconcile"), ("audit", "list")),
    *(("customers", verb) for verb in ("list", "show", "suspend", "close", "tier", "limit")),
    *(("keys", verb) for verb in ("list", "find", "show", "revoke")),
    *(("jobs", verb) for verb in ("list", "run", "history")),
)


def helped(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parse([*command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_a_command_does_and_what_its_options_take(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = helped(command, capsys)
    assert text.split("\n\n")[1][0].isupper(), "a sentence between usage and options"
    options = re.findall(r"--([a-z-]+) ([A-Z_]+)\b", text)
    assert {name for name, value in options if value == name.replace("-", "_").upper()} <= {"dsn"}


def test_help_of_what_changes_something_says_that_it_asks(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("keys", "revoke"), ("customers", "suspend"), ("customers", "resume")):
        assert "asks before it does it" in " ".join(helped(command, capsys).split())


def test_a_database_that_does_not_answer_is_exit_3_within_seconds() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # takes connections and never says a word
        silent = f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/x"
        refused = "postgresql://u@127.0.0.1:1/x"
        missing = "postgresql://u@/x?host=/nonexistent"
        commands = [("--dsn", dsn, "customers", "list", "--json") for dsn in (silent, refused, missing)]
        for result in all_of(None, commands):
            assert "does not answer" in result.complained(3)
            assert result.seconds < 9, "5 s to connect, and the start of four commands on two cores"


def test_a_database_that_does_not_exist_is_said_not_to_exist(business: str) -> None:
    nowhere = urlsplit(business)._replace(path="/nope").geturl()
    commands = [("--dsn", nowhere, "customers", "list"), ("--dsn", nowhere, "doctor")]
    for result in all_of(None, commands):
        assert 'the database "nope" does not exist on this server. Look at database' in result.complained(3)


def test_an_interrupted_tail_is_exit_130_without_a_word(business: str) -> None:
    add_request(business, path_prefix="marker")
    with running(business, "tail", "--format", "json") as tail:
        tail.wait_for("marker")
        assert tail.end(signal.SIGINT) == 130
        assert tail.err == []


def test_a_reader_that_leaves_ends_the_command_cleanly(business: str) -> None:
    with psycopg.connect(business) as connection:
        connection.execute(
            """INSERT INTO haproxy_raw_logs (timestamp, network, server_id, service_type, api_key_fp, fe_type,
                                             traffic_type, event_type, client_ip, status_code, time_total)
               SELECT now(), 1, 19, 1, 42, 2, 1, 0, '203.0.113.9', 200, n FROM generate_series(1, 3000) n"""
        )
    for arguments in (["--no-follow", "--limit", "3000"], ["--since", "5m"], []):
        process = subprocess.Popen(
            [*COMMAND, "tail", "--format", "json", *arguments],
            cwd=ROOT,
            env=environment(business),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline().startswith(b"{")
            process.stdout.close()
            assert process.wait(15) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def test_a_terminal_without_unicode_still_gets_its_rows(business: str) -> None:
    add_request(business, repeat=3)
    with running(business, "tail", "--no-follow", PYTHONIOENCODING="ascii") as tail:
        assert tail.end() == 0
    assert tail.err == []
    assert "?3" in tail.lines[0]


def test_the_folder_one_stands_in_is_never_imported(business: str, tmp_path: Path) -> None:
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "__init__.py").write_text("raise SystemExit('imported from the current folder')")
    secret = business.replace("postgres@", "postgres:secret@")
    done = subprocess.run(
        # As the installed script does: the current folder is not on the path. A password makes it start over.
        [COMMAND[0], "-P", "-m", "console", "--dsn", secret, "customers", "list"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=os.fspath(ROOT)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert str(CUSTOMER) in done.stdout


@pytest.mark.parametrize(
    "secretive", ["customers show {}", "customers suspend {} --reason leaked --yes", "keys list --customer {}"]
)
def test_a_key_pasted_into_the_wrong_command_is_not_repeated(business: str, secretive: str) -> None:
    key = "SA3BCDEFGHIJKLMNOPQRSTUVWXYZ234567ABC"
    complaint = opsdeck(business, *secretive.format(key).split()).complained(2)
    assert "customer id" in complaint
    assert key[:8] not in complaint
