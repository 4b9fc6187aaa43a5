-- The escrow contract on the chain: an inbox of its events, how far it was read, and who an account belongs to.
-- escrow_transactions has been UNIQUE (tx_digest, event_seq) from the first: one transaction may carry several events.

CREATE TABLE console.chain_event (
    tx_digest   bytea          NOT NULL CHECK (length(tx_digest) = 32),
    event_index integer        NOT NULL CHECK (event_index >= 0),
    checkpoint  bigint         NOT NULL,
    tx_index    bigint         NOT NULL,
    at          timestamptz    NOT NULL,            -- of the checkpoint, never of when it was read
    type        text           NOT NULL,
    fields      jsonb          NOT NULL,
    account_id  text,
    owner       text,                               -- the wallet that an AccountCreated names
    kind        text           CHECK (kind IN ('deposit', 'withdraw', 'charge', 'credit')),  -- NULL: not money
    amount_usd  numeric(20, 8) CHECK (amount_usd >= 0),
    cents       bigint         CHECK (cents >= 0),
    rest_usdc   integer        NOT NULL DEFAULT 0 CHECK (rest_usdc BETWEEN 0 AND 9999),  -- below a cent: no ledger holds it
    customer_id bigint         REFERENCES customers,
    outcome     text           NOT NULL
                CHECK (outcome IN ('mirrored', 'already_recorded', 'unmatched', 'conflict', 'noted', 'dismissed')),
    note        text,                               -- why, in words
    -- The rows of the books that stand for it: one event each, so that none is taken for two.
    tx_id       bigint         UNIQUE REFERENCES escrow_transactions ON DELETE SET NULL,
    ledger_id   uuid           UNIQUE REFERENCES ledger_entries ON DELETE SET NULL,
    seen_at     timestamptz    NOT NULL DEFAULT now(),
    PRIMARY KEY (tx_digest, event_index),
    CHECK ((kind IS NULL) = (amount_usd IS NULL) AND (kind IS NULL) = (cents IS NULL)),
    CHECK (outcome NOT IN ('mirrored', 'already_recorded') OR customer_id IS NOT NULL)
);
CREATE INDEX chain_event_open ON console.chain_event (checkpoint, tx_index, event_index)
    WHERE outcome IN ('unmatched', 'conflict');
CREATE INDEX chain_event_account ON console.chain_event (account_id, checkpoint) WHERE account_id IS NOT NULL;
CREATE INDEX chain_event_customer ON console.chain_event (customer_id, at) WHERE customer_id IS NOT NULL;

CREATE TABLE console.chain_cursor (
    stream     text        PRIMARY KEY,
    chain_id   text        NOT NULL,
    target     text,        -- the node that gave the cursor: it is opaque, and means nothing to another one
    cursor     bytea,
    covered    bigint      NOT NULL,  -- everything up to this checkpoint is in the inbox
    tip        bigint      NOT NULL,
    tip_at     timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX customers_escrow ON customers (escrow_contract_id) WHERE escrow_contract_id IS NOT NULL;
