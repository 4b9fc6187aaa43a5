"""The chain beside the books: Sui, read-only. Without the reader nothing here imports pysui (0.4 s, 20 MB)."""
