-- Who has spent most of a limit, found without reading all customers.
CREATE INDEX customers_spent ON customers ((current_month_charged_usd_cents * 100 / max_monthly_usd_cents))
    WHERE max_monthly_usd_cents IS NOT NULL;
