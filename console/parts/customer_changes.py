"""Changing a customer from a screen: what is typed in the line for it."""

from typing import Final

from db.source import (
    TIERS,
    ChangeTier,
    CloseCustomer,
    DisableService,
    EnableService,
    EndSessions,
    KeyService,
    Operation,
    PriceBook,
    SetMonthlyLimit,
    parse_limit,
)

CHANGE_HINT = "enable | disable SERVICE, tier SERVICE TIER, limit USD, sessions end, close"
CHANGE_WORDS = (
    *(f"{verb} {service}" for verb in ("enable", "disable") for service in KeyService),
    *(f"tier {service} {tier}" for service in KeyService for tier in TIERS),
    "limit unlimited",
    "limit default",
    "sessions end",
    "close",
)
CHANGES: Final[tuple[type[Operation], ...]] = (
    CloseCustomer,
    EnableService,
    DisableService,
    ChangeTier,
    SetMonthlyLimit,
    EndSessions,
)


def parse_change(customer_id: int, text: str, prices: PriceBook) -> Operation:
    """Reads `disable seal`, `tier grpc pro`, `limit 500`, `limit` (unlimited), `sessions end`, `close`.

    Raises ValueError with one sentence.
    """
    match text.lower().split():
        case ["close"]:
            return CloseCustomer(customer_id)
        case ["sessions", "end"]:
            return EndSessions(customer_id)
        case ["limit", *amount]:
            return SetMonthlyLimit(customer_id, parse_limit(" ".join(amount), prices), prices)
        case ["enable", service]:
            return EnableService(customer_id, _service(service))
        case ["disable", service]:
            return DisableService(customer_id, _service(service))
        case ["tier", service, tier] if tier in TIERS:
            return ChangeTier(customer_id, _service(service), tier, prices)
        case ["enable" | "disable" as verb, *_]:
            raise ValueError(f"{verb} which service? write {', '.join(KeyService)}")
        case ["tier", *_]:
            raise ValueError(f"write tier, a service and one of {', '.join(TIERS)}")
        case _:
            raise ValueError("write enable, disable, tier, limit, sessions end or close")


def _service(word: str) -> KeyService:
    if word not in set(KeyService):
        raise ValueError(f"{word[:12]!r} is none of {', '.join(KeyService)}")
    return KeyService(word)
