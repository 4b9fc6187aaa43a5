-- What an operator has allowed a publication that warns: to lose so many customers against the version it names.
CREATE TABLE console.vault_loss (
    vault      text        PRIMARY KEY,
    version    text        NOT NULL,  -- void once another one is published
    customers  integer     NOT NULL CHECK (customers >= 0),
    expires_at timestamptz NOT NULL
);
