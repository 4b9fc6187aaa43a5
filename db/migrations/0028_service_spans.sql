-- When a service was on, and in which tier: the row of a service tells only how it stands now, and a monthly fee is
-- charged by the day. Like the bills that it proves it is kept for good: a row for each switch and each change of a tier.

CREATE TABLE console.service_span (
    customer_id  bigint      NOT NULL REFERENCES public.customers,
    service_type text        NOT NULL,
    tier         text        NOT NULL,
    since        timestamptz NOT NULL,
    until        timestamptz CHECK (until > since),  -- not in it any more; NULL while it lasts
    PRIMARY KEY (customer_id, service_type, since)
);
CREATE UNIQUE INDEX service_span_lasting ON console.service_span (customer_id, service_type) WHERE until IS NULL;

-- As the owner, because whoever may change a service may not write its history. A change counts from when it is made,
-- whatever enabled_at and disabled_at say; only of a new row, which may come from elsewhere, nothing else is known.
CREATE FUNCTION console.keep_service_span() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told boolean := TG_OP = 'INSERT' AND NEW.enabled_at < NEW.disabled_at AND NEW.enabled_at < now();  -- on, then off
BEGIN
    IF TG_OP <> 'INSERT' THEN
        -- What this transaction itself began lasted no time.
        DELETE FROM console.service_span s
        WHERE s.customer_id = OLD.customer_id AND s.service_type = OLD.service_type AND s.until IS NULL
          AND s.since >= now();
        UPDATE console.service_span s SET until = now()
        WHERE s.customer_id = OLD.customer_id AND s.service_type = OLD.service_type AND s.until IS NULL;
    END IF;
    IF TG_OP <> 'DELETE' AND (NEW.is_enabled OR told) THEN
        INSERT INTO console.service_span (customer_id, service_type, tier, since, until)
        SELECT NEW.customer_id, NEW.service_type, NEW.tier, span.since, span.until
        FROM (SELECT greatest(CASE TG_OP WHEN 'INSERT' THEN least(NEW.enabled_at, now()) ELSE now() END,
                              (SELECT max(s.until) FROM console.service_span s
                               WHERE s.customer_id = NEW.customer_id AND s.service_type = NEW.service_type)) AS since,
                     CASE WHEN NOT NEW.is_enabled THEN least(NEW.disabled_at, now()) END AS until) span
        WHERE span.until IS NULL OR span.until > span.since;
    END IF;
    RETURN NULL;
END $$;
-- Nobody puts it on a table of his own.
REVOKE EXECUTE ON FUNCTION console.keep_service_span() FROM PUBLIC;

-- The triggers first: their lock keeps away what the rows below would miss.
CREATE TRIGGER keep_service_span AFTER INSERT OR DELETE ON public.service_instances
    FOR EACH ROW EXECUTE FUNCTION console.keep_service_span();
CREATE TRIGGER keep_service_span_of_change AFTER UPDATE ON public.service_instances FOR EACH ROW
    WHEN ((OLD.customer_id, OLD.service_type, OLD.tier, OLD.is_enabled)
          IS DISTINCT FROM (NEW.customer_id, NEW.service_type, NEW.tier, NEW.is_enabled))
    EXECUTE FUNCTION console.keep_service_span();

-- What the rows tell of the time before. Of one that does not say since when it is on, no more is known than that it is.
INSERT INTO console.service_span (customer_id, service_type, tier, since, until)
SELECT i.customer_id, i.service_type, i.tier, least(i.enabled_at, now()),
       CASE WHEN NOT i.is_enabled THEN least(i.disabled_at, now()) END
FROM public.service_instances i
WHERE i.is_enabled OR i.enabled_at < i.disabled_at AND i.enabled_at < now();

-- What waited for its fee to be on record need not any more; of a suspended customer it comes back with the next period.
UPDATE public.service_instances i
SET is_enabled = c.status = 'active',
    enabled_at = CASE WHEN c.status = 'active' THEN greatest(now(), i.disabled_at) ELSE i.enabled_at END,
    config = CASE WHEN c.status = 'active' THEN i.config - 'suspended_for'
                  ELSE i.config || '{"suspended_for": "limit"}' END
FROM public.customers c
WHERE c.customer_id = i.customer_id AND NOT i.is_enabled AND i.config ->> 'suspended_for' = 'billing';
