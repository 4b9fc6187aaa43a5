"""A chain that is none: a ledger in memory, and a node on this machine that answers for it as a node of Sui does.

For tests, and for the demo, where everything that comes from it says "simulated".
"""
