-- Three roles that cannot log in: GRANT opsdeck_operator TO ann. Run after every migration, so that a new table has its
-- rights from its first day; a table without a line here is nobody's but its owner's. Roles belong to the cluster, rights
-- to the database.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['opsdeck_reader', 'opsdeck_operator', 'opsdeck_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
EXCEPTION
    -- Another database of this cluster made them at the same moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
    -- `opsdeck migrate` says so; the tables work without the roles.
    WHEN insufficient_privilege THEN NULL;
END $$;

DO $$
DECLARE
    relation regclass;
    name text;
    hidden text[];
    operator text;
    admin text;
BEGIN
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('opsdeck_reader', 'opsdeck_operator', 'opsdeck_admin')) < 3
       OR NOT pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'console'), 'USAGE') THEN
        RETURN;
    END IF;
    FOR name, hidden, operator, admin IN VALUES
        -- table, columns that nobody may read ('*': none at all), what operators may besides reading, what admins may
        -- besides that. What a job writes its operators may write: jobs run as who starts them.
        ('public.customers',                '{}',                       'UPDATE',                 NULL),
        ('public.service_instances',        '{}',                       'INSERT, UPDATE',         NULL),
        ('public.api_keys',                 '{api_key_id}',             'INSERT, UPDATE',         NULL),
        ('public.seal_keys',                '{encrypted_private_key}',  NULL,                     NULL),
        ('public.billing_records',          '{}',                       'INSERT, UPDATE',         NULL),
        ('public.usage_records',            '{}',                       'INSERT, UPDATE',         NULL),
        ('public.ledger_entries',           '{}',                       'INSERT',                 NULL),
        -- What the mirror says otherwise than the chain is set right in it; its digest never.
        ('public.escrow_transactions',      '{}',
         'INSERT, UPDATE (customer_id, tx_type, amount, asset_type, timestamp)', NULL),
        ('public.auth_nonces',              '{nonce}',                  'DELETE',                 NULL),
        ('public.refresh_tokens',           '{token_hash}',             'DELETE',                 NULL),
        ('public.processing_state',         '{}',                       'INSERT, UPDATE',         NULL),
        ('public.system_control',           '{}',                       'UPDATE',                 NULL),
        ('public.service_status',           '{}',                       'INSERT, UPDATE',         NULL),
        ('public.customer_encryption_keys', '{*}',                      NULL,                     NULL),
        -- A re-baseline settles rows of another cluster.
        ('public.haproxy_raw_logs',         '{}',                       NULL,                     'UPDATE'),
        ('public.haproxy_raw_logs_default', '{}',                       NULL,                     NULL),
        -- Number, time, role and hashes are the trigger's, not the writer's.
        ('console.audit',                   '{}',
         'INSERT (operation_id, action, subjects, os_user, ssh_source, reason, before, after, outcome, message)', NULL),
        ('console.audit_head',              '{}',                       NULL,                     NULL),
        ('console.migration',               '{}',                       NULL,                     NULL),
        ('console.simulation',              '{}',                       NULL,                     NULL),
        ('console.job_run',                 '{}',                       'INSERT, UPDATE',         NULL),
        ('console.capture_state',           '{}',                       'UPDATE',                 NULL),
        ('console.metering',                '{}',                       NULL,                     'UPDATE'),
        ('console.usage_unassigned',        '{}',                       'INSERT, UPDATE',         NULL),
        ('console.traffic_minute',          '{}',                       'INSERT, UPDATE, DELETE', NULL),
        ('console.traffic_hour',            '{}',                       'INSERT, UPDATE, DELETE', NULL),
        ('console.traffic_day',             '{}',                       'INSERT, UPDATE',         NULL),
        ('console.traffic_customer_hour',   '{}',                       'INSERT, UPDATE, DELETE', NULL),
        ('console.traffic_customer_day',    '{}',                       'INSERT, UPDATE',         NULL),
        ('console.billing',                 '{}',                       'UPDATE',                 NULL),
        ('console.service_span',            '{}',                       NULL,                     NULL),
        ('console.monthly_fee',             '{}',                       'INSERT, UPDATE',         NULL),
        ('console.billing_blocked',         '{}',                       'INSERT, UPDATE, DELETE', NULL),
        ('console.vault_version',           '{}',                       'INSERT',                 NULL),
        ('console.vault_loss',              '{}',                       'INSERT, UPDATE',         NULL),
        ('console.vault_removed_key',       '{}',                       'INSERT',                 NULL),
        ('console.chain_event',             '{}',                       'INSERT, UPDATE',         NULL),
        ('console.chain_cursor',            '{}',                       'INSERT, UPDATE',         NULL),
        ('console.ledger_reversal',         '{}',                       'INSERT',                 NULL),
        ('console.key_end',                 '{}',                       'INSERT, UPDATE, DELETE', NULL),
        ('console.control_flag',            '{}',                       'UPDATE',                 NULL),
        ('console.gateway_vault',           '{}',                       NULL,                     NULL),
        ('console.approval',                '{}',                       NULL,                     NULL),
        ('console.second_person',           '{}',                       NULL,                     'INSERT, DELETE')
    LOOP
        relation := to_regclass(name);
        CONTINUE WHEN relation IS NULL;
        EXECUTE format('REVOKE ALL ON %s FROM opsdeck_reader, opsdeck_operator, opsdeck_admin', relation);
        IF hidden = '{}' THEN
            EXECUTE format('GRANT SELECT ON %s TO opsdeck_reader, opsdeck_operator, opsdeck_admin', relation);
        ELSIF hidden <> '{*}' THEN
            -- xmin is the version of a row that is shown.
            EXECUTE format('GRANT SELECT (xmin, %s) ON %s TO opsdeck_reader, opsdeck_operator, opsdeck_admin',
                           (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
                            WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attname <> ALL (hidden)),
                           relation);
        END IF;
        IF operator IS NOT NULL THEN
            EXECUTE format('GRANT %s ON %s TO opsdeck_operator, opsdeck_admin', operator, relation);
        END IF;
        IF admin IS NOT NULL THEN
            EXECUTE format('GRANT %s ON %s TO opsdeck_admin', admin, relation);
        END IF;
    END LOOP;
    GRANT USAGE ON SCHEMA console TO opsdeck_reader, opsdeck_operator, opsdeck_admin;
    GRANT EXECUTE ON FUNCTION console.ensure_log_hour(timestamptz), console.drop_log_part(regclass),
        console.compress_log_part(regclass), console.sweep_log_default(timestamptz), console.hold_gateway_reports(),
        console.ask_approval(text, text, text[], text, text), console.decide_approval(uuid, text, text),
        console.use_approval(text, text, uuid)
        TO opsdeck_operator, opsdeck_admin;
END $$;
