"""What each gateway serves from, as a table of the control screen."""

from console.words import ago, moment
from db.source import GatewayState, GatewayVault
from widgets.keyset_table import Column, KeysetTable
from widgets.tone import Tone

_TONES = {
    GatewayState.IN_SYNC: Tone.GOOD,
    GatewayState.APPLYING: Tone.ACCENT,
    GatewayState.PENDING: Tone.NOTICE,
    GatewayState.LATE: Tone.BAD,
    GatewayState.ERROR: Tone.BAD,
    GatewayState.AHEAD: Tone.WARN,
    GatewayState.UNKNOWN: Tone.DIM,
}


def gateway_table() -> KeysetTable[GatewayVault]:
    """Which version each serves, how far that is behind and since when, and when it said so."""
    return KeysetTable(
        (
            Column("gateway", 10, lambda row: row.gateway),
            Column("vault", 5, lambda row: row.vault),
            Column("serves", 7, lambda row: "-" if row.applied_seq is None else str(row.applied_seq), align="right"),
            Column("of", 7, lambda row: str(row.current_seq), align="right"),
            Column("state", 8, lambda row: (row.state, _TONES[row.state])),
            Column("behind since (UTC)", 19, lambda row: moment(row.behind_since)),
            Column("reported", 10, _reported),
            Column("error", 10, lambda row: (row.error or "", Tone.BAD), flex=True, hide_below=90),
        ),
        lambda row: (row.gateway, row.vault),
        "No gateway reports, and none is in the log.",
        id="gateways",
        classes="gateways",
    )


def _reported(row: GatewayVault) -> tuple[str, Tone]:
    return ago(row.seen_at, row.at) if row.seen_at else "never", Tone.PLAIN if row.reporting else Tone.WARN
