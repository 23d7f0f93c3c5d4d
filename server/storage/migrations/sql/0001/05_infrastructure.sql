-- What processes tell each other: who runs, what cached entries are stale, what the world must hear after commit.

-- Running server processes. A process is dead when its lock file can be locked, and only then.
CREATE TABLE process (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    lock_path text NOT NULL,
    start_time timestamptz NOT NULL DEFAULT now(),
    heartbeat_time timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON process TO tollbridge_keeper;

-- Cached entries that changed. Polled by time, because rows become visible in the order of commits, not of ids.
CREATE TABLE invalidation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX invalidation_create_time ON invalidation (create_time);
GRANT INSERT ON invalidation TO tollbridge_app, tollbridge_platform, tollbridge_keeper;
GRANT SELECT ON invalidation TO tollbridge_lookup;
GRANT SELECT, DELETE ON invalidation TO tollbridge_keeper;

-- Facts for the world outside, written in the transaction that makes them true, sent after it committed.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id uuid NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    publish_time timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE publish_time IS NULL;
CALL make_tenant_table('outbox');
GRANT INSERT ON outbox TO tollbridge_app, tollbridge_meter, tollbridge_keeper;
CREATE POLICY meter_writes ON outbox FOR INSERT TO tollbridge_meter WITH CHECK (true);
CREATE POLICY keeper_writes ON outbox FOR INSERT TO tollbridge_keeper WITH CHECK (true);
CREATE INDEX outbox_create_time ON outbox (create_time);
GRANT DELETE ON outbox TO tollbridge_keeper;
CREATE POLICY keeper_sweeps ON outbox FOR DELETE TO tollbridge_keeper USING (true);
