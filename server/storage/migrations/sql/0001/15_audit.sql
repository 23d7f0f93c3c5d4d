-- Who did what, written in the transaction that did it, and never changed afterwards.

CREATE TABLE audit_entry (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    actor_kind text NOT NULL CHECK (actor_kind IN ('USER', 'API_KEY', 'SYSTEM')),
    -- `user_…` or `key_…`; empty for SYSTEM.
    actor_id text NOT NULL,
    action text NOT NULL CHECK (action <> ''),
    -- Id of what was acted on, as callers see it.
    subject text NOT NULL,
    request_id text NOT NULL,
    ip text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_entry_page ON audit_entry (org_id, id);
CALL make_tenant_table('audit_entry');
GRANT SELECT, INSERT ON audit_entry TO tollbridge_app;
-- What administrators do across tenants is written where it was done.
GRANT INSERT ON audit_entry TO tollbridge_platform;
CREATE POLICY platform_writes ON audit_entry FOR INSERT TO tollbridge_platform WITH CHECK (true);

CREATE FUNCTION refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are never changed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_entry_no_truncate BEFORE TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
