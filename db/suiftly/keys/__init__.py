"""API keys: their format and how they are kept, the questions about them, and the proof of a revocation."""
