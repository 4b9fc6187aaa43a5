-- The 13 tables of the seeds' final list and the two deferred ones, all in schema public.
-- Settled contradictions (ids, money, times, key columns) are explained beside the column they shape.

CREATE TABLE customers (
    -- Unsigned 32 bit in the key format, so a signed INTEGER would fold half of the ids below zero.
    customer_id                     bigint      PRIMARY KEY CHECK (customer_id BETWEEN 1 AND 4294967295),
    -- Lower case is part of the check: UNIQUE alone lets one wallet in twice by case.
    wallet_address                  text        NOT NULL UNIQUE CHECK (wallet_address ~ '^0x[0-9a-f]{64}$'),
    escrow_contract_id              text        CHECK (escrow_contract_id ~ '^0x[0-9a-f]{64}$'),
    status                          text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
    max_monthly_usd_cents           bigint      CHECK (max_monthly_usd_cents > 0),  -- NULL = unlimited
    current_balance_usd_cents       bigint      CHECK (current_balance_usd_cents >= 0),
    current_month_charged_usd_cents bigint      CHECK (current_month_charged_usd_cents >= 0),
    last_month_charged_usd_cents    bigint      CHECK (last_month_charged_usd_cents >= 0),
    current_month_start             date        CHECK (extract(day FROM current_month_start) = 1),
    created_at                      timestamptz NOT NULL DEFAULT now(),
    updated_at                      timestamptz NOT NULL DEFAULT now()
);
-- Prefix search of wallets; written as ~>=~ and ~<~ so that it is used under any collation and generic plans.
CREATE INDEX customers_wallet_prefix ON customers (wallet_address text_pattern_ops);
CREATE INDEX customers_status ON customers (status, customer_id);

CREATE TABLE service_instances (
    instance_id  uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id  bigint      NOT NULL REFERENCES customers,
    service_type text        NOT NULL CHECK (service_type IN ('seal', 'grpc', 'graphql')),
    tier         text        NOT NULL CHECK (tier IN ('starter', 'pro', 'enterprise')),
    is_enabled   boolean     NOT NULL DEFAULT true,
    config       jsonb,
    enabled_at   timestamptz,
    disabled_at  timestamptz,
    UNIQUE (customer_id, service_type),
    CHECK (NOT (is_enabled AND disabled_at > enabled_at))
);

CREATE TABLE api_keys (
    -- The key encrypted at rest (iv:tag:ciphertext), never the live credential.
    api_key_id        text        PRIMARY KEY,
    api_key_fp        bigint      NOT NULL UNIQUE CHECK (api_key_fp BETWEEN 1 AND 4294967295),  -- 0 means "no key" in the log
    api_key_hash      text        NOT NULL UNIQUE CHECK (api_key_hash ~ '^[0-9a-f]{64}$'),      -- SHA-256 of the 37 characters
    customer_id       bigint      NOT NULL REFERENCES customers,
    service_type      text        NOT NULL CHECK (service_type IN ('seal', 'grpc', 'graphql')),
    -- Canonical; the five names of seed 000 are generated over it, so queries written against them work.
    metadata          jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    key_version       smallint    GENERATED ALWAYS AS ((metadata ->> 'key_version')::smallint) STORED,
    seal_network      smallint    GENERATED ALWAYS AS ((metadata ->> 'seal_network')::smallint) STORED,
    seal_access       smallint    GENERATED ALWAYS AS ((metadata ->> 'seal_access')::smallint) STORED,
    seal_source       smallint    GENERATED ALWAYS AS ((metadata ->> 'seal_source')::smallint) STORED,
    proc_group        smallint    GENERATED ALWAYS AS ((metadata ->> 'proc_group')::smallint) STORED,
    is_active         boolean     NOT NULL DEFAULT true,
    created_at        timestamptz NOT NULL DEFAULT now(),
    revoked_at        timestamptz,
    revoked_by        text,
    revocation_reason text,
    CHECK (is_active = (revoked_at IS NULL))
);
-- In the order of the list: with (customer_id, api_key_fp) a page of a customer with 100,000 keys sorted them all, 1.5 s.
CREATE INDEX api_keys_customer ON api_keys (customer_id, created_at DESC, api_key_fp DESC);
CREATE INDEX api_keys_newest ON api_keys (created_at DESC, api_key_fp DESC);
CREATE INDEX api_keys_revoked ON api_keys (revoked_at DESC, api_key_fp DESC) WHERE NOT is_active;

CREATE TABLE seal_keys (
    seal_key_id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id           bigint      NOT NULL REFERENCES customers,
    public_key            text        NOT NULL CHECK (public_key ~ '^0x([0-9a-f]{64}|[0-9a-f]{66}|[0-9a-f]{96}|[0-9a-f]{192})$'),
    encrypted_private_key text        NOT NULL,
    purchase_tx_digest    text,
    is_active             boolean     NOT NULL DEFAULT true,
    created_at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX seal_keys_customer ON seal_keys (customer_id);

CREATE TABLE billing_records (
    id                   uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id          bigint      NOT NULL REFERENCES customers,
    billing_period_start timestamptz NOT NULL,
    billing_period_end   timestamptz NOT NULL,
    -- Charge positive, credit and refund negative: the opposite of ledger_entries.
    amount_usd_cents     bigint      NOT NULL,
    status               text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'paid', 'failed', 'voided')),
    type                 text        NOT NULL CHECK (type IN ('charge', 'credit', 'refund')),
    tx_digest            text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    CHECK (billing_period_end > billing_period_start),
    CHECK (CASE type WHEN 'charge' THEN amount_usd_cents >= 0 ELSE amount_usd_cents <= 0 END),
    CHECK (status <> 'paid' OR tx_digest IS NOT NULL OR amount_usd_cents <= 0)
);
CREATE UNIQUE INDEX billing_records_one_charge ON billing_records (customer_id, billing_period_start, billing_period_end)
    WHERE type = 'charge' AND status <> 'voided';
CREATE INDEX billing_records_unpaid ON billing_records (status, created_at) WHERE status <> 'paid';

CREATE TABLE usage_records (
    record_id         bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    customer_id       bigint      NOT NULL REFERENCES customers,
    service_type      text        NOT NULL,
    request_count     bigint      NOT NULL CHECK (request_count >= 0),
    bytes_transferred bigint      CHECK (bytes_transferred >= 0),
    window_start      timestamptz NOT NULL,
    window_end        timestamptz NOT NULL,
    charged_amount    numeric(20, 8),  -- USD; NULL = not billed
    billing_record_id uuid        REFERENCES billing_records,
    CHECK (window_end > window_start)
);
-- One open row per customer, service and hour. A billed row leaves this index, so that a late request of a
-- billed hour becomes a new open row: the adjustment.
CREATE UNIQUE INDEX usage_records_open ON usage_records (customer_id, service_type, window_start)
    WHERE billing_record_id IS NULL;
CREATE INDEX usage_records_customer ON usage_records (customer_id, window_start);
CREATE INDEX usage_records_billed ON usage_records (billing_record_id) WHERE billing_record_id IS NOT NULL;

CREATE TABLE ledger_entries (
    id                 uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id        bigint      NOT NULL REFERENCES customers,
    type               text        NOT NULL CHECK (type IN ('deposit', 'withdrawal', 'charge', 'credit')),
    -- Deposit and credit positive, charge and withdrawal negative.
    amount_usd_cents   bigint      NOT NULL,
    amount_sui_mist    bigint,
    sui_usd_rate_cents bigint,
    tx_hash            text,
    description        text,
    invoice_id         text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CHECK (CASE WHEN type IN ('deposit', 'credit') THEN amount_usd_cents >= 0 ELSE amount_usd_cents <= 0 END),
    CHECK ((amount_sui_mist IS NULL) = (sui_usd_rate_cents IS NULL))
);
CREATE INDEX ledger_entries_customer ON ledger_entries (customer_id, created_at DESC);
CREATE INDEX ledger_entries_tx ON ledger_entries (tx_hash) WHERE tx_hash IS NOT NULL;

CREATE TABLE escrow_transactions (
    tx_id       bigint         GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    customer_id bigint         NOT NULL REFERENCES customers,
    tx_digest   text           NOT NULL,
    event_seq   integer        NOT NULL DEFAULT 0,  -- one transaction may carry several escrow events
    tx_type     text           NOT NULL CHECK (tx_type IN ('deposit', 'withdraw', 'charge', 'credit')),
    amount      numeric(20, 8) NOT NULL,            -- USD when asset_type is NULL or USDC
    asset_type  text,                               -- a Move coin type is 76 characters and more
    timestamp   timestamptz    NOT NULL,
    UNIQUE (tx_digest, event_seq)
);
CREATE INDEX escrow_transactions_customer ON escrow_transactions (customer_id, timestamp DESC);

CREATE TABLE auth_nonces (
    address    text        PRIMARY KEY,
    nonce      text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX auth_nonces_age ON auth_nonces (created_at);

CREATE TABLE refresh_tokens (
    id          bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    customer_id bigint      NOT NULL REFERENCES customers,
    token_hash  text        NOT NULL UNIQUE CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refresh_tokens_customer ON refresh_tokens (customer_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE processing_state (
    key        text        PRIMARY KEY,
    value      text        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE system_control (
    id                 integer     PRIMARY KEY CHECK (id = 1),
    ma_vault_version   text,
    mm_vault_version   text,
    last_monthly_reset date,
    maintenance_mode   boolean     NOT NULL DEFAULT false,
    updated_at         timestamptz NOT NULL DEFAULT now()
);
INSERT INTO system_control (id) VALUES (1);

CREATE TABLE service_status (
    id            bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    service_name  text        NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    completed_at  timestamptz,
    status        text        NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'stopped', 'error', 'crashed')),
    error_message text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'running') = (completed_at IS NULL))
);
CREATE INDEX service_status_name ON service_status (service_name, started_at DESC);

CREATE TABLE customer_encryption_keys (
    id                     uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id            bigint      NOT NULL REFERENCES customers,
    key_id                 text        NOT NULL,
    key_type               text        NOT NULL,
    encrypted_key_material text        NOT NULL,
    metadata               jsonb,
    status                 text        NOT NULL DEFAULT 'active',
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    UNIQUE (customer_id, key_id)
);
