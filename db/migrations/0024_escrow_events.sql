-- Events of the chain that wait for somebody, and what was decided about them.

-- An entry that a conflict was settled against stays, and an opposite one takes it back.
CREATE TABLE console.ledger_reversal (
    entry_id    uuid PRIMARY KEY REFERENCES ledger_entries ON DELETE CASCADE,
    reversal_id uuid NOT NULL UNIQUE REFERENCES ledger_entries ON DELETE CASCADE,
    CHECK (entry_id <> reversal_id)
);

-- The list by outcome, how many there are of each, and the whole of it.
CREATE INDEX chain_event_outcome ON console.chain_event (outcome, checkpoint, tx_index, event_index);
CREATE INDEX chain_event_order ON console.chain_event (checkpoint, tx_index, event_index);
