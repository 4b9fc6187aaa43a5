"""API keys, known by their fingerprint. The key itself is never read from the database."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import class_row

from db.chain.values import EVM_ADDRESS, Digest, is_evm_address, looks_like_digest
from db.database import Connection, Database
from db.page import Page, page_of
from db.suiftly.customer_id import MAX_CUSTOMER_ID, read_customer_id
from db.suiftly.digest_search import TOUCHED_BY
from db.suiftly.keys.format import format_fingerprint, looks_like_key, parse_fingerprint, sha256_hex
from db.suiftly.keys.metadata import KeyFormatError, KeyMetadata

RECENT_MINUTES = 15


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One row of `api_keys` without its secret. `fingerprint` is unsigned 32 bit."""

    fingerprint: int
    customer_id: int
    customer_status: str
    service_type: str
    metadata: dict[str, Any]
    is_active: bool
    created_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    revocation_reason: str | None
    ends_at: datetime | None  # it was rotated: when the job revokes it
    replaced_by: int | None  # and the fingerprint of the new key
    version: str  # changes with every update of the row

    @property
    def label(self) -> str:
        """The fingerprint as shown everywhere: eight hex digits."""
        return format_fingerprint(self.fingerprint)


@dataclass(frozen=True, slots=True)
class KeyTraffic:
    """What the log says of one key in the last RECENT_MINUTES. Counts are requests (sum of repeat)."""

    requests: int
    served: int  # answered by a backend, whatever the status
    refused_as_revoked: int  # event 31
    last_seen: datetime | None
    last_served: datetime | None
    first_refusal: datetime | None  # event 31, since the window began
    servers: tuple[int, ...]
    addresses: int  # distinct client addresses

    @property
    def per_minute(self) -> float:
        return self.requests / RECENT_MINUTES


@dataclass(frozen=True, slots=True)
class KeySearch:
    """What a list of keys is narrowed to. Fields combine; `state` is "live" or "revoked"."""

    fingerprint: int | None = None
    key_hash: str | None = None  # SHA-256 of a pasted key: finds exactly that key
    customer_id: int | None = None
    state: str | None = None
    wallet: str | None = None  # of the customer; with the digest that it may be as well
    digest: Digest | None = None  # of a transaction on the customer's books


def parse_search(text: str) -> KeySearch:
    """Reads what an operator types: a fingerprint, a full key, `customer:ID`, a wallet, a digest, live or revoked.

    Raises ValueError with one sentence; a pasted key never stands in it.
    """
    fingerprint: int | None = None
    key_hash: str | None = None
    customer_id: int | None = None
    state: str | None = None
    wallet: str | None = None
    digest: Digest | None = None
    for word in text.split():
        if word in ("live", "revoked"):
            if state not in (None, word):
                raise ValueError("a key is live or revoked, not both; type one of them")
            state = word
        elif word.startswith("customer:"):
            if customer_id is not None:
                raise ValueError("keys can be searched for one customer at a time")
            customer_id = _customer(word.removeprefix("customer:"))
        elif is_evm_address(word):
            raise ValueError(EVM_ADDRESS)
        elif not looks_like_key(word) and looks_like_digest(word):
            if digest is not None:
                raise ValueError("keys can be searched for one wallet or transaction at a time")
            digest = Digest.parse(word)
            # 0x and 64 digits may be either.
            wallet = word.lower() if word.startswith("0x") else None
        else:
            if fingerprint is not None:
                raise ValueError("keys can be searched for one key at a time")
            fingerprint = parse_fingerprint(word)
            key_hash = sha256_hex(word) if looks_like_key(word) else None
    return KeySearch(fingerprint, key_hash, customer_id, state, wallet, digest)


def _customer(text: str) -> int:
    known = read_customer_id(text)
    if known is None:
        # The word is not repeated: it may be a key pasted into the wrong place.
        raise ValueError(f"customer: wants an id from 1 to {MAX_CUSTOMER_ID}")
    return known


def key_metadata_words(metadata: dict[str, Any]) -> str:
    """What a key was made for, in words: "mainnet, permission, production"."""
    try:
        known = KeyMetadata.from_json(metadata)
    except KeyFormatError:
        return "metadata not readable"
    group = {1: "production", 2: "development"}.get(known.proc_group, f"group {known.proc_group}")
    words = [known.network, known.access, *([known.source] if known.source else []), group]
    return ", ".join(words) + (f", version {known.version}" if known.version else "")


_SELECT: LiteralString = """
    SELECT k.api_key_fp AS fingerprint, k.customer_id, c.status AS customer_status, k.service_type, k.metadata,
           k.is_active, k.created_at, k.revoked_at, k.revoked_by, k.revocation_reason, e.ends_at, e.replaced_by,
           k.xmin::text AS version
    FROM api_keys k JOIN customers c USING (customer_id) LEFT JOIN console.key_end e USING (api_key_fp)
"""

_OF_WALLET_OR_TOUCHED: LiteralString = (
    "(k.customer_id = (SELECT customer_id FROM customers WHERE wallet_address = %(wallet)s)"
    " OR k.customer_id = ANY " + TOUCHED_BY + ")"
)

_TRAFFIC = """
    SELECT coalesce(sum(repeat), 0)::bigint AS requests,
           coalesce(sum(repeat) FILTER (WHERE traffic_type IN (1, 2)), 0)::bigint AS served,
           coalesce(sum(repeat) FILTER (WHERE event_type = 31), 0)::bigint AS refused_as_revoked,
           max(timestamp) AS last_seen,
           max(timestamp) FILTER (WHERE traffic_type IN (1, 2)) AS last_served,
           min(timestamp) FILTER (WHERE event_type = 31) AS first_refusal,
           coalesce(array_agg(DISTINCT server_id), '{}') AS servers,
           count(DISTINCT client_ip)::bigint AS addresses
    FROM haproxy_raw_logs
    WHERE customer_id = %(customer_id)s AND api_key_fp = %(fingerprint)s
      AND timestamp >= now() - make_interval(mins => %(minutes)s) AND timestamp < now() + interval '5 minutes'
"""


async def read_page(
    connection: Connection, search: KeySearch, *, after: ApiKey | None = None, limit: int = 100
) -> Page[ApiKey]:
    """A page as Keys.page gives it, in the caller's transaction."""
    conditions: list[LiteralString] = ["true"]
    if search.fingerprint is not None:
        conditions.append("k.api_key_fp = %(fingerprint)s")
    if search.key_hash is not None:
        conditions.append("k.api_key_hash = %(key_hash)s")
    if search.customer_id is not None:
        conditions.append("k.customer_id = %(customer_id)s")
    if search.digest is not None:
        conditions.append(_OF_WALLET_OR_TOUCHED)
    order: LiteralString = "k.created_at DESC, k.api_key_fp DESC"
    follows: LiteralString = "(k.created_at, k.api_key_fp) < (%(after_at)s, %(after_fp)s)"
    after_at = after and after.created_at
    if search.state == "live":
        conditions.append("k.is_active")
    elif search.state == "revoked":
        conditions.append("NOT k.is_active")
        order = "k.revoked_at DESC, k.api_key_fp DESC"
        follows = "(k.revoked_at, k.api_key_fp) < (%(after_at)s, %(after_fp)s)"
        after_at = after and after.revoked_at
    if after is not None:
        conditions.append(follows)
    query = _SELECT + " WHERE " + " AND ".join(conditions) + " ORDER BY " + order + " LIMIT %(limit)s"
    parameters = {
        "fingerprint": search.fingerprint,
        "key_hash": search.key_hash,
        "customer_id": search.customer_id,
        "wallet": search.wallet,
        "digests": list(search.digest.spellings) if search.digest else None,
        "after_at": after_at,
        "after_fp": after and after.fingerprint,
        "limit": limit + 1,
    }
    cursor = connection.cursor(row_factory=class_row(ApiKey))
    await cursor.execute(query, parameters)
    return page_of(await cursor.fetchall(), limit)


class Keys:
    """Questions about keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, search: KeySearch, *, after: ApiKey | None = None, limit: int = 100) -> Page[ApiKey]:
        """The next rows after `after`: newest first, revoked keys by time of revocation."""
        async with self._database.reading() as connection:
            return await read_page(connection, search, after=after, limit=limit)

    async def find(self, fingerprint: int) -> ApiKey | None:
        """The key of a fingerprint, or None."""
        page = await self.page(KeySearch(fingerprint=fingerprint), limit=1)
        return page.rows[0] if page.rows else None

    async def traffic(self, key: ApiKey, *, statement_s: float = 2.0) -> KeyTraffic:
        """What the key did lately: one index range of its customer, ended by `statement_s` on a busy log."""
        async with self._database.reading(statement_s, may_lag=True) as connection:
            cursor = connection.cursor(row_factory=class_row(KeyTraffic))
            await cursor.execute(
                _TRAFFIC,
                {"customer_id": key.customer_id, "fingerprint": key.fingerprint, "minutes": RECENT_MINUTES},
            )
            found = await cursor.fetchone()
        assert found is not None  # noqa: S101 - an aggregate without GROUP BY has one row
        # The driver makes a list of an array; the value is frozen.
        return replace(found, servers=tuple(found.servers))
