"""Gateways that need a look."""

from collections.abc import Iterator

from db.suiftly.attention.line import Attention
from db.suiftly.gateways import GatewayState, GatewayVault


def of_gateways(reports: list[GatewayVault]) -> Iterator[Attention]:
    """One line for those that are late or in error, one for those that fell silent."""
    for severity in ("bad", "warn"):
        silent = severity == "warn"
        these = [one for one in reports if one.trouble and (one.state is GatewayState.UNKNOWN) == silent]
        if these:
            more = f"; and {len(these) - 1} more" if len(these) > 1 else ""
            since = these[0].seen_at if silent else these[0].behind_since
            yield Attention(severity, f"{these[0].trouble}{more}", "control:gateways", since)
