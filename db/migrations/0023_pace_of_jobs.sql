-- How far a run is, in what it counts: so that every console can tell its rate and the time that is left.
ALTER TABLE console.job_run
    ADD COLUMN unit    text,                                   -- 'rows'; NULL: it counts nothing
    ADD COLUMN done    bigint      NOT NULL DEFAULT 0,
    ADD COLUMN total   bigint,                                 -- NULL: nobody knows
    ADD COLUMN spent_s float8      NOT NULL DEFAULT 0,         -- on what is done; a run may count one thing after the other
    ADD COLUMN done_at timestamptz NOT NULL DEFAULT clock_timestamp();
