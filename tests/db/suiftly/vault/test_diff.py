"""Differences of two contents, by customer and key, and never a secret."""

from typing import Any

from db.suiftly.vault.diff import Change, VaultDiff, differences


def service(*keys: int, tier: str = "pro", status: str = "active", rps: int | None = 100) -> dict[str, Any]:
    limits = None if rps is None else {"burst_rps": 0, "guaranteed_rps": rps}
    return {"keys": list(keys), "limits": limits, "status": status, "tier": tier}


def customer(status: str = "active", **services: dict[str, Any]) -> dict[str, Any]:
    return {"services": services, "status": status}


def encryption(name: str, material: str, kind: str = "aes256") -> dict[str, Any]:
    key = {
        "created_at": "2026-01-01T00:00:00Z",
        "encrypted_key": material,
        "key_type": kind,
        "metadata": {"note": material},
    }
    return {"keys": {name: key}, "status": "active"}


def test_equal_contents_differ_in_nothing() -> None:
    assert list(differences({"7": customer(seal=service(1))}, {"7": customer(seal=service(1))})) == []
    assert VaultDiff("ma", None, None, ()).sentence == "nothing differs"


def test_customers_come_and_go_with_their_services_and_keys() -> None:
    before = {"10": customer(seal=service(1))}
    after = {"9": customer("suspended", grpc=service(2, 3, rps=None))}
    diff = VaultDiff("ma", "a", "b", tuple(differences(before, after)))
    assert diff.changes == (
        Change(9, "customer", None, "suspended"),
        Change(9, "grpc", None, "pro, active, none in the price book"),
        Change(9, "grpc key 0x00000002", None, "inside", 2),
        Change(9, "grpc key 0x00000003", None, "inside", 3),
        Change(10, "customer", "active", None),
        Change(10, "seal", "pro, active, burst_rps 0, guaranteed_rps 100", None),
        Change(10, "seal key 0x00000001", "inside", None, 1),
    )
    assert diff.keys(added=True) == (2, 3)
    assert diff.keys(added=False) == (1,)
    assert diff.sentence == "1 customer added, 1 customer gone, 2 keys added, 1 key removed, 2 other changes"


def test_each_field_of_a_service_is_told_by_itself() -> None:
    before = {"7": customer(seal=service(1, 2))}
    after = {"7": customer("suspended", seal=service(2, 3, tier="starter", status="suspended", rps=12))}
    assert [(change.what, change.before, change.after) for change in differences(before, after)] == [
        ("status", "active", "suspended"),
        ("seal status", "active", "suspended"),
        ("seal tier", "pro", "starter"),
        ("seal limits", "burst_rps 0, guaranteed_rps 100", "burst_rps 0, guaranteed_rps 12"),
        ("seal key 0x00000001", "inside", None),
        ("seal key 0x00000003", None, "inside"),
    ]


def test_of_an_encryption_key_only_that_it_differs() -> None:
    before = {"7": encryption("one", "SECRET-A"), "8": encryption("two", "SECRET-B")}
    after = {"7": encryption("one", "SECRET-C"), "8": encryption("three", "SECRET-B", "rsa4096")}
    changes = list(differences(before, after))
    assert changes == [
        Change(7, "encryption key one", "aes256", "aes256, another one"),
        Change(8, "encryption key three", None, "rsa4096"),
        Change(8, "encryption key two", "aes256", None),
    ]
    assert "SECRET" not in repr(changes)
