"""What an operator types to find something on record."""

from db.audit import AuditSearch
from db.suiftly.customer_id import MAX_CUSTOMER_ID, read_customer_id
from db.suiftly.keys.format import parse_fingerprint
from db.suiftly.keys.metadata import KeyFormatError

_OUTCOMES = ("done", "partial", "refused", "stale", "failed", "cancelled", "abandoned")
HINT = "action:revoke-keys who:ann outcome:refused key:0x… customer:7 job:clean-up !action:run-job"


def parse_search(text: str) -> AuditSearch:
    """Reads words like those of HINT. Raises ValueError with one sentence; a pasted key never stands in it."""
    subject: str | None = None
    named: dict[str, tuple[str, ...]] = {}
    for word in text.split():
        kind, _, value = word.partition(":")
        if not value:
            raise ValueError("search the record by " + HINT)
        if kind in ("action", "who", "outcome", "!action"):
            named[kind] = named.get(kind, ()) + tuple(filter(None, value.split(",")))
        elif kind.startswith("!"):
            raise ValueError("only actions can be left out, such as !action:run-job")
        elif subject is not None:
            raise ValueError("the record can be searched for one subject at a time")
        else:
            subject = f"{kind}:{_subject(kind, value)}"
    if unknown := set(named.get("outcome", ())) - set(_OUTCOMES):
        raise ValueError(f"there is no outcome {min(unknown)!r}; there are {', '.join(_OUTCOMES)}")
    return AuditSearch(
        subject=subject,
        actions=named.get("action", ()),
        who=named.get("who", ()),
        outcomes=named.get("outcome", ()),
        without_actions=named.get("!action", ()),
    )


def _subject(kind: str, value: str) -> str:
    """As the record has it: fingerprints there are decimal, and shown everywhere in hex."""
    if kind == "key":
        try:
            return str(parse_fingerprint(value))
        except KeyFormatError as error:
            raise ValueError(str(error)) from error
    if kind == "customer" and read_customer_id(value) is None:
        # The word is not repeated: it may be a key pasted into the wrong place.
        raise ValueError(f"customer: wants an id from 1 to {MAX_CUSTOMER_ID}")
    return value
