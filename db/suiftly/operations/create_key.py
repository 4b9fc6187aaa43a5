"""Creating an API key."""

from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Preview
from db.suiftly.keys.format import Service
from db.suiftly.keys.issuer import Issuer
from db.suiftly.keys.keys import key_metadata_words
from db.suiftly.keys.metadata import KeyMetadata
from db.suiftly.operations.of_customer import OfCustomer

_LOCK: LiteralString = "SELECT FROM customers WHERE customer_id = %(customer_id)s FOR NO KEY UPDATE"
_SELECT: LiteralString = """
    SELECT c.status, i.is_enabled,
           (SELECT count(*) FROM api_keys k WHERE k.customer_id = c.customer_id AND k.is_active
            AND NOT EXISTS (SELECT FROM console.key_end e WHERE e.api_key_fp = k.api_key_fp)) AS keys
    FROM customers c
    LEFT JOIN service_instances i ON i.customer_id = c.customer_id AND i.service_type = %(service)s
    WHERE c.customer_id = %(customer_id)s
"""


@dataclass(frozen=True, slots=True)
class _Owner:
    status: str
    is_enabled: bool | None  # None: the customer does not have the service
    keys: int  # live ones, without those that a rotation ends

    @property
    def version(self) -> str:
        # Not the xmin of the customer: billing writes that row all the time, and nothing shown here depends on it.
        return f"{self.status} {self.is_enabled} {self.keys}"


@dataclass(frozen=True, slots=True)
class CreateKey(OfCustomer):
    """Makes a key for a customer who has the service. The receipt holds it in full; nothing else ever does."""

    action = "create-key"
    writes = ("INSERT public.api_keys",)
    topic = "keys"
    reaches_gateways = True

    customer_id: int
    service: Service
    metadata: KeyMetadata
    issuer: Issuer
    version: str | None = None

    @property
    def shell(self) -> str:
        made_for = self.metadata
        source = "" if made_for.source is None else f" --source {made_for.source}"
        return (
            f"opsdeck keys create --customer {self.customer_id} --service {self.service} --network {made_for.network}"
            f" --access {made_for.access}{source} --group {made_for.proc_group}"
        )

    async def preview(self, connection: Connection) -> Preview:
        owner = await self._read(connection)
        off = (
            () if owner.is_enabled else (f"The service {self.service} is switched off: nothing is served until then.",)
        )
        return Preview(
            title=f"Create a {self.service} key for customer {self.customer_id}",
            verb="Create key",
            changes=(
                f"new key: {self.service}, {key_metadata_words(self.metadata.to_json())}",
                f"live keys: {owner.keys} → {owner.keys + 1}, of {self.issuer.most_keys} at the most",
            ),
            consequences=(
                "Gateways serve it once the next configuration reaches them.",
                "The full key is shown once, right after this. It cannot be shown again.",
                *off,
            ),
            version=owner.version,
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        # The lock first, in a statement of its own: what is counted behind it then holds until the commit.
        await connection.execute(_LOCK, {"customer_id": self.customer_id})
        owner = await self._read(connection)
        if self.version is not None and owner.version != self.version:
            raise Stale("the customer or its keys were changed by someone else since it was shown; look at it again")
        issued = await self.issuer.issue(connection, self.customer_id, self.service, self.metadata)
        made = {"customer_id": self.customer_id, "service_type": self.service, "is_active": True}
        return Change(
            before={},
            after={issued.subject: made | {"metadata": self.metadata.to_json()}},
            message=f"Created {self.service} key {issued.label} for customer {self.customer_id}",
            created=(issued.subject,),
            issued=issued.key,
        )

    async def _read(self, connection: Connection) -> _Owner:
        """The customer, who may have another key. Raises Refused otherwise."""
        await self.issuer.secret.here(connection)
        cursor = connection.cursor(row_factory=class_row(_Owner))
        await cursor.execute(_SELECT, {"customer_id": self.customer_id, "service": self.service.value})
        owner = await cursor.fetchone()
        if owner is None:
            raise self.unknown
        if owner.status != "active":
            raise Refused(f"customer {self.customer_id} is {owner.status}, and only active customers get new keys")
        if owner.is_enabled is None:
            raise Refused(
                f"customer {self.customer_id} does not have the service {self.service}; keys are for one it has"
            )
        if owner.keys >= self.issuer.most_keys:
            raise Refused(
                f"customer {self.customer_id} has {owner.keys} live keys, and {self.issuer.most_keys} is the most; "
                "revoke one first"
            )
        return owner
