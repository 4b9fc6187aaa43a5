"""One line of what needs a look."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that needs a look, and the subject it opens ("key:42", "jobs:clean-up", "control")."""

    severity: str  # "bad" or "warn"
    sentence: str
    subject: str
    since: datetime | None = None
