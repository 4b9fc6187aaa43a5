"""The chain from a revocation to its proof, link by link and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.moments import span
from db.suiftly.keys.proof_evidence import Evidence


@dataclass(frozen=True, slots=True)
class ProofStep:
    """One link of the chain. `severity`: "good" it holds, "wait" not yet, "bad" it should by now, "open" not known."""

    name: str
    severity: str
    sentence: str


def steps(evidence: Evidence) -> tuple[ProofStep, ...]:
    """The chain in its order."""
    by = evidence.key.revoked_by or "unknown"
    committed = ProofStep("committed", "good", f"{clock(evidence.revoked_at)} by {by}")
    return committed, _published(evidence), _applied(evidence), _refused(evidence), _served(evidence)


def _published(evidence: Evidence) -> ProofStep:
    version, trouble = evidence.publication.version, evidence.publication.trouble
    if version is None and trouble is not None:
        return ProofStep("vault", "open", trouble)
    if version is None:
        return ProofStep("vault", _wait(evidence), "the newest version still holds the key")
    by = "" if trouble is None else ", by the record (its file is not opened here)"
    absent = f"absent from version {version.seq} on, published {_when(evidence, version.published_at)}{by}"
    return ProofStep("vault", "good", absent)


def _applied(evidence: Evidence) -> ProofStep:
    if not evidence.is_reported:
        return ProofStep("gateways", "open", "none reports what it applies; the log alone tells")
    if evidence.publication.version is None:
        return ProofStep("gateways", "open", "what they have to apply is not known yet")
    behind = evidence.behind
    count = f"applied by {len(evidence.gateways) - len(behind)} of {len(evidence.gateways)}"
    if not behind:
        return ProofStep("gateways", "good", count)
    named = "; ".join(f"{one.words}, {one.state}" for one in behind[:3])
    late = evidence.at - evidence.publication.version.published_at > evidence.allowance
    return ProofStep(
        "gateways", "bad" if late else "wait", f"{count}; not by {named}{'; …' if len(behind) > 3 else ''}"
    )


def _refused(evidence: Evidence) -> ProofStep:
    if not evidence.log_answered:
        return ProofStep("refused", "open", "the log did not answer in time")
    if evidence.first_refusal is None:
        return ProofStep("refused", "wait", "no refusal seen yet (403, event 31)")
    where = sum(one.refused > 0 for one in evidence.servers)
    sentence = (
        f"first {_when(evidence, evidence.first_refusal)}; {evidence.refused:,} in all (403, event 31), "
        f"by {where} server{'s' * (where != 1)}"
    )
    return ProofStep("refused", "good", sentence)


def _served(evidence: Evidence) -> ProofStep:
    if not evidence.log_answered:
        return ProofStep("served", "open", "the log did not answer in time")
    if evidence.last_served is None:
        return ProofStep("served", "good", "not since the revocation")
    last = f"last {_when(evidence, evidence.last_served)}"
    if evidence.serving:
        return ProofStep("served", "bad", f"{last}, by {listed([one.label for one in evidence.serving])}")
    if evidence.unsettled:
        return ProofStep(
            "served", "wait", f"{last}; not refused since by {listed([one.label for one in evidence.unsettled])}"
        )
    return ProofStep("served", "good", f"{last}, and not since")


def _wait(evidence: Evidence) -> str:
    return "wait" if evidence.is_early else "bad"


def _when(evidence: Evidence, moment: datetime) -> str:
    """The moment, and how long after the revocation."""
    seconds = (moment - evidence.revoked_at).total_seconds()
    after = f"{seconds:.0f} s" if abs(seconds) < 600 else span(timedelta(minutes=seconds // 60))
    return f"{clock(moment)}, {after} after the revocation"


def clock(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%H:%M:%S}"


def listed(labels: Sequence[str]) -> str:
    """Names: up to four, and how many more."""
    more = len(labels) - 4
    return ", ".join(labels[:4]) + (f" and {more} more" if more > 0 else "")
