-- From when on the log is whole: hours before were dropped, or never logged here. A late row makes such an hour anew, but
-- proves nothing about the rest of it, so `usage reconcile` leaves it out.
ALTER TABLE console.metering ADD COLUMN log_complete_from timestamptz NOT NULL DEFAULT '-infinity';

CREATE OR REPLACE FUNCTION console.drop_log_part(part regclass) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    gone CONSTANT timestamptz := (SELECT ends FROM console.log_parts_before('infinity') p WHERE p.part = drop_log_part.part);
BEGIN
    -- The cursors first, as the jobs that move them do: the other way round is a deadlock.
    PERFORM FROM console.capture_state ORDER BY name FOR SHARE;
    LOCK TABLE ONLY public.haproxy_raw_logs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
    IF console.log_part_pending(part) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %s', part);
    UPDATE console.metering SET log_complete_from = greatest(log_complete_from, gone);
    RETURN true;
END $$;
