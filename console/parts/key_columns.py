"""The columns of a table of keys, wherever one stands."""

from collections.abc import Sequence

from console.words import moment
from db.source import ApiKey
from widgets.keyset_table import Column
from widgets.tone import Tone


def state(key: ApiKey) -> tuple[str, Tone]:
    """Live or revoked, in words and tone; a rotated key lives for a while."""
    if not key.is_active:
        return "revoked", Tone.BAD
    if key.ends_at is not None and key.customer_status == "active":
        return "live, ending", Tone.WARN
    return ("live", Tone.GOOD) if key.customer_status == "active" else (f"live, {key.customer_status}", Tone.WARN)


def key_columns(*, with_customer: bool) -> Sequence[Column[ApiKey]]:
    """Fingerprint, state, service, times; the customer where the table mixes them."""
    customer: tuple[Column[ApiKey], ...] = (
        (Column("customer", 10, lambda row: str(row.customer_id), align="right"),) if with_customer else ()
    )
    return (
        Column("fingerprint", 11, lambda row: row.label),
        *customer,
        Column("state", 15, state),
        Column("service", 8, lambda row: row.service_type),
        Column("created", 19, lambda row: moment(row.created_at), hide_below=78),
        Column("revoked", 19, lambda row: moment(row.revoked_at), hide_below=100),
        Column("reason", 10, lambda row: (row.revocation_reason or "", Tone.DIM), flex=True, hide_below=110),
    )
