"""What events and accounts of the escrow contract say, in every spelling of its documents."""

from decimal import Decimal
from typing import Any

import pytest

from db.chain.models import ChainObject
from db.chain.units import Cents, Usdc
from db.chain.values import ChainValueError, MoveType, ObjectId
from db.suiftly.escrow.contract import read_account, read_event
from tests.db.chain.world import ACCOUNT, ESCROW, OTHER_ACCOUNT, PACKAGE, USER, event


@pytest.mark.parametrize(
    ("name", "fields", "kind", "amount", "dollars"),
    [
        ("DepositEvent", {"account_id": ACCOUNT, "amount": 12_345_678}, "deposit", Usdc(12_345_678), "12.345678"),
        ("Deposit", {"account": ACCOUNT, "amount": {"value": "1"}}, "deposit", Usdc(1), "0.000001"),
        ("WithdrawalEvent", {"account_id": ACCOUNT, "amount": 10_000}, "withdraw", Usdc(10_000), "0.01"),
        ("Withdraw", {"account_id": ACCOUNT, "amount_usdc": "0"}, "withdraw", Usdc(0), "0"),
        ("ChargeEvent", {"escrow_id": ACCOUNT, "amount": 3000}, "charge", Cents(3000), "30"),
        ("Credit", {"account_id": ACCOUNT, "amount_usd_cents": "5"}, "credit", Cents(5), "0.05"),
    ],
)
def test_money_is_in_the_unit_of_its_kind(
    name: str, fields: dict[str, Any], kind: str, amount: Any, dollars: str
) -> None:
    says = read_event(*event(name, **fields))
    assert (says.kind, says.account, says.amount) == (kind, ACCOUNT, amount)
    assert says.dollars is not None
    assert says.dollars.value == Decimal(dollars)


def test_what_moves_no_money_is_noted_and_what_is_not_known_is_said() -> None:
    made = read_event(*event("AccountCreated", account_id=ACCOUNT, user_address=USER, tracker_id=OTHER_ACCOUNT))
    assert (made.kind, made.account, made.owner, made.known) == (None, ACCOUNT, USER, True)
    assert "initial deposit" in (made.note or "")
    assert read_event(*event("LimitChangedEvent", account_id=ACCOUNT, new_limit=5)).known
    strange = read_event(*event("RefundEvent", amount=5))
    assert (strange.kind, strange.known) == (None, False)
    assert strange.note == "opsdeck does not know events of the type RefundEvent"


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("DepositEvent", {"amount": 1}, "account_id: missing"),
        ("DepositEvent", {"account_id": ACCOUNT}, "amount: missing"),
        ("DepositEvent", {"account_id": ["x"], "amount": 1}, "account_id: not text"),
        ("DepositEvent", {"account_id": "0x2", "amount": 1}, "account_id: give 0x and 64 hex digits; these are 1"),
        ("DepositEvent", {"account_id": ACCOUNT, "amount": "-1"}, "amount: not a whole number of 64 bits"),
        ("DepositEvent", {"account_id": ACCOUNT, "amount": "1.5"}, "amount: not a whole number of 64 bits"),
        ("DepositEvent", {"account_id": ACCOUNT, "amount": 1.0}, "amount: not a whole number of 64 bits"),
        ("DepositEvent", {"account_id": ACCOUNT, "amount": "9" * 5000}, "amount: not a whole number of 64 bits"),
        ("ChargeEvent", {"account_id": ACCOUNT, "amount": str(2**64 - 1)}, "amount: more than there is in the world"),
        (
            "AccountCreated",
            {"account_id": ACCOUNT, "user_address": "0x" + "a" * 40},
            "user_address: this is an Ethereum",
        ),
    ],
)
def test_a_field_that_cannot_be_read_is_named(name: str, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ChainValueError) as caught:
        read_event(*event(name, **fields))
    assert str(caught.value).startswith(sentence)


def account(type_: str = f"{ESCROW}::Account", **changes: object) -> ChainObject:
    fields = {
        "user_address": USER,
        "balance_usdc": "100000000",
        "spending_limit_usd_cents": "25000",
        "current_period_charged_usd_cents": "3000",
        "upgraded_to": None,
    } | changes
    return ChainObject(ACCOUNT, 7, MoveType.parse(type_), "shared", fields, None)


def test_an_account_is_read_and_no_limit_is_zero_on_the_chain() -> None:
    packages = (ObjectId(PACKAGE),)
    found = read_account(account(), packages)
    assert (found.owner, found.balance, found.limit, found.charged) == (USER, Usdc(10**8), Cents(25_000), Cents(3000))
    assert found.upgraded_to is None
    moved = read_account(
        account(spending_limit_usd_cents="0", upgraded_to=OTHER_ACCOUNT, balance_usdc={"value": "7"}), packages
    )
    assert (moved.limit, moved.upgraded_to, moved.balance) == (None, OTHER_ACCOUNT, Usdc(7))
    for bad, sentence in (
        (account("0x2::coin::Coin"), "object_type: Coin of another contract"),
        (account(user_address=None), "user_address: missing"),
        (account(balance_usdc="x"), "balance_usdc: not a whole number"),
    ):
        with pytest.raises(ChainValueError, match=sentence):
            read_account(bad, packages)
