"""Whether a revocation has taken effect: committed, out of the vault, applied, refused, and served no more.

States, the first that holds:
- STILL SERVED: a gateway served the key more than the allowance after the revocation, and has not refused it since.
- LATE, PROPAGATING: the newest vault still holds it, or a gateway has neither applied a version without it nor refused
  it; LATE when that is longer than the allowance ago.
- NO TRAFFIC YET: nobody has tried the key since, as far as the log tells.
- PROVEN: refused, and by no gateway served after it was refused there.

Where nothing is reported or published the log alone tells, and PROVEN waits for the allowance.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from db.moments import span
from db.suiftly.keys.keys import RECENT_MINUTES
from db.suiftly.keys.proof_evidence import Evidence
from db.suiftly.keys.proof_steps import ProofStep, clock, listed, steps

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


def judge(evidence: Evidence) -> Proof:
    """Weighs what is known."""
    state, sentence = _verdict(evidence)
    return Proof(
        fingerprint=evidence.key.fingerprint,
        state=state,
        sentence=sentence,
        at=evidence.at,
        revoked_at=evidence.revoked_at,
        version=evidence.publication.version and evidence.publication.version.seq,
        applied=tuple(one.gateway for one in evidence.gateways if evidence.has_applied(one)),
        not_applied=tuple(one.gateway for one in evidence.behind),
        first_refusal=evidence.first_refusal,
        refused=evidence.refused,
        last_served=evidence.last_served,
        served_by=tuple(server.label for server in evidence.serving),
        steps=steps(evidence),
        caveat=_CAVEAT
        if evidence.at - evidence.revoked_at <= 2 * WINDOW
        else f"{_CAVEAT} The log was looked at for the first and the last {RECENT_MINUTES} minutes since.",
    )


def _verdict(evidence: Evidence) -> tuple[ProofState, str]:
    """The first state that holds, and a sentence."""
    if evidence.serving:
        names = listed([one.label for one in evidence.serving])
        return ProofState.STILL_SERVED, f"STILL SERVED by {names}, last at {clock(evidence.last_served)}"
    return _on_the_way(evidence) or _by_the_log(evidence)


def _on_the_way(evidence: Evidence) -> tuple[ProofState, str] | None:
    """What the vault and the reports say is not done yet."""
    version = evidence.publication.version
    if version is None and evidence.publication.trouble is None:
        return _slow(evidence, evidence.revoked_at, "the newest vault still holds the key; publish one without it")
    if version is not None and evidence.behind:
        names = listed([one.gateway for one in evidence.behind])
        return _slow(
            evidence, version.published_at, f"{names} may still serve it: version {version.seq} is not applied"
        )
    return None


def _by_the_log(evidence: Evidence) -> tuple[ProofState, str]:
    if not evidence.log_answered:
        return ProofState.NO_TRAFFIC, "NO TRAFFIC YET is all that is known: the log did not answer in time"
    names = listed([one.label for one in evidence.unsettled])
    if names and evidence.is_early:
        return (
            ProofState.PROPAGATING,
            f"PROPAGATING: {names} served it after the revocation, and not refused it yet",
        )
    if names or evidence.first_refusal is None:
        where = f" at {names}, which served it last" if names else ""
        return ProofState.NO_TRAFFIC, f"NO TRAFFIC YET: nobody has tried the key since{where}; that is no proof"
    if evidence.is_early and not evidence.is_reported:
        return (
            ProofState.PROPAGATING,
            f"PROPAGATING: refused, but for {span(evidence.allowance)} others may still serve it",
        )
    refusals = f"{evidence.refused:,} refusal{'s' * (evidence.refused != 1)}"
    since = "the revocation" if evidence.last_served is None else clock(evidence.last_served)
    return ProofState.PROVEN, f"PROVEN: {refusals}, no success since {since}; as of {clock(evidence.at)}"


def _slow(evidence: Evidence, since: datetime, why: str) -> tuple[ProofState, str]:
    state = ProofState.LATE if evidence.at - since > evidence.allowance else ProofState.PROPAGATING
    return state, f"{state}: {why}"
