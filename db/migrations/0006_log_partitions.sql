-- Keeping the request log's partitions: made ahead, dropped only when every consumer has counted what is in them.

-- Whether `part` (a partition, a chunk, or the log itself) holds a row that some capture cursor has still to count.
CREATE FUNCTION console.log_part_pending(part regclass) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    cursor_snap pg_snapshot;
    pending boolean;
BEGIN
    FOR cursor_snap IN SELECT snap FROM console.capture_state LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %1$s WHERE xid >= pg_snapshot_xmax($1))
                            OR EXISTS (SELECT FROM %1$s WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip($1))))', part)
            INTO pending USING cursor_snap;
        IF pending THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- Drops a partition or chunk unless it is still to be counted; says which. Open writers are waited for first
-- (the caller sets lock_timeout), so that nothing can arrive between the check and the drop.
CREATE FUNCTION console.drop_log_part(part regclass) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- The cursors first, as the jobs that move them do: the other way round is a deadlock.
    PERFORM FROM console.capture_state ORDER BY name FOR SHARE;
    LOCK TABLE ONLY public.haproxy_raw_logs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
    IF console.log_part_pending(part) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %s', part);
    RETURN true;
END $$;

-- The parts of the log that end before `before`, oldest first, with the instant each ends at.
CREATE FUNCTION console.log_parts_before(before timestamptz) RETURNS TABLE (part regclass, ends timestamptz)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF console.log_is_hypertable() THEN
        RETURN QUERY EXECUTE
            'SELECT format(''%I.%I'', chunk_schema, chunk_name)::regclass, range_end FROM timescaledb_information.chunks
             WHERE hypertable_schema = ''public'' AND hypertable_name = ''haproxy_raw_logs'' AND range_end <= $1
             ORDER BY range_end' USING before;
    ELSE
        -- Partition names carry their hour, as ensure_log_partitions() writes them.
        RETURN QUERY
            SELECT c.oid::regclass, to_timestamp(right(c.relname, 10) || '+00', 'YYYYMMDDHH24TZH') + interval '1 hour'
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'public.haproxy_raw_logs'::regclass AND c.relname ~ '^haproxy_raw_logs_\d{10}$'
              AND to_timestamp(right(c.relname, 10) || '+00', 'YYYYMMDDHH24TZH') + interval '1 hour' <= before
            ORDER BY 2;
    END IF;
END $$;

-- Makes the partition of one hour. Rows of that hour that had to go to the DEFAULT move with it, keeping the xid of
-- the transaction that wrote them, so that no cursor sees them twice. False when it is there already.
CREATE FUNCTION console.ensure_log_hour(hour timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name CONSTANT text := 'haproxy_raw_logs_' || to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
BEGIN
    IF console.log_is_hypertable() OR to_regclass('public.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE public.haproxy_raw_logs_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.haproxy_raw_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('WITH moved AS (DELETE FROM public.haproxy_raw_logs_default
                                   WHERE timestamp >= %2$L AND timestamp < %3$L RETURNING *)
                    INSERT INTO public.%1$I SELECT * FROM moved', name, hour, hour + interval '1 hour');
    EXECUTE format('ALTER TABLE public.haproxy_raw_logs ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   name, hour, hour + interval '1 hour');
    RETURN true;
END $$;
