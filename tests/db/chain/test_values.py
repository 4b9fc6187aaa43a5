"""Names and amounts of the chain: vectors, what is refused with which words, and that every form is read back."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.chain import base58
from db.chain.units import Cents, Dollars, Mist, Usdc
from db.chain.values import (
    ChainValueError,
    Digest,
    MoveType,
    is_evm_address,
    looks_like_digest,
    parse_address,
    parse_object_id,
)

BYTES = st.binary(min_size=32, max_size=32)
VECTORS = [
    (bytes(range(32)), "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"),
    (b"\xff" * 32, "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG"),
    (
        bytes.fromhex("2138cee0f0bc5dc70bb85c1a20d4494e04fc13813cbcacd007f028956fdde60f"),
        "3EghLNs7zASibnPtFU3vhvjZp8tg4miusJECMyvfNaH4",
    ),
    (bytes(32), "1" * 32),
]


@pytest.mark.parametrize(("raw", "text"), VECTORS)
def test_a_digest_is_base58_of_32_bytes(raw: bytes, text: str) -> None:
    assert str(Digest(raw)) == text
    assert Digest.parse(text) == Digest(raw)


@given(BYTES)
def test_every_spelling_of_a_digest_is_read_back(raw: bytes) -> None:
    digest = Digest(raw)
    assert base58.decode(str(digest)) == raw
    for form in (*digest.spellings, raw, raw.hex().upper(), f" 0X{raw.hex().upper()} "):
        assert Digest.parse(form) == digest
    assert len(set(digest.spellings)) == 4


@given(st.binary(max_size=40))
def test_base58_is_read_back_at_any_length_and_is_a_digest_only_at_32(data: bytes) -> None:
    text = base58.encode(data)
    assert base58.decode(text) == data
    assert looks_like_digest(text) == (len(data) == 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0xMOCKTX12",
        VECTORS[0][1][:-1],
        VECTORS[1][1] + "1",
        VECTORS[2][1].replace("3", "0"),
        "l" * 43,
        "0x" + "a" * 63,
        "0x" + "a" * 65,
        "SUGAMHVFVDLVE3GG9TNYCTAF1GZVC2CG6ZTPG",
        "1" * 31,
        "1" * 33,
        "J" * 5000,
    ],
)
def test_what_is_no_digest_is_said_to_be_none_and_not_repeated(text: str) -> None:
    with pytest.raises(ChainValueError) as caught:
        Digest.parse(text, "--digest")
    assert str(caught.value) == "--digest: give the 43 or 44 characters of Base58, or 64 hex digits"
    with pytest.raises(ChainValueError, match="must be 32 bytes, not 31"):
        Digest.parse(bytes(31))


@given(BYTES, st.booleans())
def test_an_address_has_one_form(raw: bytes, upper: bool) -> None:
    text = f"0x{raw.hex().upper()}" if upper else f" 0x{raw.hex()}\n"
    assert parse_address(text) == parse_object_id(text) == f"0x{raw.hex()}"
    assert not is_evm_address(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0x" + "aB" * 20, "wallet: this is an Ethereum (EVM) address, with 40 hex digits; those of Sui have 64"),
        ("0x2", "wallet: give 0x and 64 hex digits; these are 1"),
        ("0x" + "a" * 65, "wallet: give 0x and 64 hex digits; these are 65"),
        ("a" * 64, "wallet: give 0x and 64 hex digits"),
        ("0x" + "g" * 64, "wallet: give 0x and 64 hex digits"),
        ("Immutable", "wallet: give 0x and 64 hex digits"),
        ("", "wallet: give 0x and 64 hex digits"),
        ("0x" + "a" * 63 + "٣", "wallet: give 0x and 64 hex digits"),
    ],
)
def test_what_is_no_address_is_named_with_a_remedy(text: str, sentence: str) -> None:
    for parse in (parse_address, parse_object_id):
        with pytest.raises(ChainValueError) as caught:
            parse(text, "wallet")
        assert str(caught.value) == sentence


USDC = "0xdba34672e30cb065b1f93e3ab55318768fd6fef66c15942c9f7cb846e2f900e7::usdc::USDC"
SUI = f"0x{2:064x}::sui::SUI"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0x2::sui::SUI", SUI),
        (SUI.upper().replace("SUI::SUI", "sui::SUI").replace("0X", "0x"), SUI),
        (USDC, USDC),
        ("0x2::coin::Coin<0x2::sui::SUI>", f"0x{2:064x}::coin::Coin<{SUI}>"),
        (
            "0x2::a::B<u64,vector<vector<u8>>,0x2::c::D<0x3::e::F, bool>>",
            f"0x{2:064x}::a::B<u64, vector<vector<u8>>, 0x{2:064x}::c::D<0x{3:064x}::e::F, bool>>",
        ),
    ],
)
def test_a_type_is_written_out(text: str, canonical: str) -> None:
    found = MoveType.parse(text, "coin type")
    assert str(found) == canonical
    assert MoveType.parse(str(found)) == found
    assert (len(SUI), MoveType.parse(SUI).name) == (76, "SUI")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SUI",
        "0x2::sui",
        "0x2::sui::SUI::X",
        "sui::sui::SUI",
        "0x2::sui::SUI<",
        "0x2::sui::SUI<>",
        "0x2::sui::SUI>",
        "0x2::a::B<u64>>",
        "0x2::a::B<u64,>",
        "0x2::9a::B",
        "0x" + "1" * 65 + "::a::B",
        "0x" + "a" * 40 + "::usdc::USDC",
        "0x2::a::B<" * 50 + "u8" + ">" * 50,
        "0x2::a::B<" + "vector<" * 5000 + "u8" + ">" * 5001,
    ],
)
def test_what_is_no_coin_type_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(ChainValueError, match=r"^coin type: "):
        MoveType.parse(text, "coin type")


@given(st.text(max_size=90))
def test_whatever_is_pasted_is_a_value_or_a_sentence(text: str) -> None:
    for parse in (parse_address, Digest.parse, MoveType.parse):
        try:
            found = parse(text)
        except ChainValueError:
            continue
        assert parse(str(found)) == found


UNITS: list[Any] = [Cents(100), Usdc(100), Mist(100), Dollars(Decimal(100))]


@pytest.mark.parametrize("one", UNITS)
@pytest.mark.parametrize("other", [*UNITS, 100, Decimal(100)])
def test_units_add_and_compare_with_their_own_kind_only(one: Any, other: Any) -> None:
    if type(one) is type(other):
        assert one + other - other == one
        assert one < one + other
        return
    assert one != other
    for combine in (lambda: one + other, lambda: one - other, lambda: other + one, lambda: one < other):
        with pytest.raises(TypeError):
            combine()


@pytest.mark.parametrize("unit", [Cents, Usdc, Mist, Dollars])
def test_no_unit_takes_a_float(unit: Any) -> None:
    for wrong in (1.0, True, "1"):
        with pytest.raises(TypeError):
            unit(wrong)


@given(st.integers(-(2**63), 2**64 - 1))
def test_usdc_in_cents_tells_its_remainder_and_loses_nothing(units: int) -> None:
    cents, rest = Usdc(units).cents()
    assert cents.value * 10_000 + rest.value == units
    assert 0 <= rest.value < 10_000
    assert cents.dollars + rest.dollars == Usdc(units).dollars


def test_amounts_are_shown_with_their_unit() -> None:
    assert [str(Cents(-123456)), str(Cents(5))] == ["-$1,234.56", "$0.05"]
    assert [str(Usdc(1_234_567_890)), str(Mist(1)), str(Dollars(Decimal("-0.1")))] == [
        "1,234.567890 USDC",
        "0.000000001 SUI",
        "-$0.10000000",
    ]
    with pytest.raises(ValueError, match="eight decimal places"):
        Dollars(Decimal("0.000000001"))
