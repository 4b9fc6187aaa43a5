"""`opsdeck demo` from outside, on one folder: started, told to end, killed, started again. The order is the story."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import psycopg
import pytest

from tests.console.command import Running, opsdeck, running, terminal, until

CUSTOMERS = 50
SMALL = ("--customers", str(CUSTOMERS), "--rate", "50")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="opsdeck-demo-", dir="/tmp"))
    folder.chmod(0o755)  # as root the server runs as another user
    yield folder
    for pid in alive(folder):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _mentions(process: Path, folder: Path) -> bool:
    """Whether a process has the folder in its command line or environment, or stands in it."""
    names = (os.fsencode(folder), quote(str(folder), safe="").encode())
    texts = [(process / "cmdline").read_bytes(), os.fsencode((process / "cwd").readlink())]
    try:
        texts.append((process / "environ").read_bytes())
    except PermissionError:
        pass
    return any(name in text for name in names for text in texts)


def alive(folder: Path, word: str = "") -> list[int]:
    """The processes that work for the demo on that folder; zombies are dead. `word` stands in their command line."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and _mentions(process, folder) and word in (process / "cmdline").read_text():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # gone since, or somebody else's
    return [pid for pid in found if pid != os.getpid()]


def assert_nothing_left(folder: Path) -> None:
    until(lambda: alive(folder) == [], 5, f"left behind: {alive(folder)}")


def demo(folder: Path) -> tuple[str, ...]:
    return ("demo", "--data-dir", str(folder), *SMALL)


def ready(command: Running, seconds: float = 60) -> str:
    """The DSN of the first line."""
    command.wait_for("dsn", seconds)
    document = json.loads(command.lines[0])
    assert list(document) == ["dsn"]
    return str(document["dsn"])


def rows(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_without_a_terminal_that_can_show_it_nothing_is_even_started(folder: Path) -> None:
    with terminal(None, *demo(folder), TERM="dumb") as screen:
        assert screen.end() == 2
        assert "TERM=dumb" in screen.seen
        assert "--help" in screen.seen
    assert "terminal" in opsdeck(None, *demo(folder)).complained(2)
    assert list(folder.iterdir()) == []


def test_sigterm_while_the_first_start_prepares_leaves_no_process(folder: Path) -> None:
    with running(None, *demo(folder), "--headless") as command:
        until(lambda: any("preparing" in line for line in list(command.err)), 40, "it never got to preparing")
        assert alive(folder) != []
        assert command.end(signal.SIGTERM) == 130
        assert command.lines == []
    assert_nothing_left(folder)


def test_headless_tells_its_dsn_first_serves_every_command_and_ends_on_sigterm(folder: Path) -> None:
    with running(None, *demo(folder), "--headless") as command:
        dsn = ready(command)
        assert len(alive(folder, "simulate")) == 1
        listed = opsdeck(None, "customers", "list", "--json", "--dsn", dsn).json
        assert len(listed["customers"]) == CUSTOMERS
        assert opsdeck(dsn, "migrate", "--check").code == 0
        assert opsdeck(dsn, "doctor").code == 0
        with running(dsn, "tail", "--format", "json", "--limit", "30") as tail:
            assert tail.end(seconds=30) == 0, "30 rows at 50 a second"
        assert len(tail.lines) == 30

        customer, key = (folder / "customer-keys.txt").read_text(encoding="ascii").split("\n")[0].split()
        assert (folder / "customer-keys.txt").stat().st_mode & 0o077 == 0
        found = opsdeck(dsn, "keys", "find", "-", "--json", stdin=key).json["keys"]
        assert [str(row["customer_id"]) for row in found] == [customer]

        second = opsdeck(None, *demo(folder), "--headless").complained(1)
        assert str(folder) in second
        assert str(command.process.pid) in second
        assert "--data-dir" in second
        assert opsdeck(dsn, "customers", "list").code == 0, "the first goes on"

        assert command.end(signal.SIGTERM) == 0
    assert_nothing_left(folder)


def test_a_second_start_reuses_the_data_and_is_fast_and_ends_on_sigint(folder: Path) -> None:
    began = monotonic()
    with running(None, *demo(folder), "--headless") as command:
        dsn = ready(command)
        assert monotonic() - began < 6, "the first start takes longer than this on any machine"
        assert rows(dsn, "customers") == CUSTOMERS
        logged = rows(dsn, "haproxy_raw_logs")
        until(lambda: rows(dsn, "haproxy_raw_logs") > logged, 15, "no traffic")
        assert command.end(signal.SIGINT) == 0
    assert_nothing_left(folder)


def test_after_a_kill_the_simulator_ends_by_itself_and_the_next_start_takes_over(folder: Path) -> None:
    with running(None, *demo(folder), "--headless") as command:
        dsn = ready(command)
        logged = rows(dsn, "haproxy_raw_logs")
        until(lambda: rows(dsn, "haproxy_raw_logs") > logged, 15, "no traffic")
        command.end(signal.SIGKILL)
    until(lambda: alive(folder, "simulate") == [], 3, "the simulator goes on")
    left = alive(folder, "postgres")
    assert left != [], "the server cannot know"
    with running(None, *demo(folder), "--headless") as command:
        assert ready(command) == dsn
        assert set(left) & set(alive(folder, "postgres")), "the server of before serves on"
        assert opsdeck(dsn, "customers", "list").code == 0
        assert command.end(signal.SIGTERM) == 0
    assert_nothing_left(folder)


@pytest.mark.parametrize("goodbye", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_the_console_opens_and_leaving_it_leaves_no_process(folder: Path, goodbye: str) -> None:
    with terminal(None, *demo(folder)) as screen:
        screen.wait_for("overview", 30)
        assert alive(folder, "simulate") != []
        screen.type(goodbye)
        assert screen.end() == 0
    assert_nothing_left(folder)


def test_a_folder_that_cannot_be_used_is_one_sentence() -> None:
    complaint = opsdeck(None, "demo", "--headless", "--data-dir", "/proc/nowhere").complained(1)
    assert "/proc/nowhere" in complaint
    assert "--data-dir" in complaint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_root_is_not_opened_up_for_a_data_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    done = opsdeck(None, "demo", "--headless", "--data-dir", str(closed / "demo"))
    assert "cannot enter" in done.complained(1)
    assert closed.stat().st_mode & 0o777 == 0o700
