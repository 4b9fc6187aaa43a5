-- maintain-partitions for who does not own the log: its steps run as the owner, and so each checks what it is asked for.

ALTER FUNCTION console.ensure_log_hour(timestamptz) RENAME TO make_log_hour;

CREATE FUNCTION console.ensure_log_hour(hour timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Every hour is a table that each query has to plan for.
    IF hour NOT BETWEEN now() - interval '31 days' AND now() + interval '31 days' THEN
        RAISE EXCEPTION 'the hour % is more than 31 days away', hour;
    END IF;
    RETURN console.make_log_hour(date_trunc('hour', hour, 'UTC'));
END $$;

CREATE OR REPLACE FUNCTION console.drop_log_part(part regclass) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone timestamptz;
BEGIN
    SELECT p.ends INTO gone
    FROM console.metering m, console.log_parts_before(now() - m.retention) p WHERE p.part = drop_log_part.part;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is no part of the log whose retention is over', part;
    END IF;
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

CREATE FUNCTION console.compress_log_part(part regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM console.log_parts_before(now()) p WHERE p.part = compress_log_part.part) THEN
        RAISE EXCEPTION '% is no part of the log that is over', part;
    END IF;
    EXECUTE format('SELECT %I.compress_chunk($1, if_not_compressed => true)',
                   (SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'timescaledb')) USING part;
END $$;

-- Rows of the DEFAULT partition go by the same rule, a row at a time. Returns how many.
CREATE FUNCTION console.sweep_log_default(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    swept bigint;
BEGIN
    IF before > (SELECT now() - retention FROM console.metering) THEN
        RAISE EXCEPTION 'the retention of % is not over', before;
    END IF;
    DELETE FROM public.haproxy_raw_logs_default d
    WHERE d.timestamp < before AND console.cursors_sound() AND NOT EXISTS (
        SELECT FROM console.capture_state s WHERE NOT pg_visible_in_snapshot(d.xid, s.snap));
    GET DIAGNOSTICS swept = ROW_COUNT;
    IF swept > 0 THEN
        UPDATE console.metering
        SET log_complete_from = greatest(log_complete_from, date_trunc('hour', before, 'UTC'));
    END IF;
    RETURN swept;
END $$;

REVOKE EXECUTE ON FUNCTION console.ensure_log_hour(timestamptz), console.drop_log_part(regclass),
    console.compress_log_part(regclass), console.sweep_log_default(timestamptz) FROM PUBLIC;
