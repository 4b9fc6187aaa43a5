-- Keys that end at a set time (rotation), and what each gateway has applied (undoing a revocation looks there).

-- The old key of a rotation. The job end-rotated-keys revokes it when its time has come; a key that is revoked before
-- keeps its row until that can no longer be undone.
CREATE TABLE console.key_end (
    api_key_fp  bigint      PRIMARY KEY REFERENCES public.api_keys (api_key_fp) ON DELETE CASCADE,
    ends_at     timestamptz NOT NULL,
    replaced_by bigint      NOT NULL,  -- fingerprint of the new key
    os_user     text        NOT NULL,  -- who rotated it; the revocation is on record under this name
    ssh_source  text,
    reason      text        NOT NULL
);
CREATE INDEX key_end_due ON console.key_end (ends_at);

-- One row per gateway and vault, written by a gateway's agent: the version it serves from.
CREATE TABLE console.gateway_vault (
    gateway     text        NOT NULL,
    vault       text        NOT NULL,            -- 'ma', 'mm'
    applied_seq bigint      NOT NULL CHECK (applied_seq >= 0),
    seen_at     timestamptz NOT NULL,
    error       text,                            -- why it could not apply a newer one
    PRIMARY KEY (gateway, vault)
);
