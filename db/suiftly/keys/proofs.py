"""Proofs of revocations, from the record, the vaults, the reports of gateways and the log."""

from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from db.database import Database
from db.errors import TimedOut
from db.suiftly.gateways import Gateways
from db.suiftly.keys.keys import ApiKey
from db.suiftly.keys.proof_evidence import Evidence, Publication, ServerTraffic
from db.suiftly.keys.proof_verdict import WINDOW, Proof, ProofState, judge
from db.suiftly.vault.errors import VaultError
from db.suiftly.vault.versions import Vaults

_NOW: LiteralString = "SELECT clock_timestamp(), gateway_allowance FROM console.metering"
# The first and the last minutes since the revocation, of one customer: two short ranges of an index. An event 11, 31 or
# 32 with this fingerprint is what a gateway without the key answers.
_SINCE: LiteralString = """
    WITH since AS (
        SELECT timestamp, server_id, event_type, traffic_type, repeat FROM haproxy_raw_logs
        WHERE customer_id = %(customer_id)s AND api_key_fp = %(fingerprint)s AND timestamp > %(revoked_at)s
          AND timestamp < least(%(revoked_at)s + %(window)s, now() - %(window)s)
        UNION ALL
        SELECT timestamp, server_id, event_type, traffic_type, repeat FROM haproxy_raw_logs
        WHERE customer_id = %(customer_id)s AND api_key_fp = %(fingerprint)s
          AND timestamp > greatest(%(revoked_at)s, now() - %(window)s) AND timestamp < now() + interval '5 minutes'
    )
    SELECT server_id, coalesce(sum(repeat) FILTER (WHERE event_type IN (11, 31, 32)), 0)::bigint AS refused,
           min(timestamp) FILTER (WHERE event_type IN (11, 31, 32)) AS first_refusal,
           max(timestamp) FILTER (WHERE event_type IN (11, 31, 32)) AS last_refusal,
           max(timestamp) FILTER (WHERE traffic_type IN (1, 2)) AS last_served
    FROM since GROUP BY server_id ORDER BY server_id
"""


class Proofs:
    """Proofs of revocations."""

    def __init__(self, database: Database, vaults: Vaults, gateways: Gateways) -> None:
        self._database = database
        self._vaults = vaults
        self._gateways = gateways

    async def of(self, key: ApiKey, *, statement_s: float = 2.0) -> Proof:
        """How far the revocation of a key has come. A log that does not answer in `statement_s` is said to."""
        async with self._database.reading() as connection:
            row = await (await connection.execute(_NOW)).fetchone()
        assert row is not None  # noqa: S101 - the migration writes the only row
        at: datetime = row[0]
        if key.revoked_at is None:
            return Proof(key.fingerprint, ProofState.NOT_REVOKED, f"key {key.label} is live: nothing to prove", at)
        publication = await self._publication(key.fingerprint, key.revoked_at)
        gateways = tuple(one for one in await self._gateways.states() if one.vault == "ma")
        try:
            servers, answered = await self._servers(key, key.revoked_at, statement_s), True
        except TimedOut:
            servers, answered = (), False
        return judge(Evidence(key, key.revoked_at, publication, gateways, servers, at, row[1], answered))

    async def _publication(self, fingerprint: int, revoked_at: datetime) -> Publication:
        if await self._vaults.find("ma") is None:
            return Publication(trouble="no MA vault is on record")
        try:
            return Publication(await self._vaults.absence(fingerprint, revoked_at))
        except VaultError as error:
            # Consoles need not hold the vault's key: what is revoked when a version is built never comes into it.
            version = await self._vaults.recorded_absence(fingerprint, revoked_at)
            return Publication(version, trouble=f"not looked into: {error}")

    async def _servers(self, key: ApiKey, revoked_at: datetime, statement_s: float) -> tuple[ServerTraffic, ...]:
        async with self._database.reading(statement_s, may_lag=True) as connection:
            cursor = connection.cursor(row_factory=class_row(ServerTraffic))
            await cursor.execute(
                _SINCE,
                {
                    "customer_id": key.customer_id,
                    "fingerprint": key.fingerprint,
                    "revoked_at": revoked_at,
                    "window": WINDOW,
                },
            )
            return tuple(await cursor.fetchall())
