"""opsdeck keys proof"""

import asyncio
from argparse import ArgumentTypeError, Namespace
from datetime import timedelta
from time import monotonic

from console import failures
from console.cli.context import Context, Subparsers, add_command
from console.cli.output import emit, narrate, to_json
from console.cli.values import KEY, fingerprint
from console.moments import parse_age
from db.source import Proof, ProofState, Source, format_fingerprint

_AGAIN_S = 1.0
_LONGEST = timedelta(hours=1)
_SIGNS = {"good": "ok  ", "wait": "... ", "bad": "BAD ", "open": "?   "}


def add(verbs: Subparsers) -> None:
    proof = add_command(verbs, "proof", "whether a revocation has taken effect; exit 0 only when it is PROVEN")
    proof.add_argument("key", metavar="FP", type=fingerprint, help=KEY)
    proof.add_argument(
        "--wait", metavar="SPAN", type=_wait, default=timedelta(), help="90s, 10m: look again until it is PROVEN"
    )
    proof.add_argument("--json", action="store_true", help="one JSON document")
    proof.set_defaults(run=prove_key)


def _wait(text: str) -> timedelta:
    try:
        found = parse_age(text)
    except (ValueError, OverflowError):
        found = timedelta.max
    if found > _LONGEST:
        raise ArgumentTypeError(f"{text!r} is not a time to wait; write 90s or 10m, at most 1h")
    return found


async def prove_key(context: Context, options: Namespace) -> int:
    async with context.source() as source:
        proof = await _proof(source, options.key, monotonic() + options.wait.total_seconds())
    if proof is None:
        narrate(f"there is no key with fingerprint {format_fingerprint(options.key)}")
        return failures.FAILED
    emit(to_json(proof) if options.json else _as_text(proof))
    return failures.DONE if proof.state is ProofState.PROVEN else failures.FAILED


async def _proof(source: Source, wanted: int, until: float) -> Proof | None:
    """The first that is PROVEN, or the last before the time is over. The key may be brought back meanwhile."""
    while (key := await source.keys.find(wanted)) is not None:
        proof = await source.proofs.of(key)
        if proof.state in (ProofState.PROVEN, ProofState.NOT_REVOKED) or monotonic() >= until:
            return proof
        await asyncio.sleep(min(_AGAIN_S, max(0.0, until - monotonic())))
    return None


def _as_text(proof: Proof) -> str:
    steps = [f"{_SIGNS[step.severity]} {step.name:<10} {step.sentence}" for step in proof.steps]
    return "\n".join([proof.sentence, *steps, *([proof.caveat] if proof.caveat else [])])
