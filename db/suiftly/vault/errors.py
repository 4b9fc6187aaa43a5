"""What can be wrong with a vault."""

from dataclasses import dataclass

from db.errors import Refused


class VaultError(Refused):
    """A vault, its key or its place cannot be used. One sentence with the remedy; never a key, never content."""


class UnknownKey(VaultError):
    """The file names a key that is not among those configured."""


class Damaged(VaultError):
    """The file is no vault, cut short, altered, or sealed with another key of the same name."""


class Unreadable(VaultError):
    """The file is not there, or its rights or the disk do not let it be read."""


class RevokedInside(VaultError):
    """A key was revoked since the content was read: it must be read again."""


@dataclass(frozen=True, slots=True)
class VaultWarning:
    """Why a vault is not published unless somebody says that it is meant."""

    vault: str
    version: str | None  # label of the version that it was compared with
    lost: int  # customers that are in that version and would be gone
    total: int
    sentence: str
    difference: str  # in words: "2 customers gone, 4 keys removed"


class Warned(VaultError):
    """It was not published, because of a warning."""

    def __init__(self, warning: VaultWarning) -> None:
        self.warning = warning
        super().__init__(
            f"{warning.sentence}; look with `opsdeck vault diff current next --vault {warning.vault}`, and if it is "
            f"meant, run `opsdeck vault publish {warning.vault} --accept-loss {warning.lost}`"
        )
