-- What the usage charts ask of customers: which of them are the busiest of a month, and how many of their requests were
-- answered with 4xx or 5xx (a class does not say that: a 503 of the gateway is `rejected`).

-- NULL in hours that were counted before: there the classes have to do.
ALTER TABLE console.traffic_customer_hour
    ADD COLUMN client_errors bigint,  -- status 400 to 499
    ADD COLUMN server_errors bigint;  -- status 500 to 599

-- By customer and UTC day, without a histogram: a month of hours is twenty times as much to read. Days stay.
CREATE TABLE console.traffic_customer_day (
    bucket        timestamptz NOT NULL,
    customer_id   bigint      NOT NULL,  -- 0: no customer was recognised, or one that is not in customers
    service_type  smallint    NOT NULL,
    network       smallint    NOT NULL,
    requests      bigint      NOT NULL,
    client_errors bigint      NOT NULL,
    server_errors bigint      NOT NULL,
    bytes         bigint      NOT NULL,
    PRIMARY KEY (bucket, customer_id, service_type, network)
);

-- The hours stand still while they are added up.
LOCK TABLE console.traffic_customer_hour IN SHARE MODE;
INSERT INTO console.traffic_customer_day
SELECT date_trunc('day', bucket, 'UTC'), customer_id, service_type, network, sum(requests)::bigint,
       sum(rejected + invalid)::bigint, sum(server_error)::bigint, sum(bytes)::bigint
FROM console.traffic_customer_hour GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
