"""opsdeck demo: an embedded PostgreSQL, an invented business with live traffic, and the console on it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from pydantic import SecretStr

from console import failures
from console.cli.context import (
    Context,
    Subparsers,
    add_command,
    escrow_chain,
    open_database,
    own_command,
    require_terminal,
)
from console.cli.output import emit, narrate
from console.cli.simulate import add_stuck_gateway, rate
from console.settings import ENVIRONMENT_DSN, ChainTable, Profile, Settings
from db.embedded import embedded_server
from db.errors import DatabaseError
from db.migrate import migrate
from db.source import SIMULATED_PACKAGE, Source, invent_business, settle_vaults

_TIMER_S = 10.0


def default_folder() -> Path:
    """Where the demo keeps its data. As root not below /root: the server runs as another user."""
    if os.geteuid() == 0:
        return Path("/var/lib/opsdeck/demo")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "opsdeck" / "demo"


def add(commands: Subparsers) -> None:
    parser = add_command(commands, "demo", "try opsdeck: embedded PostgreSQL, simulated traffic, the console")
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        type=Path,
        default=default_folder(),
        help=f"where its data is kept ({default_folder()})",
    )
    parser.add_argument("--rate", metavar="N", type=rate, default=200.0, help="log rows a second (200)")
    parser.add_argument(
        "--customers", metavar="N", type=int, default=2000, help="customers to invent on the first start (2000)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="same seed, same business (1)")
    add_stuck_gateway(parser)
    parser.add_argument("--headless", action="store_true", help="no console: print the DSN and run until a signal")
    parser.set_defaults(run=run_demo)


async def run_demo(context: Context, options: Namespace) -> int:
    if not options.headless:
        require_terminal()  # before the server is started and a business invented
    _end_in_order()
    folder = options.data_dir.expanduser().resolve()
    with embedded_server(folder) as dsn:
        port = _free_port()
        profile = Profile(chain=_chain(port))
        settings = Settings("demo", profile, SecretStr(dsn), read_only=getattr(options, "read_only", False))
        await _prepare(settings, options, folder)
        with _simulator(dsn, options, folder, port):
            async with _timer(settings):
                if options.headless:
                    emit(json.dumps({"dsn": dsn}))
                    sys.stdout.flush()
                    await _until_signal()
                    return failures.DONE
                return await context.open_console(settings)


async def _prepare(settings: Settings, options: Namespace, folder: Path) -> None:
    database = open_database(Settings(settings.profile_name, settings.profile, settings.dsn, read_only=False))
    await database.open()
    try:
        await migrate(database)
        narrate("opsdeck demo: preparing the data (the first start takes some seconds) …")
        examples = await invent_business(
            settings.dsn.get_secret_value(), customers=options.customers, rate=options.rate, seed=options.seed
        )
        await settle_vaults(database, folder)
        # Before the gateways start: without a vault they serve nobody.
        await Source(database).publish_vault("")
    finally:
        await database.close()
    if examples:
        # What the customers hold, so that pasting a full key can be tried. Nothing in the database tells them.
        path = folder / "customer-keys.txt"
        path.touch(mode=0o600)
        path.write_text("".join(f"{example.customer_id} {example.key}\n" for example in examples), encoding="ascii")


@asynccontextmanager
async def _timer(settings: Settings) -> AsyncGenerator[None]:
    """Runs the jobs when they are due, as a timer does on an ops box."""
    database = open_database(Settings(settings.profile_name, settings.profile, settings.dsn, read_only=False))
    await database.open()
    source = Source(database, chain=escrow_chain(settings.profile.chain))
    task = asyncio.create_task(_run_when_due(source))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await source.close()
        await database.close()


async def _run_when_due(source: Source) -> None:
    while True:
        # A database that is away is on screen already, and what a job could not do on record; next round tries again.
        with suppress(DatabaseError):
            # Last night's bills are left to the visitor: a dry run explains each of them.
            await source.run_due_jobs(without=("calculate-bills",))
        await asyncio.sleep(_TIMER_S)


def _free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _chain(port: int) -> ChainTable:
    return ChainTable(
        target=f"127.0.0.1:{port}",
        packages=(SIMULATED_PACKAGE,),
        charges_move_usdc=True,  # its accounts begin with the balance of the books
        tls=False,
        requests_per_s=1000,
    )


@contextmanager
def _simulator(dsn: str, options: Namespace, folder: Path, port: int) -> Generator[None]:
    """The gateways and the chain, in a process of their own so that the console keeps a core for itself."""
    known = ("--rate", str(options.rate), "--seed", str(options.seed), "--chain-port", str(port))
    command = own_command("simulate", "--until-eof", *known)
    if options.stuck_gateway is not None:
        command += ["--stuck-gateway", options.stuck_gateway]
    with (folder / "simulator.log").open("wb") as log:
        child = subprocess.Popen(
            command,
            env=os.environ | {ENVIRONMENT_DSN: dsn},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # Its own session: ctrl-c at the terminal is for the console, which then ends the simulator.
            start_new_session=True,
        )
    try:
        yield
    finally:
        assert child.stdin is not None  # noqa: S101 - it was opened as a pipe above
        child.stdin.close()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _end_in_order() -> None:
    """Lets SIGTERM end the preparation as ctrl-c does: through the `finally` that stops the server."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this runs inside asyncio.run()
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
