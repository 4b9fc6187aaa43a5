-- Acts that take two people: one asks, another approves, the first carries it out. Which acts, is set by admins.

CREATE TABLE console.second_person (
    action        text     PRIMARY KEY,                        -- 'revoke-keys', as in the audit record
    above         integer  NOT NULL DEFAULT 0 CHECK (above >= 0), -- only what weighs more than this: so many keys at once
    expires_after interval NOT NULL DEFAULT '1 hour' CHECK (expires_after > interval '0'),
    -- 'role': by another database login, which nobody can pretend. 'login': by another operating system user, for teams
    -- that share one database login; that is told by the console itself, and so on trust.
    told_apart_by text     NOT NULL DEFAULT 'role' CHECK (told_apart_by IN ('role', 'login'))
);

CREATE TABLE console.approval (
    approval_id   uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    action        text        NOT NULL,
    command       text        NOT NULL,  -- exactly what is approved, as a shell command
    subjects      text[]      NOT NULL,
    reason        text        NOT NULL,
    asked_by      text        NOT NULL,
    asked_role    text        NOT NULL DEFAULT session_user,
    asked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz NOT NULL,
    told_apart_by text        NOT NULL,
    verdict       text        CHECK (verdict IN ('approved', 'rejected')),
    decided_by    text,
    decided_role  text,
    decided_at    timestamptz,
    operation_id  uuid        UNIQUE,    -- the operation that used it; it serves once
    CHECK ((verdict IS NULL) = (decided_by IS NULL) AND (operation_id IS NULL OR verdict = 'approved'))
);
CREATE INDEX approval_newest ON console.approval (asked_at DESC);
CREATE INDEX approval_command ON console.approval (md5(command)) WHERE operation_id IS NULL;

-- The table is written by these three alone, as its owner: the role that asks and the one that decides are the session's.

CREATE FUNCTION console.ask_approval(
    wanted_action text, wanted_command text, about text[], os_user text, why text
) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked uuid;
BEGIN
    -- Asked again, it is the same question.
    SELECT approval_id INTO asked FROM console.approval
    WHERE md5(command) = md5(wanted_command) AND command = wanted_command AND asked_by = os_user
      AND asked_role = session_user AND verdict IS NULL AND expires_at > now();
    IF NOT FOUND THEN
        INSERT INTO console.approval (action, command, subjects, reason, asked_by, expires_at, told_apart_by)
        SELECT s.action, wanted_command, about, why, os_user, clock_timestamp() + s.expires_after, s.told_apart_by
        FROM console.second_person s WHERE s.action = wanted_action
        RETURNING approval_id INTO asked;
    END IF;
    RETURN asked;
END $$;

-- NULL when it is decided, else a sentence why it cannot be.
CREATE FUNCTION console.decide_approval(wanted uuid, decision text, os_user text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked console.approval;
BEGIN
    SELECT * INTO asked FROM console.approval WHERE approval_id = wanted FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'there is no request ' || wanted;
    ELSIF asked.verdict IS NOT NULL THEN
        RETURN format('it was %s already, by %s', asked.verdict, asked.decided_by);
    ELSIF asked.expires_at <= now() THEN
        RETURN 'it has expired; it has to be asked for again';
    ELSIF decision = 'approved' AND asked.told_apart_by = 'role' AND asked.asked_role = session_user THEN
        RETURN format('it was asked for as %s, and so are you; it takes another database login', session_user);
    ELSIF decision = 'approved' AND asked.asked_by = os_user THEN
        RETURN format('%s asked for it; it takes another person', os_user);
    END IF;
    UPDATE console.approval
    SET verdict = decision, decided_by = os_user, decided_role = session_user, decided_at = clock_timestamp(),
        expires_at = clock_timestamp() + (asked.expires_at - asked.asked_at)
    WHERE approval_id = wanted;
    RETURN NULL;
END $$;

-- Takes an approval for an operation, once. Returns who approved; NULL without one.
CREATE FUNCTION console.use_approval(wanted_command text, os_user text, operation uuid) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE console.approval SET operation_id = operation
    WHERE approval_id = (
        SELECT approval_id FROM console.approval
        WHERE md5(command) = md5(wanted_command) AND command = wanted_command AND asked_by = os_user
          AND asked_role = session_user AND verdict = 'approved' AND operation_id IS NULL AND expires_at > now()
        ORDER BY decided_at LIMIT 1 FOR UPDATE)
    RETURNING decided_by
$$;

REVOKE EXECUTE ON FUNCTION console.ask_approval(text, text, text[], text, text),
    console.decide_approval(uuid, text, text), console.use_approval(text, text, uuid) FROM PUBLIC;
