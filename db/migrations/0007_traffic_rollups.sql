-- Traffic rollups: what charts read, counted by roll-up-traffic with a cursor of its own, additively and exactly.
-- Sums never forget a request: `requests` of all rows equals sum(repeat) of the log rows that were counted.

-- Lower bounds (ms) of the 64 latency slots h00..h63: 0, 1, 2, 3, then four to each power of two up to 131 s. What is
-- slower lies in the last one. Slots add up, so percentiles of any range come from its sums, exact to a quarter of the
-- value at most. A slot that saw nothing is NULL, which costs a bit.
CREATE FUNCTION console.latency_bounds() RETURNS integer[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224,
             256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168,
             8192, 10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768, 40960, 49152, 57344, 65536, 81920, 98304, 114688];

DO $$
DECLARE
    slots CONSTANT text := (SELECT string_agg('h' || lpad(n::text, 2, '0') || ' bigint', ', ' ORDER BY n)
                            FROM generate_series(0, 63) n);
    -- The whole fleet, no customer. `traffic_type` and `status_class` (status_code / 100) give the traffic class.
    fleet CONSTANT text := '
        bucket       timestamptz NOT NULL,
        network      smallint    NOT NULL,
        service_type smallint    NOT NULL,
        server_id    smallint    NOT NULL,
        traffic_type smallint    NOT NULL,
        status_class smallint    NOT NULL,
        requests     bigint      NOT NULL,
        bytes        bigint      NOT NULL,
        latency_ms   bigint      NOT NULL,  -- the sum
        ' || slots || ',
        PRIMARY KEY (bucket, network, service_type, server_id, traffic_type, status_class)';
BEGIN
    EXECUTE 'CREATE TABLE console.traffic_minute (' || fleet || ')';
    EXECUTE 'CREATE TABLE console.traffic_hour (' || fleet || ')';
    EXECUTE 'CREATE TABLE console.traffic_day (' || fleet || ')';
    -- By customer and hour. The six classes partition `requests` (the sixth, other, is what the five leave); latency is
    -- that of served requests (guaranteed and burst, whatever the status).
    EXECUTE 'CREATE TABLE console.traffic_customer_hour (
        bucket       timestamptz NOT NULL,
        customer_id  bigint      NOT NULL,  -- 0: no customer was recognised, or one that is not in customers
        service_type smallint    NOT NULL,
        network      smallint    NOT NULL,
        requests     bigint      NOT NULL,
        guaranteed   bigint      NOT NULL,
        burst        bigint      NOT NULL,
        rejected     bigint      NOT NULL,
        invalid      bigint      NOT NULL,
        server_error bigint      NOT NULL,
        bytes        bigint      NOT NULL,
        latency_ms   bigint      NOT NULL,
        ' || slots || ',
        PRIMARY KEY (customer_id, bucket, service_type, network))';
END $$;
-- For the top customers of a range. Hours arrive nearly in order, so BRIN finds them at a thousandth of a btree's size.
CREATE INDEX traffic_customer_hour_bucket ON console.traffic_customer_hour USING brin (bucket) WITH (pages_per_range = 16);

ALTER TABLE console.metering
    ADD COLUMN minutes_kept interval NOT NULL DEFAULT '7 days',  -- traffic_minute
    ADD COLUMN hours_kept   interval NOT NULL DEFAULT '90 days'; -- traffic_hour and traffic_customer_hour; days stay

-- Set while a re-baseline is under way: hours from here on are still to be recounted.
ALTER TABLE console.capture_state ADD COLUMN recount_from timestamptz;

INSERT INTO console.capture_state (name, snap, system_identifier)
SELECT 'traffic', '3:3:', system_identifier FROM pg_control_system();

-- Whether each cursor means something here: not after a restore into another cluster, nor half way through a recount.
CREATE FUNCTION console.cursors_sound() RETURNS boolean LANGUAGE sql STABLE
RETURN NOT EXISTS (SELECT FROM console.capture_state s, pg_control_system() c
                   WHERE s.system_identifier <> c.system_identifier OR s.recount_from IS NOT NULL);

CREATE OR REPLACE FUNCTION console.log_part_pending(part regclass) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    cursor_snap pg_snapshot;
    pending boolean;
BEGIN
    IF NOT console.cursors_sound() THEN
        RETURN true;
    END IF;
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
