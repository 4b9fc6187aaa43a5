"""What can be wrong with a vault."""

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
