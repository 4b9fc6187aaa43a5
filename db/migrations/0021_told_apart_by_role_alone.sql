-- Where the database login tells people apart, it does so alone: behind a jump host all may be one operating system user.

-- NULL when it is decided, else a sentence why it cannot be.
CREATE OR REPLACE FUNCTION console.decide_approval(wanted uuid, decision text, os_user text) RETURNS text
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
    ELSIF decision = 'approved' AND asked.told_apart_by = 'login' AND asked.asked_by = os_user THEN
        RETURN format('%s asked for it; it takes another person', os_user);
    END IF;
    UPDATE console.approval
    SET verdict = decision, decided_by = os_user, decided_role = session_user, decided_at = clock_timestamp(),
        expires_at = clock_timestamp() + (asked.expires_at - asked.asked_at)
    WHERE approval_id = wanted;
    RETURN NULL;
END $$;

-- Takes an approval for an operation, once. Returns who approved; NULL without one.
CREATE OR REPLACE FUNCTION console.use_approval(wanted_command text, os_user text, operation uuid) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE console.approval SET operation_id = operation
    WHERE approval_id = (
        SELECT approval_id FROM console.approval
        WHERE md5(command) = md5(wanted_command) AND command = wanted_command AND asked_by = os_user
          AND asked_role = session_user AND verdict = 'approved' AND operation_id IS NULL AND expires_at > now()
        ORDER BY decided_at LIMIT 1 FOR UPDATE)
    RETURNING decided_by || ' as ' || decided_role
$$;
