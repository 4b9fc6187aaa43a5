"""Publishing the MA vault of 100,000 customers with 300,000 keys: what do order, proof and record cost?

`python3 -m tests.bench.bench_vault`. The baseline is the bare work: the same SELECT, one json.dumps, one encryption,
nothing written. Ours reads in one snapshot, makes canonical JSON, looks for revoked keys, encrypts, writes, syncs,
reads back, decrypts, compares and puts it on record; and, where there is a version before, compares with that.
"""

import json
import secrets
import shutil
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from db.audit import Actor
from db.database import Database
from db.suiftly.pricing import load_prices
from db.suiftly.vault.content import read_content
from db.suiftly.vault.keyring import create_key_file
from db.suiftly.vault.place import VaultPlace
from db.suiftly.vault.publish import Publication
from tests.bench.measure import Call, Report, Timing, execute, fresh_server, migrated, place, run, timed

CUSTOMERS = 100_000
KEYS = 300_000
TIMES = 5

_CUSTOMERS = f"""
    INSERT INTO customers (customer_id, wallet_address, status)
    SELECT i * 42949, '0x' || encode(sha256(i::text::bytea), 'hex'),
           CASE WHEN i % 50 = 0 THEN 'suspended' ELSE 'active' END
    FROM generate_series(1, {CUSTOMERS}::bigint) i"""
_SERVICES = f"""
    INSERT INTO service_instances (customer_id, service_type, tier)
    SELECT i * 42949, service, CASE WHEN i % 10 = 0 THEN 'pro' ELSE 'starter' END
    FROM generate_series(1, {CUSTOMERS}::bigint) i, unnest(ARRAY['seal', 'grpc']) service"""
# As many revoked ones lie beside the live ones.
_KEYS = f"""
    INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, is_active, revoked_at)
    SELECT 'sealed-' || i, (i * 2654435761) % 4294967296, encode(sha256(('key' || i)::bytea), 'hex'),
           (i % {CUSTOMERS} + 1) * 42949, CASE WHEN i % 3 = 0 THEN 'grpc' ELSE 'seal' END, i <= {KEYS},
           CASE WHEN i > {KEYS} THEN now() END
    FROM generate_series(1, {2 * KEYS}::bigint) i"""
_ROWS = """
    SELECT c.customer_id, c.status, s.service_type, s.tier, s.is_enabled, k.keys
    FROM customers c LEFT JOIN service_instances s USING (customer_id)
    LEFT JOIN (SELECT customer_id, service_type, array_agg(api_key_fp) AS keys FROM api_keys
               WHERE is_active GROUP BY 1, 2) k USING (customer_id, service_type)
    WHERE c.status <> 'closed'"""


def bare(database: Database) -> Call:
    """SELECT, JSON, encryption, and nothing else."""

    async def call() -> None:
        customers: dict[int, dict[str, object]] = {}
        async with database.reading(60) as connection:
            for customer, status, service, tier, enabled, keys in await (await connection.execute(_ROWS)).fetchall():
                services = customers.setdefault(customer, {"status": status, "services": {}})["services"]
                services[service] = {  # type: ignore[index]
                    "tier": tier,
                    "status": "active" if enabled else "disabled",
                    "keys": keys or [],
                    "limits": {"guaranteed_rps": 100, "burst_rps": 0, "burst_qos": 0, "per_ip_rps": 100},
                }
        text = json.dumps({"vault": "ma", "customers": customers}).encode()
        AESGCM(bytes(32)).encrypt(secrets.token_bytes(12), text, None)

    return call


class Press:
    """The database, a directory and its key."""

    def __init__(self, database: Database, dsn: str, folder: Path) -> None:
        self._database, self._dsn = database, dsn
        self._directory = folder / "vault"
        self._key_file = folder / "vault.key"
        create_key_file(self._key_file, "bench")
        self._revoked = 0

    def forget(self) -> None:
        """As before the first version."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        execute(self._dsn, "TRUNCATE console.vault_removed_key, console.vault_version")
        execute(self._dsn, "UPDATE system_control SET ma_vault_version = NULL")

    async def publish(self, expected: str) -> None:
        publication = Publication(
            self._database, "ma", load_prices(), VaultPlace(self._directory, self._key_file), Actor("bench", None), ""
        )
        told = (await publication.carry_out()).sentence
        assert told.startswith(expected), told

    async def first(self) -> None:
        self.forget()
        await self.publish(f"published version 1: {CUSTOMERS:,} customers")

    async def after_a_revocation(self) -> None:
        self._revoked += 1
        execute(
            self._dsn,
            f"""UPDATE api_keys SET is_active = false, revoked_at = now()
                WHERE api_key_fp = ({self._revoked} * 2654435761) % 4294967296""",
        )
        await self.publish("published version")

    async def unchanged(self) -> None:
        await self.publish("nothing changed")


async def main() -> None:
    with fresh_server() as (dsn, folder):
        async with migrated(dsn) as database:
            execute(dsn, _CUSTOMERS, _SERVICES, _KEYS)
            execute(dsn, "VACUUM ANALYZE customers", "VACUUM ANALYZE service_instances", "VACUUM ANALYZE api_keys")
            print(place(dsn))
            press = Press(database, dsn, folder)
            size = len((await read_content(database, "ma", load_prices())).text())
            report = Report(f"The MA vault of {CUSTOMERS:,} customers and {KEYS:,} keys, {size / 1e6:.1f} MB of JSON")
            name = "SELECT + JSON + encrypt"
            calls: dict[str, Call] = {
                name: bare(database),
                "first version: build, encrypt, write, verify, record": press.first,
                "a next one, compared with the one before": press.after_a_revocation,
                "nothing changed": press.unchanged,
            }
            timings = await in_turn(calls)
            for what, timing in timings.items():
                report.line(what, timing, name, timings[name])


async def in_turn(calls: dict[str, Call]) -> dict[str, Timing]:
    """One call of each, again and again, so that whatever else the machine does is shared by all."""
    spent: dict[str, list[float]] = {what: [] for what in calls}
    for round_ in range(TIMES + 1):
        for what, call in calls.items():
            timing = await timed(call, times=1, warm_up=0)
            if round_:
                spent[what].append(timing.median)
    return {what: Timing(median(values), max(values)) for what, values in spent.items()}


if __name__ == "__main__":
    run(main)
