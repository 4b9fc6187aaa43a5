"""opsdeck simulate: write what gateways write."""

import asyncio
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import AsyncExitStack

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, narrate, to_json
from db.errors import Denied
from db.service_life import recorded_life
from db.source import SIMULATED_GATEWAYS, SimulationProgress, simulate, simulated_chain


def rate(text: str) -> float:
    """Rows a second."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 200_000:
        raise ArgumentTypeError(f"{text!r} is not a rate; give rows a second above 0, at most 200000")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def add(commands: Subparsers) -> None:
    parser = add_command(commands, "simulate", "write simulated traffic into a database made by demo or simulate")
    parser.add_argument("--rate", metavar="N", type=rate, required=True, help="rows a second")
    parser.add_argument("--seconds", metavar="S", type=_seconds, help="for how many seconds (until interrupted)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="same seed, same traffic (1)")
    add_stuck_gateway(parser)
    parser.add_argument("--until-eof", action="store_true", help="end when standard input is closed")
    parser.add_argument(
        "--chain-port", metavar="P", type=int, help="also answer on this port for a simulated chain with its escrow"
    )
    parser.add_argument("--json", action="store_true", help="print the totals as JSON")
    parser.set_defaults(run=run_simulate)


def add_stuck_gateway(parser: ArgumentParser) -> None:
    """Also an option of the demo, which passes it on."""
    parser.add_argument(
        "--stuck-gateway",
        metavar="NAME",
        choices=SIMULATED_GATEWAYS,
        help=f"a gateway that applies no newer vault, {SIMULATED_GATEWAYS[0]} to {SIMULATED_GATEWAYS[-1]}",
    )


async def run_simulate(context: Context, options: Namespace) -> int:
    settings = context.settings()
    if settings.read_only:
        raise Denied(f"profile {settings.profile_name!r} is read-only here, and simulated traffic is written")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if options.until_eof:
        # The demo holds the other end: however it dies, this ends too.
        try:
            loop.add_reader(sys.stdin.fileno(), _stop_at_eof, loop, stop)
        except PermissionError:  # a file or /dev/null cannot be waited on: it is at its end at once
            stop.set()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(context.database())
        await stack.enter_async_context(recorded_life(database, "simulator"))
        if options.chain_port is not None:
            dsn = settings.dsn.get_secret_value()
            await stack.enter_async_context(simulated_chain(dsn, options.chain_port, options.seed))
        progress = await simulate(
            settings.dsn.get_secret_value(),
            options.rate,
            options.seconds,
            options.seed,
            stop=stop,
            stuck=options.stuck_gateway,
        )
    _report(progress, as_json=options.json)
    return failures.DONE


def _stop_at_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not sys.stdin.buffer.raw.read(1024):  # type: ignore[attr-defined]
        loop.remove_reader(sys.stdin.fileno())
        stop.set()


def _report(progress: SimulationProgress, *, as_json: bool) -> None:
    if as_json:
        emit(to_json(progress))
    else:
        narrate(f"wrote {progress.rows:,} rows, {progress.requests:,} requests in {progress.batches:,} batches")
