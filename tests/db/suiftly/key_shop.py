"""What the tests of key operations share: a shop, and the operations of its keys."""

from datetime import timedelta
from typing import Any

import psycopg

from db.audit import Actor
from db.database import Database
from db.jobs.runner import run_job
from db.operations import Operation, Receipt
from db.perform import perform
from db.suiftly.jobs.end_rotated_keys import EndRotatedKeys
from db.suiftly.keys.api_secret import ApiSecret
from db.suiftly.keys.format import KeyMetadata, Service, fingerprint
from db.suiftly.keys.issuer import Issuer
from db.suiftly.operations.create_key import CreateKey
from db.suiftly.operations.rotate_key import RotateKey
from tests.db.seed import CUSTOMER, OTHER_CUSTOMER, add_customer, add_service

ANN = Actor("ann", "198.51.100.7")
REASON = "asked for by mail"
SECRET = bytes(range(32))
ISSUER = Issuer(ApiSecret(SECRET), 20)
OPEN = KeyMetadata(0, "mainnet", "open", None, 1)
DAY = timedelta(days=1)


def open_shop(dsn: str) -> str:
    """Two customers who have the service seal."""
    for customer in (CUSTOMER, OTHER_CUSTOMER):
        add_customer(dsn, customer)
        add_service(dsn, customer, "seal")
    return dsn


def run(dsn: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(statement, values)  # pyright: ignore
        return cursor.fetchall() if cursor.description else []


def states(dsn: str) -> dict[int, bool]:
    return dict(run(dsn, "SELECT api_key_fp, is_active FROM api_keys"))  # type: ignore[arg-type]


async def do(database: Database, operation: Operation, actor: Actor = ANN) -> Receipt:
    return await perform(database, operation, actor=actor, reason=REASON)


async def shown(database: Database, operation: Operation) -> Any:
    """The operation at the version that is previewed, and the preview."""
    async with database.reading() as connection:
        preview = await operation.preview(connection)
    return operation.at_version(preview.version), preview


def new_key(customer: int = CUSTOMER, issuer: Issuer = ISSUER) -> CreateKey:
    return CreateKey(customer, Service.SEAL, OPEN, issuer)


async def rotated(database: Database, dsn: str, overlap: timedelta = DAY) -> tuple[int, int]:
    """Fingerprints of a key that was rotated and of the new one."""
    created = await do(database, new_key())
    (old,) = states(dsn)
    receipt = await do(database, RotateKey(old, overlap, ISSUER))
    assert receipt.done, receipt.message
    assert receipt.issued != created.issued
    new = fingerprint(receipt.issued.get_secret_value()) if receipt.issued else 0
    return old, new


async def end_now(database: Database, dsn: str) -> str | None:
    run(dsn, "UPDATE console.key_end SET ends_at = now() - interval '1 second'")
    return (await run_job(database, EndRotatedKeys(), actor=Actor("cron", None))).message
