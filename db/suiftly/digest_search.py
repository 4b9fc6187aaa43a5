"""Whose customer a transaction is about: on its ledger, in its escrow, on its bills."""

from typing import LiteralString

TOUCHED_BY: LiteralString = """(ARRAY(
    SELECT customer_id FROM escrow_transactions WHERE tx_digest = ANY (%(digests)s)
    UNION SELECT customer_id FROM ledger_entries WHERE tx_hash = ANY (%(digests)s)
    UNION SELECT customer_id FROM billing_records WHERE tx_digest = ANY (%(digests)s)))"""
"""Behind `= ANY`. An array, so that an index of the table beside it serves."""
