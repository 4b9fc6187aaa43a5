"""An escrow account on the chain, beside the books of its customer."""

from console.failures import Failure
from console.words import exact_dollars, moment
from db.source import CheckedAccount
from widgets.facts import Fact
from widgets.tone import Tone


def chain_facts(found: CheckedAccount | Failure | None) -> list[Fact]:
    """What the account holds and what of the books differs; None: the node has not answered yet."""
    if found is None:
        return [("on chain", "asking the node …", Tone.DIM)]
    if isinstance(found, Failure):
        return [("on chain", found.text, Tone.WARN)]
    if found.balance_usd is None:
        return [("on chain", found.drifts[0].cause, Tone.WARN)]
    less = found.after_charges_usd
    charged = "" if less == found.balance_usd else f", {exact_dollars(less)} less what was charged"
    drifts: list[Fact] = [
        ("drift", f"{drift.figure} {exact_dollars(drift.usd, plus='+')}: {drift.cause}", Tone.WARN)
        for drift in found.drifts
    ]
    return [
        ("on chain", f"{exact_dollars(found.balance_usd)}{charged}"),
        ("as of", moment(found.books.at)),
        *_waiting(found.books.open_events),
        *(drifts or [("drift", "none: the books say the same", Tone.GOOD)]),
    ]


def _waiting(events: int) -> list[Fact]:
    return [("events", f"▲ {events} of the account on no books; e shows them", Tone.WARN)] if events else []
