"""An escrow account on the chain, beside the books of its customer."""

from typing import Final

from console.failures import Failure
from console.words import dollars, exact_dollars
from db.chain.errors import NOT_CONFIGURED
from db.source import CheckedAccount
from widgets.facts import Fact
from widgets.tone import Tone

OFF: Final[tuple[Fact, ...]] = (("on chain", NOT_CONFIGURED, Tone.DIM),)


def chain_facts(found: CheckedAccount | Failure | None) -> list[Fact]:
    """What the account holds and what of the books differs; None: the node has not answered yet."""
    if found is None:
        return [("on chain", "asking the node …", Tone.DIM)]
    if isinstance(found, Failure):
        return [("on chain", f"▲ {found.text}", Tone.WARN)]
    if found.balance_usd is None:
        return [("on chain", f"▲ {found.drifts[0].cause}", Tone.WARN)]
    if found.goes_on_as is not None:
        return [("on chain", "▲ the account was upgraded", Tone.WARN), ("goes on as", found.goes_on_as, Tone.WARN)]
    less = found.after_charges_usd
    charged = "" if less == found.balance_usd else f", {exact_dollars(less)} less charges"
    facts: list[Fact] = [
        ("on chain", f"holds {exact_dollars(found.balance_usd)}{charged}, at {found.books.at:%H:%M:%S}")
    ]
    books = found.books
    figures = (
        f"ledger {dollars(books.ledger_cents)}, cached {dollars(books.cached_cents)}, "
        f"mirror {exact_dollars(books.mirror_usd)}"
    )
    facts.append(("books", f"should say {exact_dollars(found.expected_usd)}: {figures}"))
    if books.open_events:
        facts.append(("events", f"▲ {books.open_events} of the account on no books; e shows them", Tone.WARN))
    alike: dict[str, list[str]] = {}
    for drift in found.drifts:
        alike.setdefault(f"{drift.words}: {drift.cause}", []).append(drift.figure)
    drifts: list[Fact] = [("drift", f"▲ {', '.join(names)} {words}", Tone.WARN) for words, names in alike.items()]
    return [*facts, *(drifts or [("drift", "none: the books say the same", Tone.GOOD)])]


def follows(found: CheckedAccount | Failure | None) -> bool:
    """Whether there is an upgrade to follow."""
    return isinstance(found, CheckedAccount) and found.goes_on_as is not None


def adjusts(found: CheckedAccount | Failure | None) -> bool:
    """Whether ledger or cached balance can be brought to what the account holds."""
    return isinstance(found, CheckedAccount) and any(
        drift.figure in ("ledger", "cached balance") for drift in found.drifts
    )
