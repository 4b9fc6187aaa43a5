"""What every change of access says: that gateways do not know of it yet."""

TELL_GATEWAYS = (
    "Gateways learn of it from the next ma vault: run the job generate-ma-vault, or add --publish in the shell."
)
