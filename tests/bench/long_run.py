"""A long run of the live log with a burst in it: memory, lag, keys, and every row counted and compared.

The screen cannot show every row, so it is asked for its sum: what the line below the log says was received must be
what was committed. Beside it `opsdeck tail`, which reads by the same cursor, hands over the rows themselves.

How old the newest row on the screen is, is not the console's doing alone: the gateways hold a batch back now and
then, and a commit may wait for the disk. Thus it is told apart from how long ago that row was committed.
"""

import random
import re
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import psycopg

from tests.bench.every_row import Tail, stored, unequal
from tests.bench.live_log import BURST, KEYS, PATIENCE_S, RATE, WARM_UP_S, Lags, Seen, console, simulate
from tests.bench.terminal import Terminal

_PARTS, _BURST_PART = 10, 7  # each has a line of its own; the burst is in the eighth
_BURST_S = 10.0
_KEY_EVERY_S = 5.0
_WORST = 5
_APART = timedelta(seconds=10)  # one trouble is told once
_SETTLES_S = 900.0
_QUIET_S = 40.0  # longer than a query of the tail may take
_RECEIVED = re.compile(rb"([\d,]{2,}) received")
_SINCE_COMMIT = """
    SELECT s.at, extract(epoch FROM s.at - c.at)::float8 FROM sample s CROSS JOIN LATERAL (
        SELECT max(pg_xact_commit_timestamp(xid::xid)) AS at FROM haproxy_raw_logs
        WHERE timestamp = s.newest AND pg_xact_commit_timestamp(xid::xid) <= s.at
    ) c WHERE c.at IS NOT NULL
"""
_SILENCE = """
    WITH commits AS (SELECT pg_xact_commit_timestamp(xid::xid) AS at FROM haproxy_raw_logs GROUP BY xid)
    SELECT at, extract(epoch FROM next - at)::float8 FROM (SELECT at, lead(at) OVER (ORDER BY at) AS next FROM commits)
    WHERE next IS NOT NULL ORDER BY 2 DESC LIMIT 5
"""
_CHECKPOINTS = "SELECT num_timed + num_requested, write_time / 1000, sync_time / 1000 FROM pg_stat_checkpointer"

Timed = tuple[datetime, float]
"""A number of seconds, and when it was measured."""


class Watch:
    """Uses the console's terminal, and remembers what its screen told and when."""

    def __init__(self, terminal: Terminal) -> None:
        self.received = -1  # what the line below the log said last
        self.lags = Lags()
        self.keys: list[Timed] = []
        self.silence: list[Timed] = []  # times without a byte for the screen, of a second or more
        self._terminal = terminal
        self._paused = False
        self._seen = Seen(b"")
        self._heard = time.monotonic()
        self._key_at = self._heard + WARM_UP_S + _KEY_EVERY_S
        terminal.listen = self._hear

    def _hear(self, at: float, data: bytes) -> None:
        if at - self._heard > 1:
            self.silence.append((datetime.now(UTC), at - self._heard))
        self._heard = at
        if found := _RECEIVED.findall(data):
            self.received = int(found[-1].replace(b",", b""))
        if not self._paused:
            self.lags.hear_frames(at, data)
        self._seen.hear(at, data)

    def run(self, until: float) -> None:
        """Until that `time.monotonic()`; now and then a pause, and on again."""
        while (now := time.monotonic()) < until:
            if now < self._key_at:
                self._terminal.run(min(until, self._key_at) - now)
            else:
                self._key_at = now + random.uniform(0.9, 1.1) * _KEY_EVERY_S
                for key, sign in KEYS:
                    self._press(key, sign)

    def _press(self, key: bytes, sign: bytes) -> None:
        self._paused = True  # its rows are old because somebody looks at them
        self._seen = seen = Seen(sign)
        pressed = self._terminal.press(key)
        self._terminal.run(PATIENCE_S, lambda: seen.at)
        self.keys.append((datetime.now(UTC), (seen.at or time.monotonic()) - pressed))
        self._terminal.run(random.uniform(0.3, 0.8))
        self._paused = False


def long(dsn: str, seconds: float, folder: Path) -> None:
    """For so long, with a burst in it: nothing lost, nothing twice, memory flat."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE haproxy_raw_logs")
    print(f"\n{seconds / 60:.1f} minutes of {RATE:,} rows/s, with {_BURST_S:.0f} s of {BURST:,} in them\n")
    print("| minutes | rows/s | lag p50 / p95 / p99 / worst s | key p50 / p95 / p99 / worst ms | KB/s | CPU % | MB |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    rows = _Writer(dsn, RATE, WARM_UP_S + seconds, seed=1)
    burst = _Writer(dsn, BURST - RATE, _BURST_S, seed=2)
    with console(dsn) as terminal:
        tail = Tail(dsn, folder / "tail.csv")
        terminal.run(WARM_UP_S)
        watch = Watch(terminal)
        rows.start()
        terminal.run(WARM_UP_S)
        began = datetime.now(UTC)
        _parts(seconds, terminal, watch, burst)
        _settle(terminal, (rows, burst), tail, watch)
    _tell(dsn, began, burst, watch)
    committed = _rows(dsn)
    equal = "equal" if committed == watch.received else "NOT EQUAL"
    print(f"\ncommitted {committed:,}, received by the screen {watch.received:,}: {equal}", flush=True)
    live, there = tail.end(), stored(dsn)
    missing, more = unequal(there, live)
    print(f"opsdeck tail wrote {len(live):,} rows: {missing:,} of the table's are missing, "
          f"{more:,} are there twice or are none of its; it said {tail.said}")  # fmt: skip


class _Writer(threading.Thread):
    """Writes exactly so many rows a second for so long, or for longer when the machine cannot."""

    def __init__(self, dsn: str, rate: int, seconds: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.began = self.ended = datetime.now(UTC)
        self._dsn = dsn
        self._options = ("--rate", str(rate), "--seconds", str(seconds), "--seed", str(seed))

    def run(self) -> None:
        self.began = datetime.now(UTC)
        simulate(self._dsn, *self._options).wait()
        self.ended = datetime.now(UTC)


def _parts(seconds: float, terminal: Terminal, watch: Watch, burst: _Writer) -> None:
    """Runs and tells part by part."""
    began = time.monotonic()
    for number in range(_PARTS):
        lags, keys, received = len(watch.lags.samples), len(watch.keys), watch.received
        name = f"{(time.monotonic() - began) / 60:.1f}"
        terminal.begin()
        if number == _BURST_PART:
            burst.start()
        watch.run(began + seconds * (number + 1) / _PARTS)
        span = terminal.end()
        name += f" to {(time.monotonic() - began) / 60:.1f}" + ", burst" * (number == _BURST_PART)
        print(f"| {name} | {(watch.received - received) / span.seconds:,.0f} "
              f"| {_spread(watch.lags.seconds[lags:])} | {_spread((s for _, s in watch.keys[keys:]), 1000)} "
              f"| {span.kb_per_s:.1f} | {span.cpu_percent:.0f} | {span.rss_mb[1]:.0f} |", flush=True)  # fmt: skip


def _settle(terminal: Terminal, writers: tuple[_Writer, ...], tail: Tail, watch: Watch) -> None:
    """Waits until no more rows come: on a busy machine the tail, which writes every row, lags behind."""
    while any(writer.is_alive() for writer in writers):
        terminal.run(0.5)
    began = time.monotonic()
    until, before = began + _SETTLES_S, (-2, -2)
    while time.monotonic() < until and (now := (watch.received, tail.size)) != before:
        before = now
        terminal.run(_QUIET_S)
    print(f"\nno more rows came {time.monotonic() - began - _QUIET_S:.0f} s after the last was written; "
          f"{before[1] / 1e9:.2f} GB of csv")  # fmt: skip


def _tell(dsn: str, began: datetime, burst: _Writer, watch: Watch) -> None:
    """The figures of the whole run, and what may explain the worst of them."""
    start, end = burst.began, burst.ended + timedelta(seconds=_BURST_S)
    age = [(at, (at - newest).total_seconds()) for at, newest in watch.lags.samples]
    since_commit = _since_commit(dsn, watch.lags.samples)
    figures = {"age of the newest row on the screen, s": age, "time since its commit, s": since_commit}
    print("\n| p50 / p95 / p99 / worst | all | in the burst and 10 s behind it | otherwise |\n|---|---:|---:|---:|")
    for name, samples in (figures | {"key to screen, s": watch.keys}).items():
        within = [spent for at, spent in samples if start <= at <= end]
        without = [spent for at, spent in samples if not start <= at <= end]
        print(f"| {name} | {_spread(spent for _, spent in samples)} | {_spread(within)} | {_spread(without)} |")
    with psycopg.connect(dsn) as connection:
        commits: list[Timed] = connection.execute(_SILENCE).fetchall()
        checkpoints = connection.execute(_CHECKPOINTS).fetchone()
    minutes = [f"{(at - began).total_seconds() / 60:.2f}" for at in (burst.began, burst.ended)]
    print(f"\nthe worst, in seconds, and at which minute; the burst was from {minutes[0]} to {minutes[1]}")
    for name, samples in (figures | {
        "key to screen": watch.keys, "a second and more without a frame": watch.silence,
        "without a commit, which began": commits,
    }).items():  # fmt: skip
        print(f"- {name}: {_worst(samples, began)}")
    print("- checkpoints: {}, {:.0f} s of writing, {:.1f} s of syncing".format(*checkpoints or (0, 0, 0)))


def _since_commit(dsn: str, samples: list[tuple[datetime, datetime]]) -> list[Timed]:
    """How long ago the newest row on the screen was committed. Of several of its millisecond the last is meant."""
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TEMP TABLE sample (at timestamptz, newest timestamptz)")
        with connection.cursor() as cursor, cursor.copy("COPY sample FROM STDIN") as copy:
            for sample in samples:
                copy.write_row(sample)
        connection.execute("ANALYZE sample")
        return connection.execute(_SINCE_COMMIT).fetchall()


def _worst(samples: Iterable[Timed], began: datetime) -> str:
    """The longest, one for each trouble."""
    told: list[Timed] = []
    for at, spent in sorted(samples, key=lambda sample: -sample[1]):
        if len(told) < _WORST and all(abs(at - other) > _APART for other, _ in told):
            told.append((at, spent))
    return ", ".join(f"{spent:.2f} at {(at - began).total_seconds() / 60:.2f}" for at, spent in told) or "none"


def _spread(values: Iterable[float], unit: float = 1.0) -> str:
    found = [value * unit for value in values]
    if len(found) < 2:
        return "-"
    hundredths = quantiles(found, n=100, method="inclusive")
    return " / ".join(f"{value:.3g}" for value in (hundredths[49], hundredths[94], hundredths[98], max(found)))


def _rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM haproxy_raw_logs").fetchone()
        assert row is not None
        return int(row[0])
