-- Undoing a revocation, and whose bill a transaction paid.

-- A report under way is waited for, and the next ones wait for the caller's commit: none can come between its look at the
-- table and that. As the owner, because operators may not write there.
CREATE FUNCTION console.hold_gateway_reports() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE console.gateway_vault IN SHARE MODE;
END $$;
REVOKE EXECUTE ON FUNCTION console.hold_gateway_reports() FROM PUBLIC;

CREATE INDEX billing_records_tx ON public.billing_records (tx_digest) WHERE tx_digest IS NOT NULL;
