-- Calls that came with an Idempotency-Key: claimed before their effect, remembered with their outcome.
CREATE TABLE idempotent_call (
    org_id uuid NOT NULL,
    -- "/package.Service/Method".
    method text NOT NULL,
    -- HMAC-SHA-256 of the caller's key, which is never stored.
    key_digest bytea NOT NULL CHECK (length(key_digest) = 32),
    -- Of the request, under a key derived from the caller's, so that nobody can try guesses at what was asked.
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    -- Names one run of the call; the id of its usage event where it is metered.
    run_id uuid NOT NULL,
    -- Who runs it. Where that process is dead and there is no outcome, a retry takes the claim over.
    process_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    -- When the key is free again, swept or not.
    expire_time timestamptz NOT NULL,
    -- The answer, sealed with AES-256-GCM under a key derived from the caller's. NULL: the call runs, or its process
    -- died over it.
    outcome bytea,
    PRIMARY KEY (org_id, method, key_digest)
) WITH (fillfactor = 85);
CREATE INDEX idempotent_call_expire ON idempotent_call (expire_time);
CALL make_tenant_table('idempotent_call');
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotent_call TO tollbridge_app;
-- What platform administrators change is remembered in the transaction of the change.
GRANT UPDATE (outcome) ON idempotent_call TO tollbridge_platform;
CREATE POLICY platform_remembers ON idempotent_call FOR UPDATE TO tollbridge_platform USING (true);
GRANT DELETE ON idempotent_call TO tollbridge_keeper;
CREATE POLICY keeper_sweeps ON idempotent_call FOR DELETE TO tollbridge_keeper USING (true);
