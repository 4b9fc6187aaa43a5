"""The escrow on the chain beside the books: what its contract says, its events, and what becomes of them."""
