"""A storm over the request log: writers of every kind, aggregators that die, billing and retention beside them.

The table `truth` holds the rows as their writers meant them, each written in the transaction that writes its log row:
they are committed or not together, whatever crashes.
"""
