"""Revoking from a screen: what is at stake, told while the operator writes the reason."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from console.deck import Deck
from console.failures import word
from console.words import ago
from db.errors import DatabaseError
from db.source import RECENT_MINUTES, ApiKey, RevokeKeys, Source, UndoRevocation
from widgets.keyset_table import KeysetTable


class ChosenKeys:
    """The marked keys of a table, or else the one under its cursor: revoked, and given back. Then no mark is left."""

    def __init__(self, table: KeysetTable[ApiKey]) -> None:
        self._table = table

    def _now(self) -> tuple[ApiKey, ...]:
        row = self._table.cursor_row
        return self._table.marked or (() if row is None else (row,))

    def revoke(self, deck: Deck, source: Source) -> None:
        if keys := self._now():
            deck.performer.start(revocation(keys), partial(blast_radius, source, keys), done=self._unmark)

    def undo(self, deck: Deck) -> None:
        if keys := self._now():
            deck.performer.start(UndoRevocation(tuple(key.fingerprint for key in keys)), done=self._unmark)

    def _unmark(self) -> None:
        if self._table.is_attached:  # the screen may have been left meanwhile
            self._table.action_unmark()


def revocation(keys: Sequence[ApiKey]) -> RevokeKeys:
    """The operation for these keys; keys of one customer are guarded against a mix-up."""
    customers = {key.customer_id for key in keys}
    return RevokeKeys(
        tuple(key.fingerprint for key in keys), customer_id=next(iter(customers)) if len(customers) == 1 else None
    )


async def blast_radius(source: Source, keys: Sequence[ApiKey]) -> tuple[str, ...]:
    """What the log says of the first few keys, each bounded to two seconds: never in the way of a revocation."""
    lines: list[str] = []
    for key in keys[:3]:
        try:
            traffic = await source.keys.traffic(key)
        except DatabaseError as error:
            lines.append(f"{key.label}: its traffic is not known ({word(error).sentence}).")
            continue
        if not traffic.requests:
            lines.append(f"{key.label}: no request in the last {RECENT_MINUTES} min.")
            continue
        share = 100 * traffic.served / traffic.requests
        few = f"{traffic.requests} request{'s' * (traffic.requests != 1)} in {RECENT_MINUTES} min"
        rate = few if traffic.per_minute < 1 else f"{traffic.per_minute:,.0f} requests/min"
        lines.append(
            f"{key.label}: {rate}, {share:.0f} % served, from {traffic.addresses} "
            f"address{'es' if traffic.addresses != 1 else ''}, last seen {ago(traffic.last_seen, datetime.now(UTC))}."
        )
    if len(keys) > len(lines):
        lines.append(f"… and {len(keys) - len(lines)} more.")
    return tuple(lines)
