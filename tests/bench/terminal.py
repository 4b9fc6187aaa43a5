"""A terminal 120 columns by 40 rows for programs under measurement, at the end of a link that may be slow."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

COLUMNS, ROWS = 120, 40
_CURSOR_QUERY = b"\x1b[6n"
_QUERIES = {
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",  # synchronized output: so that every frame is marked
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[?u": b"\x1b[?0u",
    b"\x1b]10;?": b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
    b"\x1b]11;?": b"\x1b]11;rgb:0000/0000/0000\x1b\\",
    _CURSOR_QUERY: b"\x1b[1;1R",
}
_ANY_QUERY = re.compile(b"|".join(map(re.escape, _QUERIES)))
_MOVE = re.compile(rb"\x1b\[(\d+);(\d+)H")
FRAME = b"\x1b[?2026h"


@dataclass(frozen=True, slots=True)
class Link:
    """A model of what is between program and terminal: a rate, a round trip, and the window of an SSH channel."""

    bytes_per_s: float = 0.0  # 0: as fast as they come
    round_trip_s: float = 0.0
    window: int = 2 << 20


LOCAL = Link()


@dataclass(slots=True)
class Usage:
    """Of the program, so far."""

    cpu_s: float
    rss_mb: float


@dataclass(slots=True)
class Span:
    """What was measured between two moments."""

    seconds: float
    bytes: int
    frames: int
    full_frames: int  # that wrote half of the screen's lines or more, from their beginning
    cpu_percent: float
    rss_mb: tuple[float, float]
    most_in_flight: int
    by_line: Counter[int]  # bytes written to each line of the screen; 0 for what addresses none

    @property
    def kb_per_s(self) -> float:
        return self.bytes / self.seconds / 1000


@dataclass(slots=True)
class _Tally:
    began: float
    usage: Usage
    bytes: int = 0
    frames: int = 0
    full_frames: int = 0
    most_in_flight: int = 0
    by_line: Counter[int] = field(default_factory=Counter[int])


class Terminal:
    """Runs a program until the `with` ends. `listen` hears what reaches the screen, and when."""

    def __init__(
        self,
        command: list[str],
        *,
        link: Link = LOCAL,
        answers_cursor: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.listen: Callable[[float, bytes], object] | None = None
        self._link = link
        self._answers_cursor = answers_cursor
        self._to_screen: deque[tuple[float, bytes]] = deque()
        self._to_program: deque[tuple[float, bytes]] = deque()
        self._in_flight = 0
        self._free_at = 0.0  # when the link has carried what is in flight
        self._last = self._tail = b""
        self._frame = b""
        self._tally: _Tally | None = None
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            plain = {name: value for name, value in os.environ.items() if name not in {"TMUX", "NO_COLOR"}}
            of_terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
            try:
                os.execvpe(command[0], command, plain | of_terminal | dict(environment or {}))
            finally:
                os._exit(127)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            os.kill(self._pid, number)
            until = time.monotonic() + patience_s
            while time.monotonic() < until:
                if os.waitpid(self._pid, os.WNOHANG)[0]:
                    os.close(self._fd)
                    return
                self._swallow()

    def press(self, keys: bytes) -> float:
        """Returns when they were pressed; they reach the program half a round trip later."""
        now = time.monotonic()
        self._to_program.append((now + self._link.round_trip_s / 2, keys))
        return now

    def run(self, seconds: float, until: Callable[[], object] | None = None) -> bool:
        """Lets time pass; True when `until` came true."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if until is not None and until():
                return True
            self._step(min(end - now, 0.01))
        return False

    def begin(self) -> None:
        """From here on is measured."""
        self._tally = _Tally(time.monotonic(), self._usage())

    def end(self) -> Span:
        """To here."""
        tally, usage = self._tally, self._usage()
        assert tally is not None
        self._tally = None
        seconds = time.monotonic() - tally.began
        return Span(
            seconds,
            tally.bytes,
            tally.frames,
            tally.full_frames,
            100 * (usage.cpu_s - tally.usage.cpu_s) / seconds,
            (tally.usage.rss_mb, usage.rss_mb),
            tally.most_in_flight,
            tally.by_line,
        )

    def _step(self, patience_s: float) -> None:
        now = time.monotonic()
        while self._to_program and self._to_program[0][0] <= now:
            os.write(self._fd, self._to_program.popleft()[1])
        while self._to_screen and self._to_screen[0][0] <= now:
            self._arrive(*self._to_screen.popleft())
        moments = [moment for queue in (self._to_program, self._to_screen) for moment, _ in list(queue)[:1]]
        wait = max(0.0, min([now + patience_s, *moments]) - now)
        room = self._link.window - self._in_flight
        if room > 0 and select.select([self._fd], [], [], wait)[0]:
            try:
                data = os.read(self._fd, min(65536, room))
            except OSError:
                raise RuntimeError(f"the program ended: …{self._last.decode(errors='replace')}") from None
            self._last = data[-2000:]
            self._take(data)
        elif room <= 0:
            time.sleep(wait)

    def _take(self, data: bytes) -> None:
        """From the program into the link."""
        now = time.monotonic()
        rate = self._link.bytes_per_s
        self._free_at = max(now, self._free_at) + (len(data) / rate if rate else 0.0)
        self._in_flight += len(data)
        self._to_screen.append((self._free_at + self._link.round_trip_s / 2, data))
        if self._tally is not None:
            self._tally.bytes += len(data)
            self._tally.most_in_flight = max(self._tally.most_in_flight, self._in_flight)
            self._count(data)

    def _count(self, data: bytes) -> None:
        """Whole frames, by the line they address. What comes before the first mark of a frame waits for it."""
        assert self._tally is not None
        *frames, self._frame = (self._frame + data).split(FRAME)
        for frame in frames:
            pieces = _MOVE.split(frame)
            self._tally.by_line[0] += len(pieces[0]) + len(FRAME)
            touched: set[int] = set()
            for line, column, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
                self._tally.by_line[int(line)] += len(text) + len(line) + len(column) + 4
                if column == b"1":
                    touched.add(int(line))
            self._tally.frames += 1
            self._tally.full_frames += len(touched) >= ROWS / 2

    def _arrive(self, at: float, data: bytes) -> None:
        """At the screen, which answers what it is asked."""
        self._in_flight -= len(data)
        for query in _ANY_QUERY.findall(self._tail + data):
            if query != _CURSOR_QUERY or self._answers_cursor:
                self._to_program.append((time.monotonic() + self._link.round_trip_s / 2, _QUERIES[query]))
        # A query may be cut in two, but must not be answered twice.
        self._tail = data[-8:] if _ANY_QUERY.search(data[-16:]) is None else b""
        if self.listen is not None:
            self.listen(at, data)

    def _usage(self) -> Usage:
        process = Path(f"/proc/{self._pid}")
        numbers = (process / "stat").read_text().rsplit(")", 1)[1].split()
        resident = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
        cpu_s = (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
        return Usage(cpu_s, int(resident[1]) / 1024 if resident else 0.0)

    def _swallow(self) -> None:
        try:
            if select.select([self._fd], [], [], 0.05)[0]:
                os.read(self._fd, 65536)
        except OSError:
            time.sleep(0.05)
