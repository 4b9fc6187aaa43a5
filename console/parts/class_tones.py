"""The tone of each traffic class, the same in the chart and in the log."""

from db.source import TrafficClass
from widgets.tone import Tone

CLASS_TONES = {
    TrafficClass.GUARANTEED: Tone.GOOD,
    TrafficClass.BURST: Tone.NOTICE,
    TrafficClass.REJECTED: Tone.WARN,
    TrafficClass.INVALID: Tone.PLAIN,
    TrafficClass.SERVER_ERROR: Tone.BAD,
    TrafficClass.OTHER: Tone.DIM,
}
"""In the order of the chart, from the bottom. Accent and warn are both yellowish: only one of them is used."""
