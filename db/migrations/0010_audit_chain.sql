-- The audit record as a chain: each row carries the SHA-256 of itself and of the row before, so that a row changed,
-- removed or put in later no longer fits. Rows are numbered without gaps, one at a time, by the trigger alone.

-- Older rows are numbered anew where a rolled back try left a gap: from here on a gap means that a row was removed.
ALTER TABLE console.audit ALTER COLUMN seq DROP IDENTITY;
UPDATE console.audit a SET seq = -numbered.place
FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS place FROM console.audit) numbered WHERE numbered.seq = a.seq;
UPDATE console.audit SET seq = -seq;
ALTER TABLE console.audit ADD COLUMN previous_hash bytea, ADD COLUMN hash bytea;

-- The end of the chain. Its lock is what makes entries wait for each other; only the trigger may touch it, so that nobody
-- can hold it who writes no entry. It also tells when rows at the end are missing.
CREATE TABLE console.audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint  NOT NULL,
    hash     bytea   NOT NULL
);
INSERT INTO console.audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- The canonical form: every field as text, its length in bytes before it (a missing one is '-'), so that no two rows
-- read the same. db/audit_chain.py has it a second time: who checks need not trust what stands in the database.
CREATE FUNCTION console.audit_hash(entry console.audit) RETURNS bytea LANGUAGE sql STABLE
RETURN sha256(convert_to((
    SELECT string_agg(coalesce(octet_length(convert_to(field, 'UTF8')) || ':' || field, '-'), ',' ORDER BY place)
    FROM unnest(ARRAY[
        encode((entry).previous_hash, 'hex'), (entry).seq::text, (entry).operation_id::text,
        to_char((entry).at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), (entry).action, (entry).subjects::text,
        (entry).os_user, (entry).ssh_source, (entry).db_role, (entry).reason, (entry).before::text,
        (entry).after::text, (entry).outcome, (entry).message
    ]) WITH ORDINALITY AS fields (field, place)
), 'UTF8'));

CREATE FUNCTION console.chain_audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT head.seq + 1, head.hash INTO NEW.seq, NEW.previous_hash FROM console.audit_head head FOR UPDATE;
    -- An operation is on record once: whoever comes second, having waited above, writes nothing.
    IF EXISTS (SELECT FROM console.audit a WHERE a.operation_id = NEW.operation_id) THEN
        RETURN NULL;
    END IF;
    NEW.hash := console.audit_hash(NEW);
    UPDATE console.audit_head SET seq = NEW.seq, hash = NEW.hash;
    RETURN NEW;
END $$;

DO $$
DECLARE
    entry console.audit;
    hash_before bytea := (SELECT hash FROM console.audit_head);
BEGIN
    FOR entry IN SELECT * FROM console.audit ORDER BY seq LOOP
        entry.previous_hash := hash_before;
        hash_before := console.audit_hash(entry);
        UPDATE console.audit SET previous_hash = entry.previous_hash, hash = hash_before WHERE seq = entry.seq;
        UPDATE console.audit_head SET seq = entry.seq, hash = hash_before;
    END LOOP;
END $$;

ALTER TABLE console.audit
    ALTER COLUMN previous_hash SET NOT NULL,
    ALTER COLUMN hash SET NOT NULL,
    -- Runs of jobs are on record too, and may end half done or stopped.
    DROP CONSTRAINT audit_outcome_check,
    ADD CONSTRAINT audit_outcome_check
        CHECK (outcome IN ('done', 'partial', 'refused', 'stale', 'failed', 'cancelled', 'abandoned'));
CREATE INDEX audit_action ON console.audit (action, seq DESC);
CREATE INDEX audit_who ON console.audit (os_user, seq DESC);

CREATE TRIGGER chain BEFORE INSERT ON console.audit FOR EACH ROW EXECUTE FUNCTION console.chain_audit();

-- Stops a slip of the owner's; an owner who means it can take the trigger away, and then the chain tells.
CREATE FUNCTION console.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit record is only ever added to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON console.audit
    FOR EACH STATEMENT EXECUTE FUNCTION console.refuse_audit_change();
