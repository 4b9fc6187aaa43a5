"""Commands that run as processes of their own, forked from one that has imported opsdeck: the start of Python takes
three quarters of what a short command takes.

python -m tests.console.forked SOCKET waits for orders until the socket is closed. An order is arguments and environment
as JSON, and four descriptors: standard input, output, error, and where to write the process id and the exit code.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

_ROOT = Path(__file__).parents[2]
_NUMBER = 4  # bytes of a number on its way back


@functools.cache
def _parent() -> socket.socket:
    """The way to the process that forks, which lives as long as this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.console.forked", str(theirs.fileno())]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        process = subprocess.Popen(command, cwd=_ROOT, env=clean, pass_fds=[theirs.fileno()])
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def run_forked(
    arguments: Sequence[str], environment: Mapping[str, str], stdin: str, timeout_s: float
) -> tuple[int, str, str]:
    """Exit code, output and error of a command."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        answers, answer = os.pipe()
        with open(answers, "rb", buffering=0) as told:  # noqa: PTH123 - of a descriptor
            order = json.dumps([list(arguments), dict(environment)]).encode()
            socket.send_fds(_parent(), [order], [given.fileno(), out.fileno(), err.fileno(), answer])
            os.close(answer)
            process = int.from_bytes(told.read(_NUMBER))
            if not select.select([told], [], [], timeout_s)[0]:
                os.kill(process, signal.SIGKILL)
                raise TimeoutError(f"{arguments} did not end within {timeout_s} s")
            code = int.from_bytes(told.read(_NUMBER), signed=True)
        out.seek(0)
        err.seek(0)
        return code, out.read().decode(), err.read().decode()


def _take_orders(control: socket.socket) -> int:
    """The exit code of a command, in the process that ran it; 0 in the one that forks."""
    from console.__main__ import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who tells how a command ended is waited for by nobody
    gc.freeze()
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 4)
        if not order:
            return 0
        arguments, environment = json.loads(order)
        if "chain" in arguments:
            importlib.import_module("db.chain.wire")  # half a second, once instead of for each command
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            *streams, answer = descriptors
            if process := os.fork():
                os.write(answer, process.to_bytes(_NUMBER))
                code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                os.write(answer, code.to_bytes(_NUMBER, signed=True))
                os._exit(0)
            _become(streams, arguments, environment)
            os.close(answer)
            return main()
        for descriptor in descriptors:
            os.close(descriptor)


def _become(streams: Sequence[int], arguments: list[str], environment: dict[str, str]) -> None:
    """As if this process had been started so."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.orig_argv[:] = [sys.executable, "-m", "console", *arguments]
    random.seed()


if __name__ == "__main__":
    sys.exit(_take_orders(socket.socket(fileno=int(sys.argv[1]))))
