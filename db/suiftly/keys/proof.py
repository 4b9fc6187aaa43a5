"""Whether a revocation has taken effect: committed, out of the vault, applied, refused, and served no more.

States, the first that holds:
- STILL SERVED: a gateway served the key more than the allowance after the revocation, and has not refused it since.
- LATE, PROPAGATING: the newest vault still holds it, or a gateway has neither applied a version without it nor refused
  it; LATE when that is longer than the allowance ago.
- NO TRAFFIC YET: nobody has tried the key since, as far as the log tells.
- PROVEN: refused, and by no gateway served after it was refused there.

Where nothing is reported or published the log alone tells, and PROVEN waits for the allowance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from db.moments import span
from db.suiftly.gateways import GatewayVault
from db.suiftly.keys.keys import RECENT_MINUTES, ApiKey
from db.suiftly.log.codes import server_label
from db.suiftly.vault.versions import VaultVersion

WINDOW = timedelta(minutes=RECENT_MINUTES)
"""The log is looked at for so long after a revocation, and for so long until now."""

_CAVEAT = "Times are by the clocks of the gateways; a line of the log that comes late can still change this."


class ProofState(StrEnum):
    """How far a revocation has come."""

    NOT_REVOKED = "NOT REVOKED"
    PROPAGATING = "PROPAGATING"
    LATE = "LATE"
    NO_TRAFFIC = "NO TRAFFIC YET"
    STILL_SERVED = "STILL SERVED"
    PROVEN = "PROVEN"


@dataclass(frozen=True, slots=True)
class ProofStep:
    """One link of the chain. `severity`: "good" it holds, "wait" not yet, "bad" it should by now, "open" not known."""

    name: str
    severity: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of one revocation at `at`. Servers and gateways by their label (`r1-s03`)."""

    fingerprint: int
    state: ProofState
    sentence: str
    at: datetime
    revoked_at: datetime | None = None
    version: int | None = None  # the first MA vault without the key
    applied: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()
    first_refusal: datetime | None = None
    refused: int = 0
    last_served: datetime | None = None  # after the revocation
    served_by: tuple[str, ...] = ()  # the servers of STILL SERVED
    steps: tuple[ProofStep, ...] = ()
    caveat: str = ""


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


def judge(
    key: ApiKey,
    revoked_at: datetime,
    publication: Publication,
    gateways: Sequence[GatewayVault],
    servers: Sequence[ServerTraffic] | None,
    *,
    at: datetime,
    allowance: timedelta,
) -> Proof:
    """Weighs what is known. `servers` None: the log did not answer in time."""
    answered = servers is not None
    case = _Case(key, revoked_at, publication, tuple(gateways), tuple(servers or ()), answered, at, allowance)
    state, sentence = case.verdict()
    return Proof(
        fingerprint=key.fingerprint,
        state=state,
        sentence=sentence,
        at=at,
        revoked_at=revoked_at,
        version=publication.version and publication.version.seq,
        applied=tuple(one.gateway for one in case.gateways if case.has_applied(one)),
        not_applied=tuple(one.gateway for one in case.behind),
        first_refusal=case.first_refusal,
        refused=case.refused,
        last_served=case.last_served,
        served_by=tuple(server.label for server in case.serving),
        steps=case.steps(),
        caveat=_CAVEAT
        if at - revoked_at <= 2 * WINDOW
        else f"{_CAVEAT} The log was looked at for the first and the last {RECENT_MINUTES} minutes since.",
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """The evidence, and what follows from each part of it."""

    key: ApiKey
    revoked_at: datetime
    publication: Publication
    gateways: tuple[GatewayVault, ...]
    servers: tuple[ServerTraffic, ...]
    log_answered: bool
    at: datetime
    allowance: timedelta  # of the gateways, as GatewayVault has it

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

    def verdict(self) -> tuple[ProofState, str]:
        """The first state that holds, and a sentence."""
        if self.serving:
            names = _names([one.label for one in self.serving])
            return ProofState.STILL_SERVED, f"STILL SERVED by {names}, last at {_clock(self.last_served)}"
        return self._on_the_way() or self._by_the_log()

    def _on_the_way(self) -> tuple[ProofState, str] | None:
        """What the vault and the reports say is not done yet."""
        version = self.publication.version
        if version is None and self.publication.trouble is None:
            return self._slow(self.revoked_at, "the newest vault still holds the key; publish one without it")
        if version is not None and self.behind:
            names = _names([one.gateway for one in self.behind])
            return self._slow(version.published_at, f"{names} may still serve it: version {version.seq} is not applied")
        return None

    def _by_the_log(self) -> tuple[ProofState, str]:
        if not self.log_answered:
            return ProofState.NO_TRAFFIC, "NO TRAFFIC YET is all that is known: the log did not answer in time"
        names = _names([one.label for one in self.unsettled])
        if names and self.is_early:
            return (
                ProofState.PROPAGATING,
                f"PROPAGATING: {names} served it after the revocation, and not refused it yet",
            )
        if names or self.first_refusal is None:
            where = f" at {names}, which served it last" if names else ""
            return ProofState.NO_TRAFFIC, f"NO TRAFFIC YET: nobody has tried the key since{where}; that is no proof"
        if self.is_early and not self.is_reported:
            return (
                ProofState.PROPAGATING,
                f"PROPAGATING: refused, but for {span(self.allowance)} others may still serve it",
            )
        refusals = f"{self.refused:,} refusal{'s' * (self.refused != 1)}"
        since = "the revocation" if self.last_served is None else _clock(self.last_served)
        return ProofState.PROVEN, f"PROVEN: {refusals}, no success since {since}; as of {_clock(self.at)}"

    def _slow(self, since: datetime, why: str) -> tuple[ProofState, str]:
        state = ProofState.LATE if self.at - since > self.allowance else ProofState.PROPAGATING
        return state, f"{state}: {why}"

    def steps(self) -> tuple[ProofStep, ...]:
        """The chain in its order."""
        by = self.key.revoked_by or "unknown"
        committed = ProofStep("committed", "good", f"{_clock(self.revoked_at)} by {by}")
        return committed, self._published(), self._applied(), self._refused(), self._served()

    def _published(self) -> ProofStep:
        version, trouble = self.publication.version, self.publication.trouble
        if version is None and trouble is not None:
            return ProofStep("vault", "open", trouble)
        if version is None:
            return ProofStep("vault", self._wait, "the newest version still holds the key")
        by = "" if trouble is None else ", by the record (its file is not opened here)"
        absent = f"absent from version {version.seq} on, published {self._when(version.published_at)}{by}"
        return ProofStep("vault", "good", absent)

    def _applied(self) -> ProofStep:
        if not self.is_reported:
            return ProofStep("gateways", "open", "none reports what it applies; the log alone tells")
        if self.publication.version is None:
            return ProofStep("gateways", "open", "what they have to apply is not known yet")
        behind = self.behind
        count = f"applied by {len(self.gateways) - len(behind)} of {len(self.gateways)}"
        if not behind:
            return ProofStep("gateways", "good", count)
        named = "; ".join(f"{one.words}, {one.state}" for one in behind[:3])
        late = self.at - self.publication.version.published_at > self.allowance
        return ProofStep(
            "gateways", "bad" if late else "wait", f"{count}; not by {named}{'; …' if len(behind) > 3 else ''}"
        )

    def _refused(self) -> ProofStep:
        if not self.log_answered:
            return ProofStep("refused", "open", "the log did not answer in time")
        if self.first_refusal is None:
            return ProofStep("refused", "wait", "no refusal seen yet (403, event 31)")
        where = sum(one.refused > 0 for one in self.servers)
        sentence = (
            f"first {self._when(self.first_refusal)}; {self.refused:,} in all (403, event 31), "
            f"by {where} server{'s' * (where != 1)}"
        )
        return ProofStep("refused", "good", sentence)

    def _served(self) -> ProofStep:
        if not self.log_answered:
            return ProofStep("served", "open", "the log did not answer in time")
        if self.last_served is None:
            return ProofStep("served", "good", "not since the revocation")
        last = f"last {self._when(self.last_served)}"
        if self.serving:
            return ProofStep("served", "bad", f"{last}, by {_names([one.label for one in self.serving])}")
        if self.unsettled:
            return ProofStep(
                "served", "wait", f"{last}; not refused since by {_names([one.label for one in self.unsettled])}"
            )
        return ProofStep("served", "good", f"{last}, and not since")

    @property
    def _wait(self) -> str:
        return "wait" if self.is_early else "bad"

    def _when(self, moment: datetime) -> str:
        """The moment, and how long after the revocation."""
        seconds = (moment - self.revoked_at).total_seconds()
        after = f"{seconds:.0f} s" if abs(seconds) < 600 else span(timedelta(minutes=seconds // 60))
        return f"{_clock(moment)}, {after} after the revocation"


def _clock(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%H:%M:%S}"


def _names(labels: Sequence[str]) -> str:
    """Up to four, and how many more."""
    more = len(labels) - 4
    return ", ".join(labels[:4]) + (f" and {more} more" if more > 0 else "")
