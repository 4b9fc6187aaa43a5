"""Times as text, the same wherever they leave the program."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """UTC with a Z: 2026-11-20T14:05:11.123456Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
