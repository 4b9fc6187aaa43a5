-- Within this a new version reaches the gateways and their log lines us, and a gateway that works reports again. A fleet
-- that fetches its vaults on a timer takes more than one minute: what takes six is alarming after fifteen.
ALTER TABLE console.metering
    ADD COLUMN gateway_allowance interval NOT NULL DEFAULT '1 minute' CHECK (gateway_allowance > interval '0');
