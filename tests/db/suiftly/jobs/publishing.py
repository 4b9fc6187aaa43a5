"""What the tests of publication share: a small business, a directory with its key, and the job as a timer runs it."""

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg

from db.audit import Actor
from db.database import Database
from db.jobs.history import JobRun
from db.source import PublishDespiteWarning, Receipt, Source, VaultPlace
from db.suiftly.jobs.generate_vault import GenerateMaVault, GenerateMmVault
from tests.db.seed import add_customer, add_key
from tests.vault_reader import newest, read_vault

ANN = Actor("ann", None)


def business(dsn: str) -> None:
    """Customers 1 to 5: 1 has two services and keys 11, 12, 13; 2 key 21; 3 is suspended with 31, 4 closed with 41."""
    for customer, status in ((1, "active"), (2, "active"), (3, "suspended"), (4, "closed"), (5, "active")):
        add_customer(dsn, customer, status)
    for customer, service, tier, enabled in (
        (1, "seal", "pro", True),
        (1, "grpc", "starter", True),
        (2, "seal", "starter", False),
        (3, "seal", "starter", True),
        (4, "seal", "starter", False),
    ):
        run(
            dsn,
            "INSERT INTO service_instances (customer_id, service_type, tier, is_enabled) VALUES (%s, %s, %s, %s)",
            customer, service, tier, enabled,
        )  # fmt: skip
    for key in (11, 12, 13, 21, 31, 41, 51):
        add_key(dsn, key, key // 10)
    run(dsn, "UPDATE api_keys SET service_type = 'grpc' WHERE api_key_fp = 13")


def run(dsn: str, statement: str, *parameters: object) -> None:
    """Changes something as the API server would."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode(), parameters)


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def revoke(dsn: str, *keys: int) -> None:
    run(dsn, "UPDATE api_keys SET is_active = false, revoked_at = now() WHERE api_key_fp = ANY(%s)", list(keys))


def allow(dsn: str, *keys: int) -> None:
    run(dsn, "UPDATE api_keys SET is_active = true, revoked_at = NULL WHERE api_key_fp = ANY(%s)", list(keys))


async def until(query: str, dsn: str, seconds: float = 15) -> None:
    """Until the query has a row."""
    deadline = monotonic() + seconds
    while not await asyncio.to_thread(rows, dsn, query):
        assert monotonic() < deadline, query
        await asyncio.sleep(0.02)


WAITING = """SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
             AND application_name LIKE 'opsdeck%'"""


@dataclass(frozen=True, slots=True)
class Press:
    """A database and the directory where its vaults are published."""

    dsn: str
    database: Database
    place: VaultPlace
    keys: dict[str, bytes]

    @property
    def directory(self) -> Path:
        assert self.place.directory is not None
        return self.place.directory

    @property
    def source(self) -> Source:
        return Source(self.database, ANN, vault=self.place)

    async def generate(self, *, dry_run: bool = False) -> JobRun:
        return await self.source.run_job(GenerateMaVault(), dry_run=dry_run)

    async def accept_loss(self, customers: int) -> Receipt:
        """Says of what warns now that it is meant."""
        warning = await self.source.vault_warning("ma")
        assert warning is not None
        return await self.source.perform(PublishDespiteWarning(warning, customers), "it is meant")

    async def generate_mm(self) -> JobRun:
        return await self.source.run_job(GenerateMmVault())

    async def published(self) -> int:
        """Generates, and that has to lead to a new version: its number."""
        made = await self.generate()
        assert made.outcome == "succeeded", made.message
        assert made.counts == {"versions": 1}, made.message
        return int(newest(self.directory, "ma").name[3:12])

    def files(self, vault: str = "ma") -> list[str]:
        return sorted(path.name for path in self.directory.glob(f"{vault}-*"))

    def content(self, vault: str = "ma") -> dict[str, Any]:
        """The version in force, as a gateway reads it."""
        return read_vault(newest(self.directory, vault), self.keys)

    def inside(self) -> set[int]:
        """The keys in the version in force."""
        services = [service for one in self.content()["customers"].values() for service in one["services"].values()]
        return {key for service in services for key in service["keys"]}

    def assert_whole(self) -> None:
        """Record, system_control and directory agree, and nothing half written lies about."""
        path, seq, hash_ = rows(
            self.dsn,
            "SELECT path, seq, left(sha256, 16) FROM console.vault_version WHERE vault = 'ma' ORDER BY 2 DESC LIMIT 1",
        )[0]
        assert newest(self.directory, "ma") == Path(path)
        assert rows(self.dsn, "SELECT ma_vault_version FROM system_control") == [(f"{seq:09d}-{hash_}",)]
        assert list(self.directory.glob(".*")) == []
        self.content()


def press(dsn: str, database: Database, folder: Path) -> Press:
    """An empty directory and a key of its own."""
    directory, key_file, secret = folder / "vault", folder / "vault.key", secrets.token_bytes(32)
    directory.mkdir()
    write_keys(key_file, ("k1", secret))
    return Press(dsn, database, VaultPlace(directory, key_file), {"k1": secret})


def write_keys(path: Path, *keys: tuple[str, bytes]) -> None:
    path.touch(mode=0o600)
    path.write_text("".join(f"{name} {secret.hex()}\n" for name, secret in keys), encoding="ascii")
