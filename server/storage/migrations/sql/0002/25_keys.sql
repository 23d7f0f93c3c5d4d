-- Keys: rotation with an overlap, networks, last use, and one personal key for each person of an organization.

ALTER TABLE api_key
    -- The secret before the last rotation, which works until `previous_expire_time`.
    ADD COLUMN previous_public_id text UNIQUE,
    ADD COLUMN previous_digest bytea CHECK (length(previous_digest) = 32),
    ADD COLUMN previous_masked text,
    ADD COLUMN previous_expire_time timestamptz,
    -- Right within a minute; a rotation or change does not touch it.
    ADD COLUMN last_used_time timestamptz,
    -- The key that regenerating replaces when its person asks.
    ADD COLUMN personal boolean NOT NULL DEFAULT false,
    -- Made without an account: calls models that cost nothing, and nothing else.
    ADD COLUMN trial boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT api_key_previous_is_whole CHECK (
        num_nonnulls(previous_public_id, previous_digest, previous_masked, previous_expire_time) IN (0, 4));
CREATE UNIQUE INDEX api_key_personal ON api_key (org_id, creator_user_id) WHERE personal AND revoke_time IS NULL;
GRANT UPDATE (cidrs, public_id, digest, masked, previous_public_id, previous_digest, previous_masked,
    previous_expire_time) ON api_key TO tollbridge_app;

-- Last uses are written for many organizations at once.
GRANT UPDATE (last_used_time) ON api_key TO tollbridge_keeper;
CREATE POLICY keeper_notes_use ON api_key FOR UPDATE TO tollbridge_keeper USING (true) WITH CHECK (true);

-- A key by the readable part of its secret or of the one before it, revoked or not, with its organization's state.
DROP FUNCTION lookup_key(text);
CREATE FUNCTION lookup_key(wanted_public_id text)
RETURNS TABLE (id uuid, org_id uuid, public_id text, digest bytea, name text, masked text, scopes text[],
    models text[], creator_user_id uuid, create_time timestamptz, update_time timestamptz, expire_time timestamptz,
    revoke_time timestamptz, version integer, cidrs text[], previous_public_id text, previous_digest bytea,
    previous_masked text, previous_expire_time timestamptz, last_used_time timestamptz, personal boolean,
    trial boolean, suspended boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT k.id, k.org_id, k.public_id, k.digest, k.name, k.masked, k.scopes, k.models, k.creator_user_id,
           k.create_time, k.update_time, k.expire_time, k.revoke_time, k.version, k.cidrs, k.previous_public_id,
           k.previous_digest, k.previous_masked, k.previous_expire_time, k.last_used_time, k.personal, k.trial,
           o.suspended_time IS NOT NULL
    FROM api_key k JOIN organization o ON o.id = k.org_id
    WHERE k.public_id = wanted_public_id OR k.previous_public_id = wanted_public_id
$$;

REVOKE ALL ON FUNCTION lookup_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_key(text) TO tollbridge_lookup;

-- Trials: an e-mail that nobody verified asked for a key, in an organization of its own that nobody is a member of.
CREATE TABLE trial (
    org_id uuid PRIMARY KEY REFERENCES organization (id),
    key_id uuid NOT NULL REFERENCES api_key (id),
    -- As it was written, and how it is compared.
    email text NOT NULL CHECK (email <> ''),
    address text NOT NULL CHECK (address <> ''),
    -- Keyed digest of the token that was mailed to the address.
    claim_digest bytea NOT NULL UNIQUE CHECK (length(claim_digest) = 32),
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    claim_time timestamptz
);
CREATE INDEX trial_address ON trial (address);
CALL make_tenant_table('trial');
GRANT SELECT, INSERT ON trial TO tollbridge_app;
GRANT UPDATE (claim_time) ON trial TO tollbridge_app;

-- The trials of the address that a claim token was mailed to, its own first. Expiry and claims are the caller's to judge.
CREATE FUNCTION lookup_trials(token_digest bytea)
RETURNS TABLE (org_id uuid, key_id uuid, own boolean, expire_time timestamptz, claim_time timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT t.org_id, t.key_id, t.org_id = own.org_id, t.expire_time, t.claim_time
    FROM trial own JOIN trial t ON t.address = own.address
    WHERE own.claim_digest = token_digest
    ORDER BY t.org_id <> own.org_id, t.org_id
$$;

REVOKE ALL ON FUNCTION lookup_trials(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_trials(bytea) TO tollbridge_lookup;
