"""What this run was told: profile file, environment and options, read once into frozen values."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from db.chain.config import ChainConfig, Target
from db.chain.values import parse_object_id

ENVIRONMENT_DSN = "OPSDECK_DATABASE_URL"
ENVIRONMENT_REPLICA = "OPSDECK_REPLICA_URL"
ENVIRONMENT_VAULT = "OPSDECK_VAULT_DIRECTORY"
ENVIRONMENT_VAULT_KEY_FILE = "OPSDECK_VAULT_KEY_FILE"
ENVIRONMENT_VAULT_KEYS = "OPSDECK_VAULT_KEYS"


class UsageError(Exception):
    """What was typed or configured cannot be used; its text is one sentence with the remedy. Exit code 2."""


def _target(text: str) -> str:
    return str(Target.parse(text))


class ChainTable(BaseModel):
    """One [profiles.NAME.chain] table. Without it nothing is asked of any chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Annotated[str, AfterValidator(_target)]  # host:port of a node's gRPC
    archive: Annotated[str, AfterValidator(_target)] | None = None  # asked for what the node no longer keeps
    chain_id: str | None = None  # a node of another chain is refused
    # Package ids of the escrow contract: the original one, and those of upgrades that brought new events.
    packages: tuple[Annotated[str, AfterValidator(parse_object_id)], ...] = Field(min_length=1)
    start_checkpoint: int = Field(default=0, ge=0)  # where the escrow contract began
    charges_move_usdc: bool = False  # a charge takes USDC out of the account; false: it is recorded only
    tls: bool = True
    ca_file: Path | None = None  # of a private authority
    headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])  # tokens of providers
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    requests_per_s: float = Field(default=3.0, gt=0, le=1000)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        self.config()
        return self

    def config(self) -> ChainConfig:
        """How the chain is reached; a `ca_file` is looked for beside the configuration file."""
        return ChainConfig(
            target=Target.parse(self.target),
            archive=None if self.archive is None else Target.parse(self.archive),
            chain_id=self.chain_id,
            tls=self.tls,
            ca_file=None if self.ca_file is None else str(configuration_path().parent / self.ca_file.expanduser()),
            headers=tuple((name.lower(), value.get_secret_value()) for name, value in self.headers.items()),
            timeout_s=self.timeout_s,
            requests_per_s=self.requests_per_s,
        )


class Profile(BaseModel):
    """One [profiles.NAME] table of the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dsn: SecretStr | None = None
    replica_dsn: SecretStr | None = None  # a standby of it: the log is read there
    production: bool = False
    read_only: bool | None = None  # None: production profiles start read-only, others do not
    pgbouncer: bool = False  # transaction pooling: no prepared statements
    statement_timeout_s: float = Field(default=5.0, gt=0, le=600)
    mouse: bool = True
    clipboard: Literal["auto", "osc52", "tmux", "off"] = "auto"  # how rows are copied; auto: tmux inside of it
    api_secret_file: Path | None = None  # 64 hex digits, mode 0600; None: API_SECRET_KEY of the environment
    price_book: Path | None = None  # a file like db/suiftly/prices.toml, which is taken without one
    price_preset: str | None = None  # one of its presets; None: its default
    disk_gb: float | None = Field(default=None, gt=0)  # what the database may take of its disk; None: nobody warns
    vault_directory: Path | None = None  # where the vaults of this database are published
    vault_key_file: Path | None = None  # mode 0600: the key that seals them, and older ones behind it
    vault_loss_percent: float = Field(default=10.0, ge=0, le=100)  # customers that one publication may drop
    chain: ChainTable | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    profiles: dict[str, Profile] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Where vaults are published and by which keys. None: not told."""

    directory: Path | None = None
    key_file: Path | None = None
    keys: SecretStr | None = None  # from the environment; wins over the file
    loss_percent: float = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The profile in force and what the options changed about it."""

    profile_name: str
    profile: Profile
    dsn: SecretStr
    read_only: bool
    replica_dsn: SecretStr | None = None
    vault: VaultSettings = VaultSettings()


def configuration_path() -> Path:
    """OPSDECK_CONFIG, or opsdeck/config.toml in the user's configuration folder."""
    if told := os.environ.get("OPSDECK_CONFIG"):
        return Path(told)
    return configuration_folder() / "config.toml"


def configuration_folder() -> Path:
    """opsdeck in the user's configuration folder."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "opsdeck"


def _read_file(path: Path) -> _File:
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _File()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = {3: Profile.model_fields, 4: ChainTable.model_fields}.get(len(first["loc"]), _File.model_fields)
            message = f"there is no such setting; there are {', '.join(known)}"
        raise UsageError(f"{path}: {field}: {message}") from error


def load_settings(*, profile: str | None, dsn: str | None, read_only: bool) -> Settings:
    """Options win over the environment, the environment over the profile. Raises UsageError."""
    path = configuration_path()
    profiles = _read_file(path).profiles
    name = profile or os.environ.get("OPSDECK_PROFILE") or "default"
    if name not in profiles and (profile or os.environ.get("OPSDECK_PROFILE")):
        known = ", ".join(sorted(profiles)) or "none"
        raise UsageError(f"there is no profile {name!r} in {path}; profiles there: {known}")
    chosen = profiles.get(name, Profile())
    if dsn is not None and not dsn.strip():
        raise UsageError("--dsn is empty; name a database, or leave the option out")
    told = dsn or (None if profile else os.environ.get(ENVIRONMENT_DSN))
    secret = SecretStr(told) if told else chosen.dsn
    if secret is None:
        raise UsageError(
            f"no database is named; pass --dsn, set {ENVIRONMENT_DSN} or write a profile in {path}, "
            "or try `opsdeck demo`"
        )
    _check_dsn(secret, "the DSN")
    replica = chosen.replica_dsn
    if told:
        # Only the replica named beside this database, never that of another one; beside --dsn there is none.
        beside = os.environ.get(ENVIRONMENT_REPLICA) if not dsn else None
        replica = SecretStr(beside) if beside else None
    if replica is not None:
        _check_dsn(replica, ENVIRONMENT_REPLICA if told else "replica_dsn")
    start_read_only = chosen.production if chosen.read_only is None else chosen.read_only
    vault = _vault(chosen, path.parent, dsn_from="option" if dsn else "environment" if told else "profile")
    return Settings(name, chosen, secret, read_only or start_read_only, replica, vault)


def _vault(profile: Profile, folder: Path, *, dsn_from: str) -> VaultSettings:
    """Only the directory named beside this database: one database's vault must never land where another's is."""

    def beside(path: Path | None) -> Path | None:
        return path and folder.absolute() / path.expanduser()

    directory = beside(profile.vault_directory) if dsn_from == "profile" else None
    if dsn_from == "environment" and (named := os.environ.get(ENVIRONMENT_VAULT)):
        directory = Path(named).expanduser().absolute()
    key_file = beside(profile.vault_key_file)
    if key_file is None and (named := os.environ.get(ENVIRONMENT_VAULT_KEY_FILE)):
        key_file = Path(named).expanduser().absolute()
    keys = os.environ.get(ENVIRONMENT_VAULT_KEYS)
    return VaultSettings(directory, key_file, SecretStr(keys) if keys else None, profile.vault_loss_percent)


def _check_dsn(dsn: SecretStr, name: str) -> None:
    try:
        misread = _is_misread(dsn.get_secret_value())
    except ProgrammingError:
        # libpq quotes the text it could not read, and that may be the password.
        raise UsageError(
            f"{name} is neither a URL (postgresql://user@host/database) nor a list of keyword=value pairs"
        ) from None
    if misread:
        raise UsageError(f"{name} cannot be read: write @ : / and % of a password as %40 %3A %2F %25")


def _is_misread(dsn: str) -> bool:
    """Whether a piece of a password ended up as host, port or database of a URL, which errors would then quote."""
    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    return "://" in dsn and (
        "@" in parts.get("host", "") + parts.get("dbname", "") or not re.fullmatch(r"[\d,]*", parts.get("port", ""))
    )


def has_password(dsn: str) -> bool:
    """Whether a DSN carries a password; an unreadable one may."""
    try:
        return bool(conninfo_to_dict(dsn).get("password")) or _is_misread(dsn)
    except ProgrammingError:
        return True
