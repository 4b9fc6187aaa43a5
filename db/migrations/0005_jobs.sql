-- Jobs: who ran what and how it ended; capture cursors: how far each has counted.

CREATE TABLE console.job_run (
    run_id       uuid        PRIMARY KEY,
    job          text        NOT NULL,
    dry_run      boolean     NOT NULL DEFAULT false,
    os_user      text        NOT NULL,
    ssh_source   text,
    db_role      text        NOT NULL DEFAULT session_user,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    -- NULL while running; a run whose heartbeat stopped is shown as crashed, and marked so by the next run.
    outcome      text        CHECK (outcome IN ('succeeded', 'partial', 'failed', 'cancelled', 'skipped', 'crashed')),
    counts       jsonb       NOT NULL DEFAULT '{}',
    progress     text,
    cancel_by    text,        -- who asked it to stop; it does so between two steps
    message      text,
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
);
CREATE INDEX job_run_newest ON console.job_run (started_at DESC);
CREATE INDEX job_run_job ON console.job_run (job, started_at DESC);

-- One row per consumer of the request log. `snap` describes the set of transactions that are counted:
-- every xid below its xmax that is not in its xip list. Only the transaction that counts moves it.
CREATE TABLE console.capture_state (
    name              text        PRIMARY KEY,
    snap              pg_snapshot NOT NULL,
    -- Transaction ids mean nothing in another cluster: a restored dump is recognised by this.
    system_identifier bigint      NOT NULL,
    baselined_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    caught_up_at      timestamptz,                    -- everything committed before this instant is counted
    rows              bigint      NOT NULL DEFAULT 0, -- log rows counted since the baseline
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The empty set: everything in the log is still to be counted.
INSERT INTO console.capture_state (name, snap, system_identifier)
SELECT 'usage', '3:3:', system_identifier FROM pg_control_system();

-- What is metered, shared by every console and job: two operators must not count by two rules.
CREATE TABLE console.metering (
    only_row         boolean  PRIMARY KEY DEFAULT true CHECK (only_row),
    -- 'success': guaranteed or burst, and 200 <= status < 400. 'traffic': guaranteed or burst, whatever the status.
    billable         text     NOT NULL DEFAULT 'success' CHECK (billable IN ('success', 'traffic')),
    service_names    jsonb    NOT NULL DEFAULT
        '{"1": "seal", "2": "grpc", "3": "graphql", "4": "platform", "5": "ssfn", "6": "sealo"}',
    retention        interval NOT NULL DEFAULT '2 days',
    compress_after   interval NOT NULL DEFAULT '6 hours',
    partitions_ahead interval NOT NULL DEFAULT '3 days'
);
INSERT INTO console.metering DEFAULT VALUES;

-- Log rows that no usage record can hold: no customer was recognised (NULL), or one that is not in customers.
CREATE TABLE console.usage_unassigned (
    customer_id   bigint,
    service_type  text        NOT NULL,
    window_start  timestamptz NOT NULL,
    rows          bigint      NOT NULL,
    request_count bigint      NOT NULL,  -- that would have been billable
    bytes         bigint      NOT NULL,
    UNIQUE NULLS NOT DISTINCT (customer_id, service_type, window_start)
);

-- A snapshot cut off at an xid: the same set of transactions, as far as it lies below `bound`.
-- This is what lets a backlog be counted in pieces: each piece is all that is committed below a bound.
CREATE FUNCTION console.snapshot_below(snap pg_snapshot, bound xid8) RETURNS pg_snapshot
LANGUAGE sql IMMUTABLE
RETURN (
    WITH open AS (
        SELECT x FROM pg_snapshot_xip(snap) AS x WHERE x < least(bound, pg_snapshot_xmax(snap)) ORDER BY x
    )
    SELECT (coalesce((SELECT min(x::text::numeric) FROM open)::text, least(bound, pg_snapshot_xmax(snap))::text)
            || ':' || least(bound, pg_snapshot_xmax(snap))::text
            || ':' || coalesce((SELECT string_agg(x::text, ',') FROM open), ''))::pg_snapshot
);
