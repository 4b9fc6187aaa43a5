-- Billing: monthly fees, what could not be billed, which months are closed, and what may happen to a bill at all.

CREATE TABLE console.billing (
    only_row      boolean  PRIMARY KEY DEFAULT true CHECK (only_row),
    -- From the end of an hour until it is closed: ordinary log rows have come by then, later ones are adjustments.
    grace         interval NOT NULL DEFAULT '15 minutes',
    fees_from     date     NOT NULL CHECK (extract(day FROM fees_from) = 1),  -- the first month whose fees are charged here
    closed_before date     NOT NULL DEFAULT '0001-01-01' CHECK (extract(day FROM closed_before) = 1)
);
INSERT INTO console.billing (fees_from) VALUES (date_trunc('month', now() AT TIME ZONE 'UTC'));

-- A fee is due when its month closes. Like usage it stays open (no bill) while it does not fit the spending limit.
CREATE TABLE console.monthly_fee (
    fee_id            bigint         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id       bigint         NOT NULL REFERENCES customers,
    month             date           NOT NULL CHECK (extract(day FROM month) = 1),
    service_type      text,                    -- NULL: of the customer, not of one service
    item              text           NOT NULL, -- 'tier', 'api_key', 'seal_key'
    detail            text           NOT NULL, -- 'pro, 12 of 30 days', '3 beyond 1 included'
    amount_usd        numeric(20, 8) NOT NULL CHECK (amount_usd > 0),
    billing_record_id uuid           REFERENCES billing_records,
    UNIQUE NULLS NOT DISTINCT (customer_id, month, service_type, item)
);
CREATE INDEX monthly_fee_open ON console.monthly_fee (customer_id) WHERE billing_record_id IS NULL;
CREATE INDEX monthly_fee_billed ON console.monthly_fee (billing_record_id) WHERE billing_record_id IS NOT NULL;

-- What calculate-bills found open and could not bill, as of its last look at the customer.
CREATE TABLE console.billing_blocked (
    customer_id bigint         PRIMARY KEY REFERENCES customers,
    reason      text           NOT NULL CHECK (reason IN ('limit', 'suspended')),
    open_usd    numeric(20, 8) NOT NULL,
    since       timestamptz    NOT NULL DEFAULT now()
);

CREATE INDEX billing_records_month ON billing_records (billing_period_start, created_at, id);
CREATE INDEX billing_records_customer ON billing_records (customer_id, billing_period_end);

-- A rolling period begins on any day.
ALTER TABLE customers DROP CONSTRAINT customers_current_month_start_check;

-- The begin of the period of a spending limit that `today` lies in. `days` = 0: the calendar month, else so many days
-- counted on from `since`.
CREATE FUNCTION console.limit_period(since date, days integer, today date) RETURNS date LANGUAGE sql IMMUTABLE
RETURN CASE WHEN days = 0 THEN date_trunc('month', today::timestamp)::date
            WHEN since > today THEN today
            ELSE since + (today - since) / days * days END;

-- What was issued stays as it was: only the status moves, pending -> paid | failed and failed -> pending | paid, and
-- the digest comes with the payment. No bill is added to a closed month.
CREATE FUNCTION console.guard_bill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.billing_period_start < (SELECT closed_before::timestamp AT TIME ZONE 'UTC' FROM console.billing) THEN
            RAISE EXCEPTION 'the month of % is closed', to_char(NEW.billing_period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD');
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'bill % was issued and stays', OLD.id;
    END IF;
    IF (NEW.id, NEW.customer_id, NEW.billing_period_start, NEW.billing_period_end, NEW.amount_usd_cents, NEW.type,
        NEW.created_at) IS DISTINCT FROM
       (OLD.id, OLD.customer_id, OLD.billing_period_start, OLD.billing_period_end, OLD.amount_usd_cents, OLD.type,
        OLD.created_at) OR (NEW.tx_digest IS DISTINCT FROM OLD.tx_digest AND NEW.status = OLD.status) THEN
        RAISE EXCEPTION 'bill % was issued; only its status may move', OLD.id;
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN
       ('pending>paid', 'pending>failed', 'failed>pending', 'failed>paid') THEN
        RAISE EXCEPTION 'bill % is % and cannot become %', OLD.id, OLD.status, NEW.status;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_bill BEFORE INSERT OR UPDATE OR DELETE ON billing_records
    FOR EACH ROW EXECUTE FUNCTION console.guard_bill();

-- What a bill was made of stays too. WHEN is asked before anything is called: metering writes open rows only.
CREATE FUNCTION console.guard_billed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this is on bill % and stays as it is', OLD.billing_record_id;
END $$;
CREATE TRIGGER guard_billed BEFORE UPDATE OR DELETE ON usage_records
    FOR EACH ROW WHEN (OLD.billing_record_id IS NOT NULL) EXECUTE FUNCTION console.guard_billed();
CREATE TRIGGER guard_billed BEFORE UPDATE OR DELETE ON console.monthly_fee
    FOR EACH ROW WHEN (OLD.billing_record_id IS NOT NULL) EXECUTE FUNCTION console.guard_billed();
