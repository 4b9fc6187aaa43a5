"""The real command as a process of its own, from outside: what it prints, how it ends, what a terminal sees."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any, cast

from tests.console.forked import run_forked

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "console")
NO_CONFIGURATION = "/nonexistent/opsdeck.toml"
# The command inside a terminal of its own: ctrl-c reaches only who has it as controlling terminal.
_ADOPT_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def goes_on(self) -> list[str]:
        """The option that the last line on stderr of a listing that was cut names."""
        found = re.search(r"there are more: go on with (--before|--after) (\S+)\n\Z", self.err)
        assert found is not None, self.err
        return [found[1], found[2]]

    def complained(self, code: int) -> str:
        """The one sentence on stderr of a command that ended with `code` and gave no data."""
        assert (self.code, self.out) == (code, ""), self
        assert self.err.startswith("opsdeck: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err


def environment(dsn: str | None = None, **more: str) -> dict[str, str]:
    """The environment without whatever the person running the tests has set."""
    ours = ("OPSDECK_", "PYTHON", "PG", "SSH_", "SUDO_", "XDG_CONFIG", "TEXTUAL", "API_SECRET", "X_API")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    clean["OPSDECK_CONFIG"] = NO_CONFIGURATION
    if dsn is not None:
        clean["OPSDECK_DATABASE_URL"] = dsn
    return clean | more


def opsdeck(dsn: str | None, *arguments: str, stdin: str = "", **more: str) -> Result:
    """Runs the command to its end; `more` is environment. Its standard streams are files, never a terminal."""
    began = monotonic()
    code, out, err = run_forked(arguments, environment(dsn, **more), stdin, timeout_s=60)
    assert "Traceback" not in err, err
    return Result(code, out, err, monotonic() - began)


def all_of(dsn: str | None, commands: Sequence[Sequence[str]], **more: str) -> list[Result]:
    """Runs many commands, some at a time, and gives their results in order; `more` is environment."""

    def run(arguments: Sequence[str]) -> Result:
        return opsdeck(dsn, *arguments, **more)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(run, commands))


def until(what: Callable[[], object], seconds: float = 15, why: str = "it did not happen in time") -> None:
    """Polls until `what` is true."""
    deadline = monotonic() + seconds
    while not what():
        assert monotonic() < deadline, why
        sleep(0.03)


def moments(value: Any) -> Iterator[str]:
    """Every text in a JSON document that begins like a time."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]", value):
        yield value
    elif isinstance(value, dict):
        yield from moments(list(cast("dict[str, object]", value).values()))
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from moments(each)


def assert_utc(document: Any) -> None:
    """Every time in it is RFC 3339, UTC, with a Z; and there is at least one."""
    found = list(moments(document))
    assert found
    assert [moment for moment in found if not _MOMENT.fullmatch(moment)] == []


class Running:
    """A command that goes on. Its lines gather in `lines` as they arrive."""

    def __init__(self, dsn: str | None, *arguments: str, **more: str) -> None:
        self.lines: list[str] = []
        self.err: list[str] = []
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=environment(dsn, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: IO[str], lines: list[str]) -> None:
        with stream:
            lines.extend(iter(stream.readline, ""))

    def wait_for(self, text: str, seconds: float = 20) -> None:
        """Until a line of stdout holds the text."""

        def arrived() -> bool:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.err}"
            return any(text in line for line in list(self.lines))

        until(arrived, seconds, f"no {text!r} in {len(self.lines)} lines; stderr: {self.err}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals | None = None, seconds: float = 20) -> int:
        """Sends the signal and returns the exit code once everything it wrote was read."""
        if number is not None:
            self.send(number)
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        assert "Traceback" not in "".join(self.err), "".join(self.err)
        return code


@contextmanager
def running(dsn: str | None, *arguments: str, **more: str) -> Generator[Running]:
    """A running command that is gone afterwards."""
    command = Running(dsn, *arguments, **more)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


class Terminal:
    """A command on a pseudo-terminal of 80x24; `seen` is every character it wrote there."""

    def __init__(self, dsn: str | None, *arguments: str, **more: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ADOPT_TERMINAL, *COMMAND, *arguments],
            cwd=ROOT,
            env=environment(dsn, **({"TERM": "xterm-256color"} | more)),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._bytes = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # the other side is closed
                return
            if not piece:
                return
            self._bytes += piece

    @property
    def seen(self) -> str:
        return bytes(self._bytes).decode(errors="replace")

    def wait_for(self, text: str, seconds: float = 20) -> None:
        def shown() -> bool:
            assert self.process.poll() is None or text in self.seen, self.seen[-2000:]
            return text in self.seen

        until(shown, seconds, f"no {text!r} on the terminal: {self.seen[-2000:]!r}")

    @property
    def echoes(self) -> bool:
        """Whether it shows what is typed, a line at a time, as a shell expects it."""
        flags: int = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON and flags & termios.ISIG)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self, seconds: float = 20) -> int:
        code = self.process.wait(seconds)
        self._reader.join(2)
        assert "Traceback" not in self.seen, self.seen
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(2)
        os.close(self._master)


@contextmanager
def terminal(dsn: str | None, *arguments: str, **more: str) -> Generator[Terminal]:
    """A command on a terminal; both are gone afterwards."""
    screen = Terminal(dsn, *arguments, **more)
    try:
        yield screen
    finally:
        screen.close()
