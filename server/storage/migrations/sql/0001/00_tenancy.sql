-- How a table becomes a tenant's: policies for the owner, the tenant, and the two roles that read all tenants.
-- Called once for each table; what else a role may do is granted beside the table.

CREATE PROCEDURE make_tenant_table(table_name regclass, tenant_column text DEFAULT 'org_id')
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM protect_table(table_name);
    EXECUTE format(
        'CREATE POLICY tenant ON %s TO tollbridge_app
             USING (%I = nullif(current_setting(''app.org_id'', true), '''')::uuid)
             WITH CHECK (%I = nullif(current_setting(''app.org_id'', true), '''')::uuid)',
        table_name, tenant_column, tenant_column);
END $$;

-- The same for what belongs to a person.
CREATE PROCEDURE make_personal_table(table_name regclass, person_column text DEFAULT 'user_id')
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM protect_table(table_name);
    EXECUTE format(
        'CREATE POLICY person ON %s TO tollbridge_app
             USING (%I = nullif(current_setting(''app.user_id'', true), '''')::uuid)
             WITH CHECK (%I = nullif(current_setting(''app.user_id'', true), '''')::uuid)',
        table_name, person_column, person_column);
END $$;

-- Row level security with what every protected table shares. Without the owner's policy, definer functions and
-- backfills would see nothing: FORCE binds the owner too.
CREATE FUNCTION protect_table(table_name regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY owner_all ON %s TO tollbridge_owner USING (true) WITH CHECK (true)', table_name);
    EXECUTE format(
        'CREATE POLICY readers_of_all ON %s FOR SELECT TO tollbridge_keeper, tollbridge_platform USING (true)',
        table_name);
    EXECUTE format('GRANT SELECT ON %s TO tollbridge_keeper, tollbridge_platform', table_name);
END $$;
