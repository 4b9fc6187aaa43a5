"""The directory where vault files are published: each is there whole or not at all."""

import os
from dataclasses import dataclass
from pathlib import Path

from db.suiftly.vault.errors import Unreadable, VaultError
from db.suiftly.vault.file_format import name_parts


@dataclass(frozen=True, slots=True)
class Found:
    """A file whose name is that of a vault. What is in it is not known yet."""

    path: Path
    vault: str
    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of vault files. Everything here blocks, and raises VaultError."""

    path: Path

    def found(self, vault: str) -> list[Found]:
        """The files of one vault, in the order of their numbers."""
        try:
            names = os.listdir(self.path)  # noqa: PTH208 - names are wanted, in one call
        except OSError as error:
            raise VaultError(
                f"the vault directory {self.path} cannot be read: {error.strerror}; create it, or check its rights"
            ) from error
        files = [Found(self.path / name, *parts) for name in names if (parts := name_parts(name)) and parts[0] == vault]
        return sorted(files, key=lambda file: (file.seq, file.hash))

    def sweep(self, vault: str) -> int:
        """Removes what a run that was killed left behind half written; how many there were."""
        left = list(self.path.glob(f".{vault}-*.enc.part"))
        for part in left:
            remove(part)
        return len(left)

    def write(self, name: str, data: bytes) -> Path:
        """A new file that is on the disk, name and all, when this returns.

        Readable by others, since it is encrypted and some other program carries it to the gateways.
        """
        part, path = self.path / f".{name}.part", self.path / name
        try:
            try:
                handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                with open(handle, "wb") as file:  # noqa: PTH123 - of a handle
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.rename(path)
            finally:
                part.unlink(missing_ok=True)
            self._sync()
        except OSError as error:
            raise VaultError(f"{path} cannot be written: {error.strerror}; the version before stays") from error
        return path

    def _sync(self) -> None:
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """A file that may have gone already. Raises VaultError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise VaultError(f"{path} cannot be removed: {error.strerror}; check the rights of its directory") from error


def read_file(path: Path) -> bytes:
    """A whole file. Raises Unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
