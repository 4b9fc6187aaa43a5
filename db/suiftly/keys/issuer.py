"""Making a key and putting it into `api_keys`, for every operation that does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg.types.json import Jsonb
from pydantic import SecretStr

from db.database import Connection
from db.errors import Refused
from db.suiftly.keys import at_rest
from db.suiftly.keys import format as key_format
from db.suiftly.keys.api_secret import ApiSecret
from db.suiftly.keys.format import Service
from db.suiftly.keys.metadata import KeyMetadata

_TRIES = 10  # with 77,000 keys in the table a random one is taken once in 56,000 tries

_INSERT: LiteralString = """
    INSERT INTO api_keys (api_key_id, api_key_fp, api_key_hash, customer_id, service_type, metadata)
    VALUES (%(sealed)s, %(fingerprint)s, %(hash)s, %(customer_id)s, %(service)s, %(metadata)s)
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """A key that was just made: the only place where it stands in full."""

    fingerprint: int
    key: SecretStr

    @property
    def label(self) -> str:
        return key_format.format_fingerprint(self.fingerprint)

    @property
    def subject(self) -> str:
        return f"key:{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes keys with this secret, up to `most_keys` live ones a customer."""

    secret: ApiSecret
    most_keys: int
    encode: Callable[[bytes, Service, int, KeyMetadata], str] = field(default=key_format.encode, repr=False)

    async def issue(self, connection: Connection, customer_id: int, service: Service, metadata: KeyMetadata) -> Issued:
        """A new live key in the caller's transaction; raises Refused without a secret.

        One whose fingerprint is taken is thrown away, and the next one is drawn.
        """
        secret = await self.secret.here(connection)
        for _ in range(_TRIES):
            key = self.encode(secret, service, customer_id, metadata)
            issued = Issued(key_format.fingerprint(key), SecretStr(key))
            # A session that is just adding the same one is waited for.
            cursor = await connection.execute(
                _INSERT,
                {
                    "sealed": at_rest.seal(secret, key),
                    "fingerprint": issued.fingerprint,
                    "hash": key_format.sha256_hex(key),
                    "customer_id": customer_id,
                    "service": service.value,
                    "metadata": Jsonb(metadata.to_json()),
                },
            )
            if cursor.rowcount == 1:
                return issued
        raise Refused(f"{_TRIES} new keys in a row had fingerprints that are taken; try again")
