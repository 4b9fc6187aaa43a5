"""What is known of a revocation, and what follows from each part of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from db.suiftly.gateways import GatewayVault
from db.suiftly.keys.keys import ApiKey
from db.suiftly.log.codes import server_label
from db.suiftly.vault.versions import VaultVersion


@dataclass(frozen=True, slots=True)
class ServerTraffic:
    """What one server logged of the key since the revocation."""

    server_id: int
    refused: int
    first_refusal: datetime | None
    last_refusal: datetime | None
    last_served: datetime | None

    @property
    def label(self) -> str:
        return server_label(self.server_id)

    @property
    def refuses(self) -> bool:
        """The last that it did with the key, and no backend has answered since."""
        return self.last_refusal is not None and (self.last_served is None or self.last_served < self.last_refusal)


@dataclass(frozen=True, slots=True)
class Publication:
    """What is known of the vault: `version` is the first without the key; `trouble` says why no file was opened."""

    version: VaultVersion | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict is made of. `log_answered` False: the log did not answer in time, and `servers` is empty."""

    key: ApiKey
    revoked_at: datetime
    publication: Publication
    gateways: tuple[GatewayVault, ...]
    servers: tuple[ServerTraffic, ...]
    at: datetime
    allowance: timedelta  # of the gateways, as GatewayVault has it
    log_answered: bool = True

    @property
    def is_early(self) -> bool:
        return self.at - self.revoked_at <= self.allowance

    @property
    def is_reported(self) -> bool:
        """Whether gateways tell what they apply at all."""
        return any(one.applied_seq is not None for one in self.gateways)

    @property
    def refused(self) -> int:
        return sum(one.refused for one in self.servers)

    @property
    def first_refusal(self) -> datetime | None:
        return min((one.first_refusal for one in self.servers if one.first_refusal is not None), default=None)

    @property
    def last_served(self) -> datetime | None:
        return max((one.last_served for one in self.servers if one.last_served is not None), default=None)

    def has_applied(self, gateway: GatewayVault) -> bool:
        """By its report, or because it refuses."""
        version = self.publication.version
        told = version is not None and gateway.applied_seq is not None and gateway.applied_seq >= version.seq
        return told or any(server.label == gateway.gateway and server.refuses for server in self.servers)

    @property
    def behind(self) -> tuple[GatewayVault, ...]:
        """Who may still serve the key; nobody is named where nothing is reported or published."""
        if not self.is_reported or self.publication.version is None:
            return ()
        return tuple(one for one in self.gateways if not self.has_applied(one))

    @property
    def unsettled(self) -> tuple[ServerTraffic, ...]:
        """Who served it after the revocation and has shown nothing else since."""
        settled = {one.gateway for one in self.gateways if self.has_applied(one)}
        return tuple(
            one
            for one in self.servers
            if one.last_served is not None
            and not one.refuses
            and not (one.label in settled and self.at - one.last_served > self.allowance)
        )

    @property
    def serving(self) -> tuple[ServerTraffic, ...]:
        """Who served it when that was to be over."""
        over = self.revoked_at + self.allowance
        return tuple(one for one in self.unsettled if one.last_served is not None and one.last_served > over)
