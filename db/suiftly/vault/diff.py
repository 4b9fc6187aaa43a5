"""What two versions of a vault do not share, by customer and key; never a secret."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from db.suiftly.keys.format import format_fingerprint
from db.suiftly.vault.content import Customers


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` None: it was not there; `after` None: it is not there any more."""

    customer_id: int
    what: str  # customer, status, seal, seal tier, seal limits, seal key 0x0100607b, encryption key NAME
    before: str | None
    after: str | None
    key: int | None = None  # the fingerprint, where it is a key

    @property
    def sentence(self) -> str:
        """In one line."""
        return f"customer {self.customer_id}, {self.what}: {self.before or 'none'} → {self.after or 'none'}"


@dataclass(frozen=True, slots=True)
class VaultDiff:
    """Everything that differs, ordered by customer. `after` None: what would be published now."""

    vault: str
    before: str | None  # label of a version; None: there was none
    after: str | None
    changes: tuple[Change, ...]

    @property
    def sentence(self) -> str:
        """Counted in words: "1 customer gone, 2 keys added"."""
        counted = (
            (self._count("customer", added=True), "customer", "added"),
            (self._count("customer", added=False), "customer", "gone"),
            (len(self.keys(added=True)), "key", "added"),
            (len(self.keys(added=False)), "key", "removed"),
            (self._others(), "other change", ""),
        )
        told = [f"{count:,} {what}{'s' * (count > 1)} {how}".strip() for count, what, how in counted if count]
        return ", ".join(told) or "nothing differs"

    def keys(self, *, added: bool) -> tuple[int, ...]:
        """Fingerprints that came in, or that are no longer inside."""
        return tuple(
            change.key for change in self.changes if change.key is not None and (change.before is None) is added
        )

    def _count(self, what: str, *, added: bool) -> int:
        return sum(change.what == what and (change.before is None) is added for change in self.changes)

    def _others(self) -> int:
        return sum(change.what != "customer" and change.key is None for change in self.changes)


def differences(before: Customers, after: Customers) -> Iterator[Change]:
    """All that differs, ordered by customer id."""
    differ = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    for name in sorted(differ, key=int):
        yield from _of_customer(int(name), before.get(name), after.get(name))


def _of_customer(customer_id: int, old: dict[str, Any] | None, new: dict[str, Any] | None) -> Iterator[Change]:
    was = str(old["status"]) if old else None
    became = str(new["status"]) if new else None
    if was is None or became is None:
        yield Change(customer_id, "customer", was, became)
    elif was != became:
        yield Change(customer_id, "status", was, became)
    yield from _of_services(customer_id, (old or {}).get("services", {}), (new or {}).get("services", {}))
    yield from _of_encryption(customer_id, (old or {}).get("keys", {}), (new or {}).get("keys", {}))


def _of_services(customer_id: int, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        was, became = old.get(name), new.get(name)
        if was is None or became is None:
            yield Change(customer_id, name, was and _in_short(was), became and _in_short(became))
        else:
            for field in ("status", "tier", "limits"):
                if was[field] != became[field]:
                    yield Change(customer_id, f"{name} {field}", _words(was[field]), _words(became[field]))
        had, has = set[int](was["keys"] if was else ()), set[int](became["keys"] if became else ())
        for key in sorted(had ^ has):
            label = f"{name} key {format_fingerprint(key)}"
            inside = "inside"
            yield Change(customer_id, label, inside if key in had else None, inside if key in has else None, key)


def _of_encryption(customer_id: int, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        was, became = old.get(name), new.get(name)
        if was != became:
            # Only that it differs: neither the material nor what its owner wrote beside it.
            before = str(was["key_type"]) if was else None
            after = str(became["key_type"]) if became else None
            if before == after:
                after = f"{after}, another one"
            yield Change(customer_id, f"encryption key {name}", before, after)


def _in_short(service: dict[str, Any]) -> str:
    return f"{service['tier']}, {service['status']}, {_words(service['limits'])}"


def _words(value: Any) -> str:
    """Limits as `guaranteed_rps 12`, anything else as it is."""
    if value is None:
        return "none in the price book"
    if isinstance(value, str):
        return value
    return ", ".join(f"{name} {number}" for name, number in sorted(value.items()))
