"""The metadata of a key through bits and JSON and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.suiftly.keys.metadata import KeyFormatError, KeyMetadata, KeyNetwork, KeySource


def _metadata(version: int, network: KeyNetwork, source: KeySource | None, group: int) -> KeyMetadata:
    return KeyMetadata(version, network, "open" if source is None else "permission", source, group)


networks: tuple[KeyNetwork, ...] = ("testnet", "mainnet")
sources: tuple[KeySource | None, ...] = (None, "derived", "imported")
metadata = st.builds(
    _metadata, st.integers(0, 3), st.sampled_from(networks), st.sampled_from(sources), st.integers(0, 7)
)


@settings(deadline=None)
@given(metadata)
def test_metadata_round_trips(meta: KeyMetadata) -> None:
    bits = meta.to_bits()
    assert KeyMetadata.from_bits(bits) == meta
    assert KeyMetadata.from_bits(bits - 0x10000 if bits > 0x7FFF else bits) == meta
    assert KeyMetadata.from_json(meta.to_json()) == meta
    nested = {"network": meta.network, "access": meta.access, "source": meta.source}
    document = {"version": meta.version, "sealType": nested, "procGroup": meta.proc_group, "generatedAt": "2026-01-01"}
    assert KeyMetadata.from_json(document) == meta


def test_open_access_writes_the_source_bit_and_ignores_it() -> None:
    assert KeyMetadata.from_bits(0x2100) == KeyMetadata.from_bits(0x2900) == KeyMetadata(0, "mainnet", "open", None, 1)
    assert KeyMetadata.from_bits(0x2100).to_bits() == 0x2900
    assert KeyMetadata.from_bits(0x2100).to_json()["seal_source"] is None


def test_canonical_json() -> None:
    expected = {"key_version": 0, "seal_network": 1, "seal_access": 1, "seal_source": 0, "proc_group": 1}
    assert KeyMetadata.from_bits(0x3100).to_json() == expected


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"seal_network": 2, "seal_access": 1, "seal_source": 0, "proc_group": 1},
        {"seal_network": True, "seal_access": 1, "seal_source": 0, "proc_group": 1},
        {"seal_network": 1, "seal_access": 1, "seal_source": None, "proc_group": 1},
        {"seal_network": 1, "seal_access": 1, "seal_source": 0, "proc_group": 8},
        {"seal_network": 1, "seal_access": 1, "seal_source": 0, "proc_group": "1"},
    ],
)
def test_bad_metadata_documents(document: dict[str, object]) -> None:
    with pytest.raises(KeyFormatError, match="key metadata"):
        KeyMetadata.from_json(document)


@pytest.mark.parametrize("bits", [-0x8001, 0x10000])
def test_bad_metadata_bits(bits: int) -> None:
    with pytest.raises(KeyFormatError, match="16 bits"):
        KeyMetadata.from_bits(bits)
