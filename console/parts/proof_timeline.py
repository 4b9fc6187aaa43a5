"""The proof of a revocation, step by step."""

from typing import Final

from db.source import Proof, ProofState
from widgets.facts import Fact
from widgets.tone import Tone

_TONES: Final = {"good": Tone.GOOD, "wait": Tone.WARN, "bad": Tone.BAD, "open": Tone.DIM}
_SIGNS: Final = {"good": "✓", "wait": "…", "bad": "▲", "open": "?"}
_STATES: Final = {
    ProofState.PROVEN: Tone.GOOD,
    ProofState.PROPAGATING: Tone.WARN,
    ProofState.NO_TRAFFIC: Tone.WARN,
    ProofState.LATE: Tone.BAD,
    ProofState.STILL_SERVED: Tone.BAD,
}


def proof_facts(proof: Proof | str) -> list[Fact]:
    """The steps in their order, what follows, and what to keep in mind; a sentence when it could not be looked at."""
    if isinstance(proof, str):
        return [("not known", proof, Tone.WARN)]
    steps: list[Fact] = [
        (step.name, f"{_SIGNS[step.severity]} {step.sentence}", _TONES[step.severity]) for step in proof.steps
    ]
    return [*steps, ("proof", proof.sentence, _STATES.get(proof.state, Tone.PLAIN)), ("", proof.caveat, Tone.DIM)]
