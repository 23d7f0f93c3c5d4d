-- Keys: limits of their own.

-- The names of limits, each with a whole number from 0.
CREATE FUNCTION are_limits(p_limits jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_typeof(p_limits) = 'object' AND NOT EXISTS (
        SELECT FROM jsonb_each(p_limits) AS one (name, value)
        WHERE one.name NOT IN ('requests_per_minute', 'requests_per_hour', 'requests_per_day', 'tokens_per_minute',
                               'tokens_per_day', 'tokens_per_month', 'burst', 'concurrency')
           OR one.value::text !~ '^[0-9]{1,16}$')
$$;

ALTER TABLE api_key
    -- As `plan_version` names them; {}: none.
    ADD COLUMN limits jsonb NOT NULL DEFAULT '{}' CHECK (are_limits(limits));
GRANT UPDATE (limits) ON api_key TO tollbridge_app;

-- A key by the readable part of its secret or of the one before it, revoked or not, with its organization's state.
DROP FUNCTION lookup_key(text);
CREATE FUNCTION lookup_key(wanted_public_id text)
RETURNS TABLE (id uuid, org_id uuid, public_id text, digest bytea, name text, masked text, scopes text[],
    models text[], creator_user_id uuid, create_time timestamptz, update_time timestamptz, expire_time timestamptz,
    revoke_time timestamptz, version integer, cidrs text[], previous_public_id text, previous_digest bytea,
    previous_masked text, previous_expire_time timestamptz, last_used_time timestamptz, personal boolean,
    trial boolean, limits jsonb, suspended boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT k.id, k.org_id, k.public_id, k.digest, k.name, k.masked, k.scopes, k.models, k.creator_user_id,
           k.create_time, k.update_time, k.expire_time, k.revoke_time, k.version, k.cidrs, k.previous_public_id,
           k.previous_digest, k.previous_masked, k.previous_expire_time, k.last_used_time, k.personal, k.trial,
           k.limits, o.suspended_time IS NOT NULL
    FROM api_key k JOIN organization o ON o.id = k.org_id
    WHERE k.public_id = wanted_public_id OR k.previous_public_id = wanted_public_id
$$;

REVOKE ALL ON FUNCTION lookup_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_key(text) TO tollbridge_lookup;
