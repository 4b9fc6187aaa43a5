-- The versions of the vaults that were published. The files themselves lie in the vault directory.

CREATE TABLE console.vault_version (
    vault        text        NOT NULL CHECK (vault IN ('ma', 'mm')),
    seq          bigint      NOT NULL CHECK (seq BETWEEN 1 AND 999999999),
    path         text        NOT NULL,
    sha256       text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),  -- of the content, not of the file
    key_id       text        NOT NULL,  -- the name of the key it is sealed with
    customers    bigint      NOT NULL,
    keys         bigint      NOT NULL,
    built_at     timestamptz NOT NULL,  -- what was committed then is inside
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    operation_id uuid        NOT NULL,  -- its row in console.audit
    PRIMARY KEY (vault, seq)
);
CREATE INDEX vault_version_newest ON console.vault_version (published_at DESC, seq DESC);

-- Keys that the version before held and this one does not: since when a revoked key is out is one look-up,
-- not a search through files.
CREATE TABLE console.vault_removed_key (
    api_key_fp bigint NOT NULL,
    vault      text   NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (api_key_fp, vault, seq),
    FOREIGN KEY (vault, seq) REFERENCES console.vault_version
);

-- Where the demo publishes, so that every command finds it by the database alone. A path, never a key.
ALTER TABLE console.simulation ADD COLUMN vault_directory text, ADD COLUMN vault_key_file text;
