"""The escrow contract of Suiftly: what its events and accounts say, read tolerantly and in units that do not mix.

The contract's documents contradict each other and declare few of the structs they emit, so names and fields come in
several spellings. Deposits and withdrawals are in USDC base units, charges and credits in cents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from db.chain.models import ChainObject
from db.chain.reader import ChainReader
from db.chain.units import Cents, Dollars, Usdc
from db.chain.values import Address, ChainValueError, MoveType, ObjectId, parse_address, parse_object_id

Kind = Literal["deposit", "withdraw", "charge", "credit"]

MODULE: Final = "escrow"
ASSET: Final = "USDC"  # as upstream writes it into escrow_transactions
_KINDS: Final[dict[str, Kind]] = {
    "Deposit": "deposit",
    "Withdraw": "withdraw",
    "Withdrawal": "withdraw",
    "Charge": "charge",
    "Credit": "credit",
}
_IN_USDC: Final = ("deposit", "withdraw")
INITIAL_UNKNOWN: Final = "initial deposit unknown"
NO_INITIAL: Final = "the account was made without a deposit"
_CREATION: Final = "AccountCreated"
_UPGRADE: Final = "AccountUpgraded"
# Known, and no money: creation emits no deposit even when it makes one.
_NOTED: Final = {
    _CREATION: f"{INITIAL_UNKNOWN}: the event does not tell it",
    _UPGRADE: "the account goes on as another object: `opsdeck chain follow` puts that on record",
    "LimitChanged": "the spending limit on the chain was changed",
    "SetMonthlyLimit": "the spending limit on the chain was changed",
    "SetLimit": "the spending limit on the chain was changed",
    "MonthlyReset": "the month's charges on the chain were reset",
}
_ACCOUNT: Final = ("account_id", "account", "escrow_id", "old_account_id")
_OWNER: Final = ("user_address", "owner", "user")
_AMOUNT: Final = ("amount", "amount_usd_cents", "amount_usdc")
_MOST_CENTS: Final = 10**14  # a trillion dollars, and what NUMERIC(20, 8) holds


def amount_of(kind: Kind | None, usd: Decimal | None) -> Usdc | Cents | None:
    """Dollars in the unit in which the contract counts them."""
    if kind is None or usd is None:
        return None
    return Usdc(int(usd * 1_000_000)) if kind in _IN_USDC else Cents(int(usd * 100))


@dataclass(frozen=True, slots=True)
class EscrowChain:
    """The chain as it is configured for this database."""

    reader: ChainReader
    packages: tuple[ObjectId, ...]
    start: int = 0  # the checkpoint in which the contract began
    charges_move_usdc: bool = False  # whether a charge takes USDC out of the account, or is recorded only

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(f"{package}::{MODULE}" for package in self.packages)

    def emits(self, type_: MoveType) -> bool:
        """Whether an event of that type is of the contract."""
        return type_.address in self.packages and type_.module == MODULE


@dataclass(frozen=True, slots=True)
class EscrowEvent:
    """What an event says. `kind` is None for one that moves no money."""

    name: str
    account: ObjectId | None
    owner: Address | None
    kind: Kind | None
    amount: Usdc | Cents | None
    note: str | None
    known: bool

    @property
    def makes_account(self) -> bool:
        """Whether it may have brought money that it does not tell."""
        return self.kind is None and self.name.removesuffix("Event") == _CREATION

    @property
    def upgrades(self) -> bool:
        """Whether an account goes on as another one."""
        return self.kind is None and self.name.removesuffix("Event") == _UPGRADE

    @property
    def dollars(self) -> Dollars | None:
        return None if self.amount is None else self.amount.dollars

    @property
    def cents(self) -> tuple[Cents, Usdc] | None:
        """Whole cents, and what is left over of them."""
        if self.amount is None:
            return None
        return self.amount.cents() if isinstance(self.amount, Usdc) else (self.amount, Usdc(0))


def read_event(type_: MoveType, fields: Mapping[str, object]) -> EscrowEvent:
    """What an event of the escrow module says. Raises ChainValueError with the field that cannot be read."""
    name = type_.name.removesuffix("Event")
    kind = _KINDS.get(name)
    if kind is None:
        account, owner = _first(fields, _ACCOUNT), _first(fields, _OWNER)
        return EscrowEvent(
            name=type_.name,
            account=parse_object_id(account[1], account[0]) if account else None,
            owner=parse_address(owner[1], owner[0]) if owner else None,
            kind=None,
            amount=None,
            note=_NOTED.get(name, f"opsdeck does not know events of the type {type_.name}"),
            known=name in _NOTED,
        )
    account = _first(fields, _ACCOUNT)
    if account is None:
        raise ChainValueError(f"{_ACCOUNT[0]}: missing")
    units = _whole(fields, _AMOUNT)
    amount = Usdc(units) if kind in _IN_USDC else Cents(units)
    if amount.dollars.value * 100 > _MOST_CENTS:
        raise ChainValueError("amount: more than there is in the world")
    return EscrowEvent(type_.name, parse_object_id(account[1], account[0]), None, kind, amount, None, known=True)


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> tuple[str, str] | None:
    """The first of these fields that is there, with its name."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            return name, value
        if value is not None:
            raise ChainValueError(f"{name}: not text")
    return None


def _whole(fields: Mapping[str, object], names: tuple[str, ...]) -> int:
    """The first of these fields that is there, a u64: text in the JSON of nodes."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict):  # a Balance<T>, which some nodes render as its struct
            value = value.get("value")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
            return int(value)
        if value is not None:
            raise ChainValueError(f"{name}: not a whole number of 64 bits")
    raise ChainValueError(f"{names[0]}: missing")


@dataclass(frozen=True, slots=True)
class EscrowAccount:
    """An escrow account as it is on the chain now."""

    account: ObjectId
    version: int
    owner: Address
    balance: Usdc
    limit: Cents | None  # None: unlimited, which is 0 on the chain
    charged: Cents  # in its current period
    upgraded_to: ObjectId | None


def read_account(found: ChainObject, packages: tuple[ObjectId, ...]) -> EscrowAccount:
    """Raises ChainValueError with the field that cannot be read, or when the object is no escrow account."""
    if found.type.address not in packages or found.type.module != MODULE:
        raise ChainValueError(f"object_type: {found.type.name} of another contract, not an escrow account")
    owner = _first(found.fields, _OWNER)
    if owner is None:
        raise ChainValueError(f"{_OWNER[0]}: missing")
    successor = _first(found.fields, ("upgraded_to",))
    limit = _whole(found.fields, ("spending_limit_usd_cents", "monthly_limit_usd_cents"))
    return EscrowAccount(
        account=found.object_id,
        version=found.version,
        owner=parse_address(owner[1], owner[0]),
        balance=Usdc(_whole(found.fields, ("balance_usdc", "balance"))),
        limit=Cents(limit) if limit else None,
        charged=Cents(_whole(found.fields, ("current_period_charged_usd_cents", "current_month_charged_usd_cents"))),
        upgraded_to=parse_object_id(successor[1], "upgraded_to") if successor else None,
    )
