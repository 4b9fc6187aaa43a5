"""Allowing a publication that warns. The job that publishes the vault uses it, with all its other checks."""

from dataclasses import dataclass
from datetime import timedelta

from db.audit import Actor
from db.database import Connection
from db.errors import Refused, Stale
from db.operations import Change, Operation, Preview
from db.suiftly.vault.errors import VaultWarning
from db.suiftly.vault.versions import current_version

_LASTS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PublishDespiteWarning(Operation):
    """Lets the next publication lose up to `customers`, against the version that the warning was about."""

    action = "publish-despite-warning"
    topic = "vaults"
    writes = ("INSERT console.vault_loss", "UPDATE console.vault_loss")

    warning: VaultWarning
    customers: int
    version: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        return (f"vault:{self.warning.vault}",)

    @property
    def weight(self) -> int:
        """The customers that may vanish."""
        return max(1, self.customers)

    @property
    def shell(self) -> str:
        return f"opsdeck vault publish {self.warning.vault} --accept-loss {self.customers}"

    async def preview(self, connection: Connection) -> Preview:
        label = await self._standing(connection)
        warning = self.warning
        return Preview(
            title=f"Publish the {warning.vault} vault despite its warning",
            verb="Publish",
            changes=(warning.sentence, f"against version {label}: {warning.difference}"),
            consequences=(
                f"Gateways stop serving who is not in it. Up to {self.customers:,} of {warning.total:,} customers may "
                "vanish; if it were more by then, nothing is published.",
                f"This holds for the next publication, for {_LASTS / timedelta(minutes=1):.0f} min at the most.",
            ),
            version=label,
            typed_phrase=str(self.customers),
        )

    async def apply(self, connection: Connection, actor: Actor, reason: str) -> Change:
        await connection.execute("SELECT FROM system_control WHERE id = 1 FOR SHARE")
        label = await self._standing(connection)
        if self.version is not None and self.version != label:
            raise Stale("another version was published since it was shown; look at it again")
        vault = self.warning.vault
        await connection.execute(
            """INSERT INTO console.vault_loss (vault, version, customers, expires_at)
               VALUES (%(vault)s, %(version)s, %(customers)s, now() + %(lasts)s)
               ON CONFLICT (vault) DO UPDATE SET version = excluded.version, customers = excluded.customers,
                   expires_at = excluded.expires_at""",
            {"vault": vault, "version": label, "customers": self.customers, "lasts": _LASTS},
        )
        subject = f"vault:{vault}"
        return Change(
            before={subject: {"may_lose": None}},
            after={subject: {"may_lose": self.customers, "against": label, "warning": self.warning.sentence}},
            message=f"The {vault} vault may be published with up to {self.customers:,} customers gone",
        )

    async def _standing(self, connection: Connection) -> str:
        """The label of the version in force. Raises Refused when the warning allows nothing of the kind."""
        warning = self.warning
        current = await current_version(connection, warning.vault)
        if current is None or current.label != warning.version:
            raise Refused(f"another version of the {warning.vault} vault was published since it warned; look again")
        if warning.lost > self.customers:
            raise Refused(f"{warning.lost:,} customers would vanish, more than {self.customers:,}")
        return current.label
