-- Who did what, when, from where and why. One row per operation, done or not; written in the transaction of the
-- change itself when it succeeded.

CREATE TABLE console.audit (
    seq          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Unique, so that a marker row with the same id fences off an operation whose commit got no answer.
    operation_id uuid        NOT NULL UNIQUE,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    action       text        NOT NULL,
    subjects     text[]      NOT NULL,            -- 'customer:42', 'key:2711124630'
    os_user      text        NOT NULL,
    ssh_source   text,                            -- address of the SSH client, NULL on a local terminal
    db_role      text        NOT NULL DEFAULT session_user,
    reason       text        NOT NULL,
    before       jsonb,
    after        jsonb,
    outcome      text        NOT NULL CHECK (outcome IN ('done', 'refused', 'stale', 'failed', 'abandoned')),
    message      text
);
CREATE INDEX audit_subjects ON console.audit USING gin (subjects);
