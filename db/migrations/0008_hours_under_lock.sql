-- Making an hour locks the log first. With only the DEFAULT locked, a statement planned before and run after saw the
-- moved rows in neither partition, and a writer that had chosen the DEFAULT was refused ("violates partition constraint").
CREATE OR REPLACE FUNCTION console.ensure_log_hour(hour timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name CONSTANT text := 'haproxy_raw_logs_' || to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
BEGIN
    IF console.log_is_hypertable() OR to_regclass('public.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY public.haproxy_raw_logs IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE public.haproxy_raw_logs_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.haproxy_raw_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('WITH moved AS (DELETE FROM public.haproxy_raw_logs_default
                                   WHERE timestamp >= %2$L AND timestamp < %3$L RETURNING *)
                    INSERT INTO public.%1$I SELECT * FROM moved', name, hour, hour + interval '1 hour');
    EXECUTE format('ALTER TABLE public.haproxy_raw_logs ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   name, hour, hour + interval '1 hour');
    RETURN true;
END $$;
