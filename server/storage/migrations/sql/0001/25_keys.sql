-- API keys of organizations.

-- The secret is kept as a keyed digest only; `public_id` is its readable part, by which it is found.
CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organization (id),
    public_id text NOT NULL UNIQUE,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    name text NOT NULL,
    masked text NOT NULL,
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    -- Models that it may call; empty means all.
    models text[] NOT NULL DEFAULT '{}',
    -- NULL where the platform or another key made it.
    creator_user_id uuid REFERENCES app_user (id),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    expire_time timestamptz,
    revoke_time timestamptz,
    -- Networks that it may be used from; empty means all.
    cidrs text[] NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1
);
CREATE INDEX api_key_page ON api_key (org_id, id);
CALL make_tenant_table('api_key');
GRANT SELECT, INSERT ON api_key TO tollbridge_app;
GRANT UPDATE (name, models, update_time, expire_time, revoke_time, version) ON api_key TO tollbridge_app;

-- A key by the readable part of its secret, revoked or not, with its organization's state.
CREATE FUNCTION lookup_key(wanted_public_id text)
RETURNS TABLE (id uuid, org_id uuid, public_id text, digest bytea, name text, masked text, scopes text[],
    models text[], creator_user_id uuid, create_time timestamptz, update_time timestamptz, expire_time timestamptz,
    revoke_time timestamptz, version integer, suspended boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT k.id, k.org_id, k.public_id, k.digest, k.name, k.masked, k.scopes, k.models, k.creator_user_id,
           k.create_time, k.update_time, k.expire_time, k.revoke_time, k.version, o.suspended_time IS NOT NULL
    FROM api_key k JOIN organization o ON o.id = k.org_id
    WHERE k.public_id = wanted_public_id
$$;

REVOKE ALL ON FUNCTION lookup_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_key(text) TO tollbridge_lookup;
