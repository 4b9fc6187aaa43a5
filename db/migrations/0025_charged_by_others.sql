-- A record that another biller charged is as closed as one on a bill of ours: a late request of its hour becomes a new
-- open record. Until now it was added to a record that nobody bills again.
DROP INDEX usage_records_open;
CREATE UNIQUE INDEX usage_records_open ON usage_records (customer_id, service_type, window_start)
    WHERE billing_record_id IS NULL AND charged_amount IS NULL;
