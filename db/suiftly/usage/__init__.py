"""Usage over time, read from rollups."""
