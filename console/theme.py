"""The colours of the console."""

from textual.theme import Theme

THEME = Theme(
    name="opsdeck",
    primary="#6c9ac2",
    secondary="#7fb4d6",
    accent="#d9b36c",
    success="#86bf8f",
    warning="#e0a458",
    error="#e06c75",
    foreground="#d5d9de",
    background="#0f1216",
    surface="#151a20",
    panel="#1d242c",
    variables={
        "block-cursor-background": "#2c4258",
        "block-cursor-foreground": "#ffffff",
        "footer-key-foreground": "#d9b36c",
    },
)
"""Calm: one accent, colour kept for what matters."""
