-- Marks a database whose customers were invented by `opsdeck demo` or `opsdeck simulate`: the simulator writes into
-- no other, so that made-up requests can never reach a real bill.

CREATE TABLE console.simulation (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    seed       bigint      NOT NULL,
    customers  integer     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
