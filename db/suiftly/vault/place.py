"""Where vaults are published and by which keys, as the settings say."""

from dataclasses import dataclass, field
from pathlib import Path

from db.suiftly.vault.errors import VaultError
from db.suiftly.vault.folder import Folder
from db.suiftly.vault.keyring import Keyring, parse_keys, read_keys


@dataclass(frozen=True, slots=True)
class VaultPlace:
    """The directory, the keys (their text from the environment, or a file), and how many customers a publication may
    drop, in percent of those in the version before."""

    directory: Path | None = None
    key_file: Path | None = None
    key_text: str | None = field(default=None, repr=False)
    loss_percent: float = 10.0

    @property
    def folder(self) -> Folder:
        """Raises VaultError when none is configured."""
        if self.directory is None:
            raise VaultError(
                "no vault directory is configured for this database; set vault_directory in its profile, or "
                "OPSDECK_VAULT_DIRECTORY beside OPSDECK_DATABASE_URL"
            )
        return Folder(self.directory)

    def keys(self) -> Keyring:
        """Reads the keys. Raises VaultError."""
        if self.key_text is not None:
            return parse_keys(self.key_text, "OPSDECK_VAULT_KEYS")
        if self.key_file is None:
            raise VaultError(
                "no vault key is configured; set vault_key_file in the profile, OPSDECK_VAULT_KEY_FILE or "
                "OPSDECK_VAULT_KEYS"
            )
        return read_keys(self.key_file)
