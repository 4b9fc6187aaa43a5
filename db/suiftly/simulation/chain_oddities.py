"""What does not fit on an invented chain, so that there is something to decide in the demo."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from db.chain.values import Digest, MoveType, ObjectId

Told = tuple[Digest, datetime, int, MoveType, dict[str, Any]]
"""An event: its transaction, when, its index in there, its type and fields."""

_STRANGERS: Final = ((15_000_000, "DepositEvent"), (2_500_000, "DepositEvent"), (4_200, "RefundEvent"))


def with_oddities(events: Sequence[Told], random: Random) -> list[Told]:
    """The newest charge is a cent more on the chain than on the books; before it two deposits and a refund, of which
    the contract's documents know nothing, went to an account of no customer."""
    charges = [event for event in events if event[3].name == "ChargeEvent"]
    if not charges:
        return list(events)
    newest = max(charges, key=lambda event: (event[1], event[0]))
    digest, at, index, type_, fields = newest
    more = (digest, at, index, type_, fields | {"amount": str(int(fields["amount"]) + 1)})
    account = ObjectId(f"0x{random.randbytes(32).hex()}")
    strange: list[Told] = [
        (
            Digest(random.randbytes(32)),
            at - timedelta(minutes=number),
            0,
            MoveType(type_.address, type_.module, name),
            {"account_id": account, "amount": str(amount)},
        )
        for number, (amount, name) in enumerate(_STRANGERS, 1)
    ]
    return [*(event for event in events if event is not newest), more, *strange]
