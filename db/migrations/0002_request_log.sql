-- haproxy_raw_logs: the seeds' columns by name, so that an existing writer keeps working, plus `repeat` and the
-- capture column `xid`. No foreign keys: the log holds ids that never were customers.
-- One body for both kinds of server: hourly native partitions with a DEFAULT, or a hypertable.

DO $$
BEGIN
    IF current_setting('shared_preload_libraries') ~ '\mtimescaledb\M'
       AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
    END IF;
END $$;

CREATE FUNCTION console.log_is_hypertable() RETURNS boolean LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');

DO $$
DECLARE
    columns CONSTANT text := $columns$
        timestamp         timestamptz NOT NULL,
        customer_id       bigint,               -- NULL when no customer was recognised
        path_prefix       text,
        config_hex        bigint,
        network           smallint    NOT NULL, -- 0 testnet, 1 mainnet, 2 devnet, 3 localnet
        server_id         smallint    NOT NULL, -- region << 4 | server
        service_type      smallint    NOT NULL,
        api_key_fp        bigint      NOT NULL, -- unsigned 32 bit, 0 = none
        fe_type           smallint    NOT NULL,
        traffic_type      smallint    NOT NULL,
        event_type        smallint    NOT NULL,
        client_ip         inet        NOT NULL,
        key_metadata      smallint,
        status_code       smallint    NOT NULL,
        bytes_sent        bigint      NOT NULL DEFAULT 0,
        time_total        integer     NOT NULL,
        time_request      integer,
        time_queue        integer,
        time_connect      integer,
        time_response     integer,
        backend_id        smallint    DEFAULT 0,
        termination_state text,
        repeat            integer     NOT NULL DEFAULT 1 CHECK (repeat > 0),
        -- The writing top-level transaction: what capture cursors compare with a snapshot.
        xid               xid8        NOT NULL DEFAULT pg_current_xact_id()
    $columns$;
BEGIN
    IF console.log_is_hypertable() THEN
        EXECUTE 'CREATE TABLE haproxy_raw_logs (' || columns || ')';
        PERFORM create_hypertable('haproxy_raw_logs', 'timestamp', chunk_time_interval => interval '1 hour',
                                  create_default_indexes => false);
        -- xid stands in the order, so that compressed chunks keep its minimum and maximum: without it
        -- every tail poll decompresses every chunk.
        ALTER TABLE haproxy_raw_logs SET (timescaledb.compress, timescaledb.compress_orderby = 'timestamp DESC, xid');
    ELSE
        EXECUTE 'CREATE TABLE haproxy_raw_logs (' || columns || ') PARTITION BY RANGE (timestamp)';
        CREATE TABLE haproxy_raw_logs_default PARTITION OF haproxy_raw_logs DEFAULT;
    END IF;
END $$;

CREATE INDEX haproxy_raw_logs_xid ON haproxy_raw_logs (xid);
CREATE INDEX haproxy_raw_logs_customer ON haproxy_raw_logs (customer_id, timestamp);
-- On time a btree, by measurement (tests/bench/bench_log_index.py; native partitions / TimescaleDB; busy log: 3 million
-- rows in ten minutes, 3 in 100 up to two hours late; all on a loaded two-core machine, so read the ratios):
--                                     none          BRIN(32)       BRIN minmax_multi   btree
--   COPY of 10,000 rows, time         1 / 1         0.92 / 1.07    1.10 / 0.98         1.49 / 1.45
--   the newest page on a busy log     295 / 720 ms  1035 / 1740    317 / 658           4 / 22
--   two minutes back                  286 / 179     2093 / 217     758 / 1380          4 / 17
--   begin() of a tail                 4667 / 4113   2672 / 3814    2623 / 3393         2 / 6
--   one hour back on a quiet log      45 / 52       20 / 4         13 / 4              3 / 3
-- Late rows widen nearly every block range to its whole hour: then BRIN finds nothing and only adds work.
CREATE INDEX haproxy_raw_logs_time ON haproxy_raw_logs (timestamp);

-- Creates the hourly partitions that cover [first, last); those that exist are left alone. Returns how many it made.
-- A hypertable makes its own chunks: there it does nothing.
CREATE FUNCTION console.ensure_log_partitions(first timestamptz, last timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    hour timestamptz := date_trunc('hour', first, 'UTC');
    name text;
    made integer := 0;
BEGIN
    IF console.log_is_hypertable() THEN
        RETURN 0;
    END IF;
    WHILE hour < last LOOP
        name := 'haproxy_raw_logs_' || to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
        IF to_regclass('public.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.haproxy_raw_logs FOR VALUES FROM (%L) TO (%L)',
                           name, hour, hour + interval '1 hour');
            made := made + 1;
        END IF;
        hour := hour + interval '1 hour';
    END LOOP;
    RETURN made;
END $$;

SELECT console.ensure_log_partitions(now() - interval '1 hour', now() + interval '3 days');
