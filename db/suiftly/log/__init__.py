"""The request log: reading it, filtering, counting, explaining a row, taking rows away."""
